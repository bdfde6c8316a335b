import { assert } from '../assert.ts'
import { NetworkError, type DiskFile, type Socket } from '../env.ts'
import type { Pipe } from './pipe.ts'
import type { Prng } from './prng.ts'
import type { Owner, Scheduler } from './scheduler.ts'

/** Bytes that the sending and the receiving kernel hold together; more than that waits in the sending process. */
const windowBytes = 128 * 1024

/** After `end`, how long the peer may take to close its side. */
const lingerMs = 5_000

/** What a chunk that was lent shows afterwards. */
const poison = 0xdb

const ignore = (): void => undefined

/** A write, or a range of a file, of which `sentBytes` have left. */
interface Outgoing {
  readonly bytes: number
  readonly copy: (from: number, count: number) => Buffer
  readonly done: () => void
  sentBytes: number
}

/**
 * One end of a simulated TCP connection.
 *
 * I1: `done` of every write is called exactly once, after `write` has returned and before `onClose`.
 * I2: bytes are copied when the kernel takes them, not when they are written: a buffer changed before `done` shows.
 */
export class SimulatedSocket implements Socket {
  readonly remoteAddress: string
  onData: (chunk: Buffer) => void = ignore
  onDrain: () => void = ignore
  onClose: (error?: Error) => void = ignore

  readonly #scheduler: Scheduler
  readonly #random: Prng
  readonly #owner: Owner
  readonly #life: number
  /** Chunks are taken back when `onData` returns. */
  readonly #lends: boolean
  #peer: SimulatedSocket | undefined
  #pipe: Pipe | undefined
  #outgoing: Outgoing[] = []
  /** Sent, and not yet consumed by the peer. */
  #windowUsedBytes = 0
  /** Arrived, and not yet consumed by this process. */
  #incoming: Buffer[] = []
  #paused = false
  #draining = false
  #state: 'open' | 'ending' | 'ended' | 'closed' = 'open'
  #peerEnded = false

  constructor(options: {
    scheduler: Scheduler
    random: Prng
    owner: Owner
    remoteAddress: string
    lends: boolean
  }) {
    this.#scheduler = options.scheduler
    this.#random = options.random
    this.#owner = options.owner
    this.#life = options.owner.life
    this.#lends = options.lends
    this.remoteAddress = options.remoteAddress
  }

  /** `pipe` leads to `peer`. */
  connect(peer: SimulatedSocket, pipe: Pipe): void {
    this.#peer = peer
    this.#pipe = pipe
  }

