import { assert } from '../base/assert.ts'
import { NetworkError, type Env, type Socket, type Timer } from '../base/env.ts'
import type { Writer } from '../protocol/bytes/writer.ts'
import { FrameReader } from '../protocol/frame.ts'
import { correlationIdOf, decodeResponse, encodeRequest } from '../protocol/headers.ts'
import { ApiVersions } from '../protocol/messages/api-versions.ts'
import type { AnyApi, RequestInputOf, ResponseOf } from '../protocol/schema/api.ts'
import { clientError, refusal, unreachable, type KafkaError } from './errors.ts'

export interface ConnectionOptions {
  readonly env: Env
  readonly host: string
  readonly port: number
  /** Brokers log it and count by it. */
  readonly clientId: string
  readonly connectTimeoutMs: number
  /** For requests that don't say otherwise. */
  readonly requestTimeoutMs: number
}

/** What a broker may send in one frame: more means that it is no broker. */
const responseBytesMax = 1024 * 1024 * 1024
const softwareName = 'millrace'
const softwareVersion = '0.1.0'
const unsupportedVersion = 35

interface Pending {
  readonly api: AnyApi
  readonly version: number
  readonly resolve: (response: never) => void
  readonly reject: (error: Error) => void
  readonly timer: Timer
}

interface VersionRange {
  readonly first: number
  readonly last: number
}

/**
 * One socket to one broker. Requests may overlap; the broker answers them in order.
 * When a request times out the connection is closed, as Java's client does: what comes later could only confuse.
 */
export class Connection {
  readonly address: string
  readonly #options: ConnectionOptions
  readonly #socket: Socket
  readonly #frames = new FrameReader({ bytesMax: responseBytesMax })
  readonly #pending = new Map<number, Pending>()
  /** By API key, what the broker speaks. */
  #served: ReadonlyMap<number, VersionRange> = new Map()
  #nextCorrelationId = 0
  /** Why no further request can be sent. */
  #closedBy: KafkaError | undefined

  private constructor(options: ConnectionOptions, socket: Socket) {
    this.#options = options
    this.#socket = socket
    this.address = `${options.host}:${options.port}`
    socket.onData = (chunk) => this.#receive(chunk)
    socket.onDrain = () => undefined
    socket.onClose = (error) => this.#fail(this.#lost('The connection was closed', error))
  }

  /** Dials and finds out what the broker speaks. Rejects with `KafkaError`. */
  static async open(options: ConnectionOptions): Promise<Connection> {
    const { host, port, connectTimeoutMs, env } = options
    let socket: Socket
    try {
      socket = await env.network.dial({ host, port, timeoutMs: connectTimeoutMs })
    } catch (error) {
      if (error instanceof NetworkError) throw unreachable(`${host}:${port}`, error)
      throw error
    }
    const connection = new Connection(options, socket)
    try {
      await connection.#negotiate()
      return connection
    } catch (error) {
      connection.close()
      throw error
    }
  }

  /** False from the moment that no answer can come any more. */
  get open(): boolean {
    return this.#closedBy === undefined
  }

  /** Whether any version is spoken by both sides. */
  serves(api: AnyApi): boolean {
    const served = this.#served.get(api.key)
    return served !== undefined && served.first <= api.versions[1] && served.last >= api.versions[0]
  }

  /** The highest version that both sides speak, up to `highest`. Throws `KafkaError`. */
  versionOf(api: AnyApi, highest = Number.MAX_SAFE_INTEGER): number {
    const served = this.#served.get(api.key)
    const first = Math.max(api.versions[0], served?.first ?? Infinity)
    const last = Math.min(api.versions[1], served?.last ?? -1, highest)
    if (first <= last) return last
    const theirs =
      served === undefined ? 'does not serve it' : `serves ${served.first} to ${served.last}`
    throw clientError(
      'UNSUPPORTED_API',
      `${api.name} is needed in version ${api.versions[0]} to ${Math.min(api.versions[1], highest)}, and ${this.address} ${theirs}`,
      { retriable: false },
    )
  }

