import * as net from 'node:net'
import { Answers } from './answers.ts'
import { fenceFrame } from './frames.ts'
import type { Leader } from './topics.ts'

const greetingAnswerBytesMax = 64 * 1024

/** What reads into a buffer that is not of this read alone, to copy nothing. */
export interface Receiver {
  /** Asked before every read. */
  buffer(): Buffer
  /** So many bytes came into it. Throwing ends the connection. */
  received(bytes: number): void
}

/** Until the answer to the greeting. */
class Greeter implements Receiver {
  readonly #buffer = Buffer.allocUnsafe(greetingAnswerBytesMax)
  readonly #answers: Answers

  constructor(greeted: () => void) {
    this.#answers = new Answers(greeted)
  }

  buffer(): Buffer {
    return this.#buffer
  }

  received(bytes: number): void {
    this.#answers.receive(this.#buffer.subarray(0, bytes))
  }
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

  /**
   * Connects and greets, as clients do: brokers close connections that say nothing. What comes later is the receiver's.
   */
  connect({ host, port }: Leader, receiver: Receiver): Promise<net.Socket> {
    return new Promise((resolve, reject) => {
      const greeter = new Greeter(() => {
        reader = receiver
        resolve(socket)
      })
      let reader: Receiver = greeter
      const callback = (bytes: number): boolean => {
        try {
          reader.received(bytes)
          return true
        } catch (error) {
          fail(error instanceof Error ? error : new Error(String(error)))
          socket.destroy()
          return false
        }
      }
      const fail = (error: Error): void => {
        this.#fail(error)
        reject(error)
      }
      const onread = { buffer: () => reader.buffer(), callback }
      const socket: net.Socket = net.connect({ host, port, noDelay: true, onread })
      this.#sockets.push(socket)
      socket.once('error', fail)
      socket.once('close', () => {
        if (!this.#isOver) fail(new Error('The server closed a connection'))
      })
      socket.once('connect', () => socket.write(fenceFrame()))
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
