import type { Env, Listener, Socket } from '../../base/env.ts'
import { Reader } from '../../protocol/bytes/reader.ts'
import { apis } from '../../protocol/apis.ts'
import { FrameReader } from '../support/frame-reader.ts'
import { encodeResponse } from '../../protocol/headers.ts'
import { decodeRequestHeader } from '../../protocol/request-header.ts'
import { ApiVersions } from '../../protocol/messages/api-versions.ts'
import type { AnyApi } from '../../protocol/schema/api.ts'

/** What becomes of a request: an answer, bytes as they are, nothing at all, or the end of the connection. */
export type Reaction =
  | { readonly response: object }
  | { readonly raw: Buffer }
  | 'silence'
  | 'close'

export interface ReceivedRequest {
  readonly api: AnyApi
  readonly version: number
  readonly clientId: string | null
  // oxlint-disable-next-line typescript/no-explicit-any -- each test knows what it sent
  readonly request: any
  readonly correlationId: number
  readonly socket: Socket
}

export type React = (received: ReceivedRequest) => Reaction

export interface FakeBrokerOptions {
  readonly env: Env
  readonly port: number
  /** By name, what ApiVersions tells; an API that is not in it is not served. */
  readonly serves: ReadonlyMap<AnyApi, readonly [first: number, last: number]>
  readonly react: React
}

/** A broker by script: answers ApiVersions itself and leaves everything else to the test. */
export class FakeBroker {
  readonly received: ReceivedRequest[] = []
  connectionCount = 0
  readonly #options: FakeBrokerOptions
  readonly #sockets: Socket[] = []
  #listener: Listener | undefined

  private constructor(options: FakeBrokerOptions) {
    this.#options = options
  }

  static async listen(options: FakeBrokerOptions): Promise<FakeBroker> {
    const broker = new FakeBroker(options)
    const { env, port } = options
    broker.#listener = await env.network.listen(
      { host: 'broker', port },
      (socket) => broker.#accept(socket),
      (error) => {
        throw error
      },
    )
    return broker
  }

  async close(): Promise<void> {
    await this.#listener?.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Later, where `react` kept silent. */
  answer({ api, version, correlationId, socket }: ReceivedRequest, response: object): void {
    socket.write([encodeResponse(api, version, correlationId, response as never).finish()])
  }

  #accept(socket: Socket): void {
    this.connectionCount += 1
    this.#sockets.push(socket)
    const frames = new FrameReader({ bytesMax: 100_000_000 })
    socket.onDrain = () => undefined
    socket.onClose = () => undefined
    socket.onData = (chunk) =>
      frames.push(chunk, (frame) => this.#request(socket, Buffer.from(frame)))
  }

  #request(socket: Socket, frame: Buffer): void {
    const reader = new Reader(frame)
    const { apiKey, apiVersion, correlationId, clientId } = decodeRequestHeader(reader)
    const api = apis.get(apiKey)
    if (api === undefined) throw new Error(`Unknown API ${apiKey}`)
    const own = api === ApiVersions ? this.#options.serves.get(ApiVersions) : undefined
    if (own !== undefined && apiVersion > own[1]) {
      // As Kafka does: in version 0, with nothing but this API's own range.
      const apiKeys = [{ apiKey, minVersion: own[0], maxVersion: own[1] }]
      socket.write([
        encodeResponse(ApiVersions, 0, correlationId, { errorCode: 35, apiKeys }).finish(),
      ])
      return
    }
    const request = api.request.codec(apiVersion).decode(reader) as unknown
    const received = { api, version: apiVersion, clientId, request, correlationId, socket }
    this.received.push(received)
    const reaction =
      api === ApiVersions ? { response: this.#versions() } : this.#options.react(received)
    if (reaction === 'close') socket.end()
    else if (reaction === 'silence') return
    else if ('raw' in reaction) socket.write([reaction.raw])
    else this.answer(received, reaction.response)
  }

  #versions(): object {
    const apiKeys = [...this.#options.serves].map(([api, [minVersion, maxVersion]]) => ({
      apiKey: api.key,
      minVersion,
      maxVersion,
    }))
    return { errorCode: 0, apiKeys }
  }
}