  /**
   * Sends one request and resolves with its answer, whose buffers belong to the caller. Rejects with `KafkaError`.
   * Buffers in the request must stay as they are until then.
   */
  send<A extends AnyApi>(
    api: A,
    version: number,
    request: RequestInputOf<A>,
    options?: { readonly timeoutMs?: number },
  ): Promise<ResponseOf<A>> {
    if (this.#closedBy !== undefined) return Promise.reject(this.#closedBy)
    const timeoutMs = options?.timeoutMs ?? this.#options.requestTimeoutMs
    return new Promise<ResponseOf<A>>((resolve, reject) => {
      const correlationId = this.#write(api, version, request)
      const timer = this.#options.env.timers.after(timeoutMs, () => this.#timedOut(api, timeoutMs))
      this.#pending.set(correlationId, { api, version, resolve, reject, timer })
    })
  }

  /** Sends a request that is not answered: Produce with acks=0. Throws `KafkaError` when the connection is closed. */
  post<A extends AnyApi>(api: A, version: number, request: RequestInputOf<A>): void {
    if (this.#closedBy !== undefined) throw this.#closedBy
    this.#write(api, version, request)
  }

  /** Sends what is queued, then closes. Requests without an answer are rejected. */
  close(): void {
    this.#fail(
      clientError('CLOSED', `The connection to ${this.address} was closed`, { retriable: false }),
    )
    this.#socket.end()
  }

  #write<A extends AnyApi>(api: A, version: number, request: RequestInputOf<A>): number {
    const correlationId = this.#nextCorrelationId
    this.#nextCorrelationId = (correlationId + 1) & 0x7fff_ffff
    const writer = encodeRequest(api, version, correlationId, this.#options.clientId, request)
    this.#socket.write(buffersOf(writer))
    return correlationId
  }

  async #negotiate(): Promise<void> {
    let version = ApiVersions.versions[1]
    for (;;) {
      const response = await this.send(
        ApiVersions,
        version,
        { clientSoftwareName: softwareName, clientSoftwareVersion: softwareVersion },
        { timeoutMs: this.#options.connectTimeoutMs },
      )
      if (response.errorCode === 0) {
        const ranges = response.apiKeys.map(
          ({ apiKey, minVersion, maxVersion }): [number, VersionRange] => [
            apiKey,
            { first: minVersion, last: maxVersion },
          ],
        )
        this.#served = new Map(ranges)
        return
      }
      if (response.errorCode !== unsupportedVersion || version === 0) {
        throw refusal(`ApiVersions of ${this.address}`, response.errorCode)
      }
      // The refusal tells which versions of this one API the broker has; old brokers tell nothing.
      const own = response.apiKeys.find(({ apiKey }) => apiKey === ApiVersions.key)
      version = Math.min(own?.maxVersion ?? 0, version - 1)
    }
  }

  #receive(chunk: Buffer): void {
    try {
      this.#frames.push(chunk, (frame) => this.#answer(frame))
    } catch (error) {
      this.#abandon(
        clientError(
          'PROTOCOL',
          `${this.address} does not speak the Kafka protocol: ${messageOf(error)}`,
          {
            retriable: false,
            cause: error,
          },
        ),
      )
    }
  }

  #answer(frame: Buffer): void {
    const correlationId = correlationIdOf(frame)
    const pending = this.#pending.get(correlationId)
    if (pending === undefined)
      throw new Error(`an answer to request ${correlationId}, which was not sent`)
    // Responses hold views on the frame, and the frame's bytes are used again for the next one.
    const owned = Buffer.from(frame)
    const { response } = decodeResponse(pending.api, versionOfAnswer(pending, owned), owned)
    this.#pending.delete(correlationId)
    pending.timer.cancel()
    pending.resolve(response as never)
  }

  #timedOut(api: AnyApi, timeoutMs: number): void {
    this.#abandon(
      clientError(
        'REQUEST_TIMEOUT',
        `${this.address} did not answer ${api.name} within ${timeoutMs} ms`,
        {
          retriable: true,
        },
      ),
    )
  }

  #lost(what: string, cause: unknown): KafkaError {
    const why = cause === undefined ? 'by the broker' : messageOf(cause)
    return clientError('CONNECTION_LOST', `${what} (${this.address}): ${why}`, {
      retriable: true,
      cause,
    })
  }

  #abandon(error: KafkaError): void {
    this.#fail(error)
    this.#socket.destroy(error)
  }

  /** The first reason stays. */
  #fail(error: KafkaError): void {
    if (this.#closedBy !== undefined) return
    this.#closedBy = error
    for (const pending of this.#pending.values()) {
      pending.timer.cancel()
      pending.reject(error)
    }
    this.#pending.clear()
  }
}

/** A broker that does not know our version of ApiVersions answers in version 0. */
function versionOfAnswer(pending: Pending, frame: Buffer): number {
  const refused =
    pending.api === ApiVersions && frame.length >= 6 && frame.readInt16BE(4) === unsupportedVersion
  return refused ? 0 : pending.version
}

function buffersOf(writer: Writer): Buffer[] {
  return writer.chunks().map((chunk) => {
    if (chunk instanceof Uint8Array) return chunk
    assert(chunk.buffer !== undefined, 'what a client sends is in memory')
    return chunk.buffer
  })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
