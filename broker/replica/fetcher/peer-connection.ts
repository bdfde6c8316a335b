import { assert } from '../../../base/assert.ts'
import { NetworkError, type Env, type Socket, type Timer } from '../../../base/env.ts'
import { correlationIdOf, decodeResponse, encodeRequest } from '../../../protocol/headers.ts'
import { ApiVersions } from '../../../protocol/messages/api-versions.ts'
import type { AnyApi, RequestInputOf, ResponseOf } from '../../../protocol/schema/api.ts'
import { AnswerBuffer } from './answer-buffer.ts'

export interface PeerConnectionOptions {
  readonly env: Pick<Env, 'network' | 'timers'>
  readonly host: string
  readonly port: number
  readonly clientId: string
  /** For the connection itself, and for each answer. */
  readonly timeoutMs: number
}

interface Pending {
  readonly api: AnyApi
  readonly version: number
  readonly correlationId: number
  readonly resolve: (response: never) => void
  readonly reject: (error: Error) => void
  readonly timer: Timer
}

/** The peer does not answer, or not as a broker should. */
export class PeerError extends Error {
  override readonly name = 'PeerError'
  readonly code: 'CLOSED' | 'TIMEOUT' | 'PROTOCOL' | 'UNSUPPORTED'
  constructor(message: string, options: { code: PeerError['code']; cause?: unknown }) {
    super(message, { cause: options.cause })
    this.code = options.code
  }
}

/** What a broker may answer in one frame: more means that it is no broker. */
const answerBytesMax = 1024 * 1024 * 1024
const softwareName = 'millrace'
const softwareVersion = '0.1.0'
const unsupportedVersion = 35

/**
 * One socket to another broker, with one request at a time on it.
 *
 * I1: the bytes of an answer are valid until the next request is sent.
 */
export class PeerConnection {
  readonly address: string
  readonly #options: PeerConnectionOptions
  readonly #socket: Socket
  readonly #answers = new AnswerBuffer({ bytesMax: answerBytesMax })
  /** By API key, what the peer speaks. */
  readonly #served = new Map<number, { readonly first: number; readonly last: number }>()
  #pending: Pending | undefined
  #correlationId = 0
  #closedBy: Error | undefined

  private constructor(options: PeerConnectionOptions, socket: Socket) {
    this.#options = options
    this.#socket = socket
    this.address = `${options.host}:${options.port}`
    socket.onData = (chunk) => this.#receive(chunk)
    socket.onDrain = () => undefined
    socket.onClose = (cause) => {
      this.#fail(new PeerError(`${this.address} closed the connection`, { code: 'CLOSED', cause }))
    }
  }

  /** Dials and finds out what the peer speaks. Rejects with `NetworkError` or `PeerError`. */
  static async open(options: PeerConnectionOptions): Promise<PeerConnection> {
    const { host, port, timeoutMs, env } = options
    const socket = await env.network.dial({ host, port, timeoutMs, lendChunks: true })
    const connection = new PeerConnection(options, socket)
    try {
      await connection.#negotiate()
      return connection
    } catch (error) {
      connection.close()
      throw error
    }
  }

  get open(): boolean {
    return this.#closedBy === undefined
  }

  /** Whether a part of an answer has come. */
  get answering(): boolean {
    return this.#answers.partial
  }

  /** The highest version that both sides speak. Throws `PeerError` when it is below `lowest`. */
  versionOf(api: AnyApi, lowest: number = api.versions[0]): number {
    const served = this.#served.get(api.key)
    const first = Math.max(lowest, served?.first ?? Infinity)
    const last = Math.min(api.versions[1], served?.last ?? -1)
    if (first <= last) return last
    const theirs =
      served === undefined ? 'does not serve it' : `serves ${served.first} to ${served.last}`
    throw new PeerError(
      `${api.name} is needed in version ${lowest} to ${api.versions[1]}, and ${this.address} ${theirs}`,
      { code: 'UNSUPPORTED' },
    )
  }

