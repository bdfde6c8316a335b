import * as net from 'node:net'
import type { Leader } from './topics.ts'

/** What reads into a buffer that is not of this read alone, to copy nothing. */
export interface Receiver {
  /** Asked before every read. */
  buffer(): Buffer
  /** So many bytes came into it. Throwing ends the connection. */
  received(bytes: number): void
}

/** Sockets whose end before their time fails the job. */
export class Sockets {
  readonly #sockets: net.Socket[] = []
  #isOver = false
  #fail: (error: Error) => void = () => undefined
  /** Rejects when a connection breaks. */
  readonly failed: Promise<never>

  constructor() {
    this.failed = new Promise<never>((_, reject) => (this.#fail = reject))
    // Whoever races with it hears of it; nobody need.
    this.failed.catch(() => undefined)
  }

  connect({ host, port }: Leader, receiver: Receiver): Promise<net.Socket> {
    const onread = {
      buffer: () => receiver.buffer(),
      callback: (bytes: number) => {
        try {
          receiver.received(bytes)
          return true
        } catch (error) {
          this.#fail(error instanceof Error ? error : new Error(String(error)))
          socket.destroy()
          return false
        }
      },
    }
    const socket: net.Socket = net.connect({ host, port, noDelay: true, onread })
    this.#sockets.push(socket)
    socket.once('close', () => {
      if (!this.#isOver) this.#fail(new Error('The server closed a connection'))
    })
    return new Promise((resolve, reject) => {
      socket.once('error', (error) => {
        this.#fail(error)
        reject(error)
      })
      socket.once('connect', () => resolve(socket))
    })
  }

  close(): void {
    this.#isOver = true
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** Bytes came by IPC as Uint8Array. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
