import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** What the bare server does. It knows no protocol: answers are as long as the broker's, requests are counted by their size. */
export type BareRole =
  /** Answers every request with the next `chunkBytes` of a mapped file. */
  | {
      readonly kind: 'serve'
      readonly path: string
      readonly chunkBytes: number
      readonly headerBytes: number
    }
  /** Takes `requestBytes` at a time, checks the CRC of the batch inside, and appends it to a file. */
  | {
      readonly kind: 'append'
      readonly path: string
      readonly requestBytes: number
      readonly batchAt: number
      readonly batchBytes: number
      readonly answerBytes: number
      /** Answers wait for an fdatasync that they share. */
      readonly sync: boolean
    }

/** The least that a Node process must do for the same bytes: the line that the broker is measured against. */
export class Bare {
  readonly host = '127.0.0.1'
  readonly port: number
  readonly processId: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
    this.processId = child.pid ?? -1
  }

  static start(role: BareRole): Promise<Bare> {
    const script = fileURLToPath(new URL('./bare-process.js', import.meta.url))
    const child = fork(script, { serialization: 'advanced' })
    child.send(role)
    return new Promise((resolve, reject) => {
      child.once('message', (message) =>
        resolve(new Bare(child, (message as { port: number }).port)),
      )
      child.once('exit', (code) => reject(new Error(`The bare server ended with ${code}`)))
    })
  }

  close(): void {
    this.#child.kill('SIGKILL')
  }
}
