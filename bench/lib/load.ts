import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** What the load generator does once: sends prebuilt frames round and round, and takes as many answers. */
export interface LoadRequest {
  readonly host: string
  readonly port: number
  /** Whole frames, size in front. They are sent as they are, in turn. */
  readonly frames: readonly Uint8Array[]
  readonly count: number
  /** Requests under way at once. */
  readonly depth: number
  /** A request every so many milliseconds, as far as `depth` allows; absent: as fast as it can. */
  readonly everyMs?: number
  /** What is received is also written to this file. */
  readonly sink?: string
  /** How to check answers; a sample of them is decoded. */
  readonly check: { readonly api: 'fetch' | 'produce'; readonly version: number } | undefined
}

export interface LoadResult {
  readonly elapsedMs: number
  readonly receivedBytes: number
  /** Answers that were decoded and found right. */
  readonly checkedCount: number
  /** Of each request in turn: from when it was due to be sent to the end of its answer. */
  readonly latenciesMs: Float64Array
}

/** A client in a process of its own, so that its work is not taken for the server's. */
export class Load {
  readonly #child: ChildProcess

  constructor() {
    const script = fileURLToPath(new URL('./load-process.js', import.meta.url))
    this.#child = fork(script, { serialization: 'advanced' })
  }

  get processId(): number {
    return this.#child.pid ?? -1
  }

  run(request: LoadRequest): Promise<LoadResult> {
    return new Promise((resolve, reject) => {
      const gone = (code: number | null): void =>
        reject(new Error(`The load generator ended with ${code}`))
      this.#child.once('exit', gone)
      this.#child.once('message', (message) => {
        this.#child.removeListener('exit', gone)
        const answer = message as { result: LoadResult } | { error: string }
        if ('error' in answer) reject(new Error(answer.error))
        else resolve(answer.result)
      })
      this.#child.send(request)
    })
  }

  close(): void {
    this.#child.disconnect()
  }
}
