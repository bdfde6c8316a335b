import type * as net from 'node:net'
import type { Socket } from '../env.ts'
import { networkError } from './coded-error.ts'

/** How long the peer may take to close its side after we closed ours. Closing at once could reset what it has not read. */
const lingerMs = 5_000

const ignore = (): void => undefined
const nothing = Buffer.alloc(0)

/** A socket, and where its bytes come from: Node's own buffers or ours. */
export interface Incoming {
  readonly socket: net.Socket
  readonly data: (receive: (chunk: Buffer) => void) => void
}

/** Node makes a buffer for every read, which then belongs to the receiver. */
export function ownBuffers(socket: net.Socket): Incoming {
  return { socket, data: (receive) => socket.on('data', receive) }
}

/** What waits behind a file range, or is one. `send` resolves when the bytes are no longer needed. */
interface Queued {
  readonly bytes: number
  readonly send: () => Promise<void>
  readonly done: () => void
}

/**
 * A connected TCP socket of node:net.
 *
 * Writes go to Node at once, which tries the kernel at once and keeps the rest in order. Only a file range must wait
 * until everything before it has left, and makes everything after it wait: then `#queue` is in use.
 *
 * I1: `done` of every write is called exactly once, after `write` has returned and before `onClose`.
 */
export class RealSocket implements Socket {
  readonly remoteAddress: string
  onData: (chunk: Buffer) => void = ignore
  onDrain: () => void = ignore
  onClose: (error?: Error) => void = ignore

  readonly #socket: net.Socket
  readonly #queue: Queued[] = []
  #queuedBytes = 0
  #ending = false
  #closed = false
  /** `onDrain` is owed, since a write left something behind. */
  #draining = false
  #error: Error | undefined

  constructor({ socket, data }: Incoming) {
    this.#socket = socket
    this.remoteAddress = (socket.remoteAddress ?? '').replace(/^::ffff:/, '')
    data((chunk) => {
      if (!this.#ending) this.onData(chunk)
    })
    socket.on('error', (error) => {
      this.#error ??= networkError(`use the connection with ${this.remoteAddress}`, error)
    })
    socket.once('close', () => {
      this.#closed = true
      if (this.#queue.length === 0) this.onClose(this.#error)
    })
  }

  get backlogBytes(): number {
    return unsentBytes(this.#socket) + this.#queuedBytes
  }

  write(buffers: readonly Uint8Array[], done: () => void = ignore): void {
    if (this.#ending || buffers.length === 0) setImmediate(done)
    else if (this.#queue.length === 0) this.#writeNow(buffers, done)
    else {
      const send = (): Promise<void> =>
        new Promise((resolve) => {
          this.#writeNow(buffers, resolve)
        })
      this.#enqueue({ bytes: bytesOf(buffers), send, done })
    }
  }

  /** For what Node's own writes can't do: `send` is called when all earlier writes have left. */
  protected writeInTurn(bytes: number, send: () => Promise<void>, done: () => void): void {
    if (this.#ending) setImmediate(done)
    else this.#enqueue({ bytes, send, done })
  }

  #writeNow(buffers: readonly Uint8Array[], done: () => void): void {
    const socket = this.#socket
    const last = buffers.length - 1
    // Corked, so that all of them become one writev.
    if (last > 0) socket.cork()
    for (let index = 0; index < last; index++) socket.write(buffers[index] ?? nothing)
    socket.write(buffers[last] ?? nothing, () => {
      done()
      if (this.#draining) this.#drain()
    })
    if (last > 0) socket.uncork()
    if (socket.writableLength > 0) this.#draining = true
  }

  #drain(): void {
    if (this.backlogBytes > 0 || this.#socket.destroyed) return
    this.#draining = false
    this.onDrain()
  }

  #enqueue(queued: Queued): void {
    this.#draining = true
    this.#queuedBytes += queued.bytes
    this.#queue.push(queued)
    // An empty write is called back when all earlier ones have left.
    if (this.#queue.length === 1) this.#socket.write(nothing, () => void this.#sendQueue())
  }

  /** Once the socket is dead every `send` returns at once, so this always reaches the end. */
  async #sendQueue(): Promise<void> {
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      try {
        await first.send()
      } catch (error) {
        this.destroy(networkError(`send to ${this.remoteAddress}`, error))
      }
      this.#queuedBytes -= first.bytes
      first.done()
      this.#queue.shift() // Only now, so that what `done` writes goes behind what waits already.
    }
    if (this.#closed) this.onClose(this.#error)
    else if (this.#ending) this.#endNow()
    else this.#drain()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    if (this.#ending) return
    this.#ending = true
    if (this.#queue.length === 0) this.#endNow()
  }

  /** What still arrives is read and dropped: unread bytes would turn the close into a reset. */
  #endNow(): void {
    const socket = this.#socket
    socket.resume()
    socket.end(() => {
      setTimeout(() => socket.destroy(), lingerMs).unref()
    })
    this.#destroyIfStuck(Infinity)
  }

  /** A peer that takes nothing any more would hold the socket, and the process, for ever. */
  #destroyIfStuck(earlierBytes: number): void {
    const look = (): void => {
      const { backlogBytes } = this
      if (backlogBytes === 0) return
      if (backlogBytes === earlierBytes) this.destroy()
      else this.#destroyIfStuck(backlogBytes)
    }
    setTimeout(look, lingerMs).unref()
  }

  destroy(error?: Error): void {
    this.#error ??= error
    this.#socket.destroy()
  }
}

function bytesOf(buffers: readonly Uint8Array[]): number {
  return buffers.reduce((sum, buffer) => sum + buffer.length, 0)
}

/**
 * Node counts a write as a whole until all of it has left, libuv knows what remains of it. Without that, a client
 * that takes one large answer slowly looks like one that takes nothing.
 */
function unsentBytes(socket: net.Socket): number {
  const { writableLength } = socket
  const handle: unknown = '_handle' in socket ? socket._handle : undefined
  if (writableLength === 0 || typeof handle !== 'object' || handle === null) return writableLength
  if (!('writeQueueSize' in handle && 'bytesWritten' in handle)) return writableLength
  const { writeQueueSize, bytesWritten } = handle
  if (typeof writeQueueSize !== 'number' || typeof bytesWritten !== 'number') return writableLength
  const notHandedOver = socket.bytesWritten - bytesWritten
  return Math.min(writableLength, notHandedOver + writeQueueSize)
}