  get backlogBytes(): number {
    let bytes = 0
    for (const { bytes: all, sentBytes } of this.#outgoing) bytes += all - sentBytes
    return bytes
  }

  write(buffers: readonly Uint8Array[], done: () => void = ignore): void {
    let bytes = 0
    for (const buffer of buffers) bytes += buffer.length
    this.#queue({ bytes, copy: (from, count) => copyOf(buffers, from, count), done, sentBytes: 0 })
  }

  sendFile(file: DiskFile, position: number, count: number, done: () => void): void {
    const copy = (from: number, part: number): Buffer => {
      const bytes = Buffer.alloc(part)
      assert(file.read(bytes, 0, part, position + from) === part, 'the range is in the file')
      return bytes
    }
    this.#queue({ bytes: count, copy, done, sentBytes: 0 })
  }

  #queue(outgoing: Outgoing): void {
    if (this.#state !== 'open') {
      this.#soon('net dropped write', outgoing.done)
      return
    }
    this.#outgoing.push(outgoing)
    this.#send()
    if (this.#outgoing.length > 0) this.#draining = true
  }

  /** Sends what the window takes, in segments of any size. */
  #send(): void {
    for (let first = this.#outgoing[0]; first !== undefined; first = this.#outgoing[0]) {
      const left = first.bytes - first.sentBytes
      const most = Math.min(left, windowBytes - this.#windowUsedBytes)
      // Waits for a good part of the window, else segments would become smaller for ever.
      if (most < Math.min(left, windowBytes / 2)) return
      const count = this.#random.chance(0.1) ? Math.ceil(most * this.#random.fraction()) : most
      if (count > 0) this.#sendSegment(first.copy(first.sentBytes, count))
      first.sentBytes += count
      if (first.sentBytes < first.bytes) continue
      this.#outgoing.shift()
      this.#soon('net sent', first.done)
    }
    if (this.#draining) this.#soon('net drain', () => this.#drain())
    if (this.#state === 'ending') this.#sendEnd()
  }

  #sendSegment(bytes: Buffer): void {
    this.#windowUsedBytes += bytes.length
    const peer = this.#peer
    this.#pipe?.send(() => peer?.receive(bytes))
  }

  #drain(): void {
    if (!this.#draining || this.#outgoing.length > 0 || this.#state === 'closed') return
    this.#draining = false
    this.onDrain()
  }

  /** A segment has arrived. */
  receive(bytes: Buffer): void {
    if (this.#state === 'closed') {
      this.#reset()
      return
    }
    this.#incoming.push(bytes)
    this.#soon('net data', () => this.#deliver())
  }

  #deliver(): void {
    while (!this.#paused && this.#state !== 'closed') {
      const bytes = this.#incoming.shift()
      if (bytes === undefined) break
      const peer = this.#peer
      this.#pipe?.send(() => peer?.acknowledge(bytes.length))
      if (this.#state === 'open') this.onData(bytes)
      if (this.#lends) bytes.fill(poison)
    }
    if (this.#incoming.length > 0 || !this.#peerEnded) return
    // The peer has ended: so do we, after what is queued.
    if (this.#state === 'ended') this.#close(undefined)
    else this.end()
  }

  acknowledge(bytes: number): void {
    this.#windowUsedBytes -= bytes
    this.#send()
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#soon('net resume', () => this.#deliver())
  }

  end(): void {
    if (this.#state !== 'open') return
    this.#state = 'ending'
    this.resume()
    this.#send()
  }

  #sendEnd(): void {
    this.#state = 'ended'
    const peer = this.#peer
    this.#pipe?.send(() => peer?.receiveEnd())
    if (this.#peerEnded) this.#close(undefined)
    else this.#after(lingerMs, 'net linger', () => this.#close(undefined))
  }

  receiveEnd(): void {
    this.#peerEnded = true
    this.#soon('net end', () => this.#deliver())
  }

  destroy(error?: Error): void {
    if (this.#state === 'closed') return
    const peer = this.#peer
    if (this.#incoming.length > 0) this.#reset()
    else if (this.#state !== 'ended') this.#pipe?.send(() => peer?.receiveEnd())
    this.#close(error)
  }

  /** Tells the peer that its bytes went nowhere. */
  #reset(): void {
    const peer = this.#peer
    this.#pipe?.send(() => peer?.abort('ECONNRESET'))
  }

  /** The connection is broken: what the peer has not received is lost. */
  abort(code: string): void {
    if (this.#state === 'closed') return
    this.#pipe?.clear()
    this.#close(
      new NetworkError(`Failed to use the connection with ${this.remoteAddress}: ${code}`, {
        code,
      }),
    )
  }

  /** Its process was killed: no callback runs any more. */
  abandon(): void {
    this.#state = 'closed'
    this.#outgoing = []
    this.#incoming = []
  }

  #close(error: Error | undefined): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#incoming = []
    for (const { done } of this.#outgoing.splice(0)) this.#soon('net dropped write', done)
    this.#soon('net close', () => this.onClose(error))
  }

  get closed(): boolean {
    return this.#state === 'closed'
  }

  #soon(label: string, run: () => void): void {
    this.#after(0, label, run)
  }

  #after(delayMs: number, label: string, run: () => void): void {
    if (this.#owner.life === this.#life)
      this.#scheduler.schedule({ delayMs, label, owner: this.#owner, run })
  }
}

function copyOf(buffers: readonly Uint8Array[], from: number, count: number): Buffer {
  const copy = Buffer.alloc(count)
  let start = 0
  for (const buffer of buffers) {
    const part = buffer.subarray(Math.max(from - start, 0), Math.max(from + count - start, 0))
    if (part.length > 0) copy.set(part, Math.max(start - from, 0))
    start += buffer.length
  }
  return copy
}
