import type * as net from 'node:net'
import { assert } from '../assert.ts'
import type { DiskFile } from '../env.ts'
import { RealFile } from './disk-file.ts'
import { native } from './native.ts'
import { sendFileRange } from './send-file.ts'
import { RealSocket, type Incoming } from './socket.ts'

/** What a broker accepts. Clients have no files to send, and don't load this. */
class FileSendingSocket extends RealSocket {
  readonly #socket: net.Socket

  constructor(incoming: Incoming) {
    super(incoming)
    this.#socket = incoming.socket
  }

  sendFile(file: DiskFile, position: number, count: number, done: () => void): void {
    assert(file instanceof RealFile, 'a real socket sends real files')
    this.writeInTurn(count, () => sendFileRange(this.#socket, file, position, count), done)
  }
}

/** With `sendFile` where the platform has it. */
export function acceptedSocket(incoming: Incoming): RealSocket {
  const kind = native()?.sendFile === undefined ? RealSocket : FileSendingSocket
  return new kind(incoming)
}
