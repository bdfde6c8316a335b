// Many connections that do little: each asks one question, and stays.
import * as net from 'node:net'

export interface HoldJob {
  readonly kind: 'hold'
  readonly host: string
  readonly port: number
  readonly count: number
  /** A whole request, size in front; what every broker answers. */
  readonly frame: Uint8Array
  /** From when all are there: so many such requests a second, over all connections in turn. They go on when the job is over. */
  readonly requestsPerSecond: number
}

export interface HoldResult {
  /** Until the last connection had its answer. */
  readonly elapsedMs: number
}

/** Connects that are under way at once. */
const dialling = 100
const tickMs = 10

export function prepareHolding(job: HoldJob): Promise<() => Promise<HoldResult>> {
  return Promise.resolve(() => new Holder(job).run())
}

/** Connections stay until the process ends. */
class Holder {
  readonly #job: HoldJob
  readonly #frame: Buffer
  readonly #sockets: net.Socket[] = []
  #dialled = 0
  #isHolding = false

  constructor(job: HoldJob) {
    this.#job = job
    const { buffer, byteOffset, byteLength } = job.frame
    this.#frame = Buffer.from(buffer, byteOffset, byteLength)
  }

  async run(): Promise<HoldResult> {
    const beganMs = performance.now()
    const dialler = async (): Promise<void> => {
      while (this.#dialled < this.#job.count) {
        this.#dialled += 1
        this.#sockets.push(await this.#connect())
      }
    }
    await Promise.all(Array.from({ length: dialling }, dialler))
    const elapsedMs = performance.now() - beganMs
    this.#isHolding = true
    if (this.#job.requestsPerSecond > 0) this.#trickle()
    return { elapsedMs }
  }

  /** Resolves at the first byte of the answer. */
  #connect(): Promise<net.Socket> {
    const { host, port } = this.#job
    return new Promise((resolve, reject) => {
      const socket = net.connect({ host, port, noDelay: true })
      socket.once('error', reject)
      socket.once('connect', () => socket.write(this.#frame))
      socket.once('close', () => {
        reject(new Error('The server closed a connection'))
        // Whoever counts on so many must not believe that they are there.
        if (this.#isHolding) process.exit(1)
      })
      socket.once('data', () => {
        socket.resume()
        resolve(socket)
      })
    })
  }

  #trickle(): void {
    const perTick = (this.#job.requestsPerSecond * tickMs) / 1000
    let [due, next] = [0, 0]
    setInterval(() => {
      for (due += perTick; due >= 1; due--)
        this.#sockets[next++ % this.#sockets.length]?.write(this.#frame)
    }, tickMs)
  }
}
