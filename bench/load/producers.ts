import type * as net from 'node:net'
import { Answers, checkAnswer } from './answers.ts'
import type { ProduceJob, ProduceResult, ProducerConnection } from './jobs.ts'
import { bufferOf, Sockets, type Receiver } from './sockets.ts'

/** Of all connections: answers are looked at before the next read. */
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024)

class Producer implements Receiver {
  readonly #options: ProducerConnection
  readonly #frames: readonly Buffer[]
  readonly #fence: Buffer | undefined
  readonly #answers: Answers
  #socket: net.Socket | undefined
  #sent = 0
  #answered = 0
  #isOver: () => void = () => undefined

  constructor(options: ProducerConnection) {
    const { errorAt } = options
    this.#options = options
    this.#frames = options.frames.map(bufferOf)
    this.#fence = options.fence === undefined ? undefined : bufferOf(options.fence)
    this.#answers = new Answers((bytes, at) => {
      // A fence is no produce.
      if (errorAt !== undefined) checkAnswer(bytes, at + errorAt)
      this.#answered += 1
    })
  }

  async connect(sockets: Sockets): Promise<void> {
    this.#socket = await sockets.connect(this.#options, this)
  }

  run(): Promise<void> {
    return new Promise((resolve) => {
      this.#isOver = resolve
      if (this.#options.errorAt === undefined) this.#pour()
      else this.#send()
    })
  }

  buffer(): Buffer {
    return readBuffer
  }

  received(bytes: number): void {
    this.#answers.receive(readBuffer.subarray(0, bytes))
    const { count, errorAt } = this.#options
    if (this.#answered >= (errorAt === undefined ? 1 : count)) this.#isOver()
    else this.#send()
  }

  #send(): void {
    const { count, depth } = this.#options
    const socket = this.#socket
    socket?.cork()
    while (this.#sent < count && this.#sent - this.#answered < depth) socket?.write(this.#next())
    socket?.uncork()
  }

  /** Without answers the socket's own backpressure is all there is. */
  #pour(): void {
    const socket = this.#socket
    while (this.#sent < this.#options.count) {
      if (socket?.write(this.#next()) === false) {
        socket.once('drain', () => this.#pour())
        return
      }
    }
    if (this.#fence !== undefined) socket?.write(this.#fence)
  }

  #next(): Buffer {
    return this.#frames[this.#sent++ % this.#frames.length] ?? readBuffer
  }
}

export async function prepareProducers(job: ProduceJob): Promise<() => Promise<ProduceResult>> {
  const sockets = new Sockets()
  const producers = job.connections.map((connection) => new Producer(connection))
  await Promise.all(producers.map((producer) => producer.connect(sockets)))
  return async () => {
    const beganMs = performance.now()
    try {
      const all = Promise.all(producers.map((producer) => producer.run()))
      await Promise.race([all, sockets.failed])
      return { elapsedMs: performance.now() - beganMs }
    } finally {
      sockets.close()
    }
  }
}
