import { Worker } from 'node:worker_threads'
import { deferred, type Deferred } from '../../base/deferred.ts'
import type { Fault } from './faults.ts'
import type { BrokerProcess, BrokerProcessOptions } from './process.ts'

export interface WorkerRequest {
  readonly id: number
  readonly method: 'arm' | 'clearFaults' | 'disconnectClients' | 'stop'
  readonly fault?: Fault
}

export type WorkerReply =
  | { readonly type: 'ready'; readonly address: string; readonly dataDirectory: string }
  | { readonly type: 'done'; readonly id: number }
  /** `id` 0: the broker did not start. */
  | { readonly type: 'failed'; readonly id: number; readonly error: string }

/** A broker that fake timers and a blocked event loop of the test can't touch. */
export class WorkerBroker implements BrokerProcess {
  readonly address: string
  readonly dataDirectory: string
  readonly #worker: Worker
  readonly #pending = new Map<number, Deferred<void>>()
  #nextId = 1
  /** Why nothing answers any more. */
  #failure: Error | undefined

  private constructor(worker: Worker, ready: WorkerReply & { readonly type: 'ready' }) {
    this.#worker = worker
    this.address = ready.address
    this.dataDirectory = ready.dataDirectory
    worker.on('message', (reply: WorkerReply) => this.#settle(reply))
    worker.on('error', (error) => this.#fail(error))
    worker.on('exit', () => this.#fail(new Error('The thread of the broker has ended')))
  }

  static async start(
    options: Pick<BrokerProcessOptions, 'properties' | 'parentDirectory'>,
  ): Promise<WorkerBroker> {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: options })
    const first = await new Promise<WorkerReply>((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
    if (first.type === 'ready') {
      worker.removeAllListeners('error')
      // A forgotten `stop` must not keep the test's process.
      worker.unref()
      return new WorkerBroker(worker, first)
    }
    await worker.terminate()
    throw new Error(first.type === 'failed' ? first.error : 'The broker did not start')
  }

  arm(fault: Fault): Promise<void> {
    return this.#call('arm', fault)
  }

  clearFaults(): Promise<void> {
    return this.#call('clearFaults')
  }

  disconnectClients(): Promise<void> {
    return this.#call('disconnectClients')
  }

  async stop(): Promise<void> {
    if (this.#failure === undefined) await this.#call('stop')
    await this.#worker.terminate()
  }

  #call(method: WorkerRequest['method'], fault?: Fault): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const id = this.#nextId++
    const pending = deferred<void>()
    this.#pending.set(id, pending)
    // Until it has answered, the process has a reason to live.
    this.#worker.ref()
    this.#worker.postMessage({ id, method, ...(fault === undefined ? {} : { fault }) })
    return pending.promise
  }

  #settle(reply: WorkerReply): void {
    if (reply.type === 'ready') return
    const pending = this.#pending.get(reply.id)
    this.#pending.delete(reply.id)
    if (reply.type === 'done') pending?.resolve()
    else pending?.reject(new RangeError(reply.error))
    if (this.#pending.size === 0) this.#worker.unref()
  }

  #fail(error: Error): void {
    this.#failure ??= error
    for (const pending of this.#pending.values()) pending.reject(error)
    this.#pending.clear()
  }
}