  /** `waitMs`: the peer may take so long before it answers. Rejects with `NetworkError` or `PeerError`; then the connection is closed. */
  send<A extends AnyApi>(
    api: A,
    version: number,
    request: RequestInputOf<A>,
    { waitMs = 0 }: { readonly waitMs?: number } = {},
  ): Promise<ResponseOf<A>> {
    assert(this.#pending === undefined, 'a peer is asked one thing at a time')
    if (this.#closedBy !== undefined) return Promise.reject(this.#closedBy)
    const { env, clientId } = this.#options
    const timeoutMs = this.#options.timeoutMs + waitMs
    const correlationId = this.#correlationId
    this.#correlationId = (correlationId + 1) & 0x7fff_ffff
    const frame = encodeRequest(api, version, correlationId, clientId, request).finish()
    return new Promise((resolve, reject) => {
      const timer = env.timers.after(timeoutMs, () => {
        const message = `${this.address} did not answer ${api.name} within ${timeoutMs} ms`
        this.#abandon(new PeerError(message, { code: 'TIMEOUT' }))
      })
      this.#pending = { api, version, correlationId, resolve, reject, timer }
      this.#socket.write([frame])
    })
  }

  /** Whoever waits for an answer is told. */
  close(): void {
    this.#abandon(new PeerError(`The connection to ${this.address} was closed`, { code: 'CLOSED' }))
  }

  async #negotiate(): Promise<void> {
    let version = ApiVersions.versions[1]
    for (;;) {
      const response = await this.send(ApiVersions, version, {
        clientSoftwareName: softwareName,
        clientSoftwareVersion: softwareVersion,
      })
      if (response.errorCode === 0) {
        for (const { apiKey, minVersion, maxVersion } of response.apiKeys)
          this.#served.set(apiKey, { first: minVersion, last: maxVersion })
        return
      }
      if (response.errorCode !== unsupportedVersion || version === 0) {
        const message = `${this.address} refused ApiVersions with error ${response.errorCode}`
        throw new PeerError(message, { code: 'PROTOCOL' })
      }
      // The refusal tells which versions of this one API the peer has.
      const own = response.apiKeys.find(({ apiKey }) => apiKey === ApiVersions.key)
      version = Math.min(own?.maxVersion ?? 0, version - 1)
    }
  }

  #receive(chunk: Buffer): void {
    if (this.#closedBy !== undefined) return
    try {
      this.#answers.push(chunk, (frame) => this.#answer(frame))
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      const message = `${this.address} does not speak the Kafka protocol: ${why}`
      this.#abandon(new PeerError(message, { code: 'PROTOCOL', cause }))
    }
  }

  #answer(frame: Buffer): void {
    const pending = this.#pending
    const correlationId = correlationIdOf(frame)
    if (pending?.correlationId !== correlationId)
      throw new PeerError(`an answer to request ${correlationId}, which was not asked`, {
        code: 'PROTOCOL',
      })
    const { response } = decodeResponse(pending.api, versionOfAnswer(pending, frame), frame)
    this.#pending = undefined
    pending.timer.cancel()
    pending.resolve(response as never)
  }

  #abandon(error: Error): void {
    this.#fail(error)
    this.#socket.destroy()
  }

  /** The first reason stays. */
  #fail(error: Error): void {
    if (this.#closedBy !== undefined) return
    this.#closedBy = error
    const pending = this.#pending
    this.#pending = undefined
    pending?.timer.cancel()
    pending?.reject(error)
  }
}

/** Whether it is the peer's or the network's fault, rather than a bug of ours. */
export function isPeerFailure(error: unknown): error is NetworkError | PeerError {
  return error instanceof NetworkError || error instanceof PeerError
}

/** A broker that does not know our version of ApiVersions answers in version 0. */
function versionOfAnswer(pending: Pending, frame: Buffer): number {
  const refused =
    pending.api === ApiVersions && frame.length >= 6 && frame.readInt16BE(4) === unsupportedVersion
  return refused ? 0 : pending.version
}
