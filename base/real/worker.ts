import { parentPort, Worker } from 'node:worker_threads'

/** A thread of its own, with messages to and fro. It does not keep the process alive. */
export class WorkerThread<Request, Reply> {
  onMessage: (reply: Reply) => void = () => undefined
  /** Once, last: it died, or was terminated. */
  onEnd: (error: Error) => void = () => undefined
  readonly #worker: Worker
  #isOver = false

  /** `url`: of the module that it runs. */
  constructor(url: URL) {
    this.#worker = new Worker(url)
    this.#worker.unref()
    this.#worker.on('message', (reply: Reply) => this.onMessage(reply))
    this.#worker.on('error', (error) => this.#end(error))
    this.#worker.on('exit', () => this.#end(new Error('The worker has ended')))
  }

  /** What can be cloned. */
  post(request: Request): void {
    this.#worker.postMessage(request)
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate()
  }

  #end(error: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.onEnd(error instanceof Error ? error : new Error(String(error)))
  }
}

/** Inside of a worker: where requests come from and replies go. */
export function serveWorker<Request, Reply>(
  serve: (request: Request, reply: (message: Reply) => void) => void,
): void {
  const port = parentPort
  if (port === null) throw new Error('This module runs in a worker only')
  port.on('message', (request: Request) => serve(request, (message) => port.postMessage(message)))
}
