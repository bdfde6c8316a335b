import { fileURLToPath } from 'node:url'
import type { OwnedProcess, Processes } from '../harness/peer.ts'
import type { FromGenerator, Job, ResultOf, ToGenerator } from './jobs.ts'

/** A load generator: a process of its own, so that its work is not taken for the server's. One job at a time. */
export class Generator {
  readonly #process: OwnedProcess

  constructor(processes: Processes) {
    const script = fileURLToPath(new URL('./generator-process.js', import.meta.url))
    this.#process = processes.spawn(process.execPath, [script], { ipc: true })
  }

  get processId(): number {
    return this.#process.processId
  }

  /** It ends by itself when what it holds is lost. */
  hasEnded(): boolean {
    return this.#process.hasExited()
  }

  /** Connects and builds what is needed. `go` of the result runs it: the part to be timed. */
  async prepare<J extends Job>(job: J): Promise<{ go(): Promise<ResultOf<J>> }> {
    const answer = await this.#ask({ prepare: job })
    if (!('prepared' in answer)) throw new Error('The generator did not prepare')
    return {
      go: async () => {
        const done = await this.#ask({ go: true })
        if (!('result' in done)) throw new Error('The generator has no result')
        return done.result as ResultOf<J>
      },
    }
  }

  async run<J extends Job>(job: J): Promise<ResultOf<J>> {
    const prepared = await this.prepare(job)
    return prepared.go()
  }

  close(): Promise<void> {
    return this.#process.kill()
  }

  #ask(request: ToGenerator): Promise<FromGenerator> {
    const { child, exited } = this.#process
    return new Promise((resolve, reject) => {
      const answered = (message: unknown): void => {
        const answer = message as FromGenerator
        if ('error' in answer) reject(new Error(answer.error))
        else resolve(answer)
      }
      child.once('message', answered)
      void exited.then((exit) => {
        child.removeListener('message', answered)
        reject(new Error(`The load generator ended with ${exit}:\n${this.#process.output()}`))
      })
      child.send(request, (error) => {
        if (error !== null) reject(error)
      })
    })
  }
}
