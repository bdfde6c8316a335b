import { readFile } from 'node:fs/promises'
import { CliError } from '../errors.ts'

/** What the records contain. */
export interface Payloads {
  readonly next: () => Buffer
  /** Of one, on average. */
  readonly bytesEach: () => number
}

/** No two records within so many bytes are alike, so that codecs find as little as in Kafka's tool. */
const distinctBytes = 16 * 1024 * 1024
const distinctMax = 65_536

/** Letters from A to Z, as in Kafka's tools; the same ones in each run. */
export function randomPayloads(recordBytes: number, count: number): Payloads {
  const distinct = Math.min(count, distinctMax, Math.max(1, Math.ceil(distinctBytes / recordBytes)))
  const letters = randomLetters()
  const payloads = Array.from({ length: distinct }, () => letters(recordBytes))
  return fixed((index) => index % distinct, payloads)
}

/** Writes random letters. */
export function randomLetters(): (bytes: number) => Buffer {
  let state = 1
  return (bytes) => {
    const payload = Buffer.allocUnsafe(bytes)
    for (let at = 0; at < bytes; at++) {
      // A linear congruential generator; its upper bits are the good ones.
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      payload[at] = 65 + (((state >>> 16) * 26) >>> 16)
    }
    return payload
  }
}

/** Whole numbers from 0 on, as text. */
export function monotonicPayloads(): Payloads {
  let index = 0
  let bytes = 0
  return {
    next: () => {
      const payload = Buffer.from(String(index++))
      bytes += payload.length
      return payload
    },
    bytesEach: () => bytes / index,
  }
}

/** One of the texts in a file each time, at random. Throws `CliError`. */
export async function payloadsOfFile(path: string, delimiter: string): Promise<Payloads> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error)
    throw CliError.usage(`--payload-file can't be read: ${why}`)
  })
  const texts = text.split(delimiter)
  // What follows the last delimiter is nothing, as in Java.
  while (texts.at(-1) === '') texts.pop()
  if (texts.length === 0) throw CliError.usage(`--payload-file ${path} is empty`)
  const payloads = texts.map((each) => Buffer.from(each))
  process.stderr.write(`Read ${payloads.length} payloads from ${path}\n`)
  let state = 1
  return fixed(() => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * payloads.length)
  }, payloads)
}

function fixed(choose: (index: number) => number, payloads: readonly Buffer[]): Payloads {
  const none = Buffer.alloc(0)
  let index = 0
  let bytes = 0
  return {
    next: () => {
      const payload = payloads[choose(index++)] ?? none
      bytes += payload.length
      return payload
    },
    bytesEach: () => bytes / index,
  }
}
