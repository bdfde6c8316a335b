/** One connection that speaks our own schemas, in any version: for requests that no client library would send. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { decodeResponse, encodeRequest } from '../../protocol/headers.ts'
import type { AnyApi, RequestInputOf, ResponseOf } from '../../protocol/schema/api.ts'

const answerMsMax = 30_000

export class WireClient {
  readonly #socket: Socket
  #correlationId = 0
  #received: Buffer = Buffer.alloc(0)
  #closed = false
  /** Called when bytes arrived or the connection closed. */
  #wake: () => void = () => undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk])
      this.#wake()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#closed = true
      this.#wake()
    })
  }

  static async connect(address: { host: string; port: number }): Promise<WireClient> {
    const socket = connect(address.port, address.host)
    await once(socket, 'connect')
    return new WireClient(socket)
  }

  /** One request at a time. Rejects when the broker closes the connection, or says nothing. */
  async send<A extends AnyApi>(
    api: A,
    version: number,
    request: RequestInputOf<A>,
  ): Promise<ResponseOf<A>> {
    const correlationId = ++this.#correlationId
    this.#socket.write(encodeRequest(api, version, correlationId, 'wire-client', request).finish())
    const timer = setTimeout(() => this.#socket.destroy(), answerMsMax)
    const decoded = decodeResponse(api, version, await this.#frame())
    clearTimeout(timer)
    if (decoded.correlationId !== correlationId) throw new Error('an answer to another request')
    return decoded.response
  }

  close(): void {
    this.#socket.destroy()
  }

  async #frame(): Promise<Buffer> {
    for (;;) {
      const bytes = this.#received
      if (bytes.length >= 4 && bytes.length >= 4 + bytes.readInt32BE(0)) {
        const end = 4 + bytes.readInt32BE(0)
        this.#received = bytes.subarray(end)
        return bytes.subarray(4, end)
      }
      if (this.#closed) throw new Error('the broker closed the connection')
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}
