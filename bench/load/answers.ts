/** Cuts a stream of answers, each with its size in front. Small ones: those that a chunk cuts in two are copied. */
export class Answers {
  #rest: Buffer = Buffer.alloc(0)
  readonly #take: (bytes: Buffer, at: number, size: number) => void

  /** `take` gets where an answer begins, behind its size; the bytes are only there until it returns. */
  constructor(take: (bytes: Buffer, at: number, size: number) => void) {
    this.#take = take
  }

  receive(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    while (at + 4 <= bytes.length) {
      const size = bytes.readInt32BE(at)
      if (at + 4 + size > bytes.length) break
      this.#take(bytes, at + 4, size)
      at += 4 + size
    }
    this.#rest = at === bytes.length ? empty : Buffer.from(bytes.subarray(at))
  }
}

const empty = Buffer.alloc(0)

/** Throws when an answer to a produce is not of success. */
export function checkAnswer(bytes: Buffer, errorAt: number): void {
  const errorCode = bytes.readInt16BE(errorAt)
  if (errorCode !== 0) throw new Error(`A produce was answered with error ${errorCode}`)
}
