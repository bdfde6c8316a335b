import { assert } from '../base/assert.ts'
import { NetworkError, type ClientEnv, type Socket, type Timer } from '../base/env.ts'
import type { Writer } from '../protocol/bytes/writer.ts'
import { AnswerFrames } from './answer-frames.ts'
import { correlationIdOf, decodeResponse, encodeRequest } from '../protocol/headers.ts'
import { ApiVersions } from '../protocol/messages/api-versions.ts'
import type { AnyApi, RequestInputOf, ResponseOf } from '../protocol/schema/api.ts'
import { aborted, clientError, orAborted, refusal, unreachable, type KafkaError } from './errors.ts'

export interface ConnectionOptions {
  readonly env: ClientEnv
  readonly host: string
  readonly port: number
  /** Brokers log it and count by it. */
  readonly clientId: string
  readonly connectTimeoutMs: number
  /** For requests that don't say otherwise. */
  readonly requestTimeoutMs: number
  /** The connection is closed when nothing was sent for so long and nothing is awaited. Undefined: never. */
  readonly idleMsMax?: number | undefined
  /** Called each second while the broker has said nothing for so long, and a request waits for its answer. */
  readonly onSilent?: ((connection: Connection) => void) | undefined
}

export interface SendOptions {
  readonly timeoutMs?: number | undefined
  /** Rejects at once when it fires. The request may have been sent; its answer is dropped. */
  readonly signal?: AbortSignal | undefined
}

/** What a broker may send in one frame: more means that it is no broker. */
const responseBytesMax = 1024 * 1024 * 1024
/** Nothing that brokers do at once takes so long; requests that wait there may. */
const silentMsMin = 1000
const softwareName = 'millrace'
const softwareVersion = '0.1.0'
const unsupportedVersion = 35

interface Pending {
  readonly correlationId: number
  readonly api: AnyApi
  readonly version: number
  readonly resolve: (response: never) => void
  readonly reject: (error: Error) => void
  readonly timeoutMs: number
  readonly deadlineMs: number
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
  readonly #frames = new AnswerFrames({ bytesMax: responseBytesMax })
  /** In the order of the requests, in which brokers answer. */
  readonly #pending: Pending[] = []
  /** By API key, what the broker speaks. */
  #served: ReadonlyMap<number, VersionRange> = new Map()
  #nextCorrelationId = 0
  /** Why no further request can be sent. */
  #closedBy: KafkaError | undefined
  #retired = false
  /** One for all requests: it goes off at the earliest deadline or before. */
  #timer: Timer | undefined
  #timerAtMs = Infinity
  #lastUsedMs: number
  /** A second after the broker last said something, or was asked after it had answered everything. */
  #silentAtMs = 0
  #idleTimer: Timer | undefined

  private constructor(options: ConnectionOptions, socket: Socket) {
    this.#options = options
    this.#socket = socket
    this.address = `${options.host}:${options.port}`
    this.#lastUsedMs = options.env.clock.monotonicMs()
    socket.onData = (chunk) => this.#receive(chunk)
    socket.onDrain = () => undefined
    socket.onClose = (error) => this.#fail(this.#lost('The connection was closed', error))
  }

  /** Dials and finds out what the broker speaks. Rejects with `KafkaError`. */
  static async open(options: ConnectionOptions): Promise<Connection> {
    const { host, port, connectTimeoutMs, env } = options
    let socket: Socket
    try {
      socket = await env.network.dial({
        host,
        port,
        timeoutMs: connectTimeoutMs,
        lendChunks: true,
      })
    } catch (error) {
      if (error instanceof NetworkError) throw unreachable(`${host}:${port}`, error)
      throw error
    }
    const connection = new Connection(options, socket)
    try {
      await connection.#negotiate()
      connection.#watchIdle()
      return connection
    } catch (error) {
      connection.close()
      throw error
    }
  }

  /** No request waits for its answer. */
  get isIdle(): boolean {
    return this.#pending.length === 0
  }

  /** The broker owes an answer, and has said nothing for a second. */
  get isSilent(): boolean {
    const { clock } = this.#options.env
    return this.#pending.length > 0 && clock.monotonicMs() >= this.#silentAtMs
  }

  /** False from the moment that no answer can come any more. */
  get open(): boolean {
    return this.#closedBy === undefined && !this.#retired
  }

  /** Whether this is the address it was dialled by. */
  leadsTo({ host, port }: { readonly host: string; readonly port: number }): boolean {
    return this.#options.host === host && this.#options.port === port
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
    options?: SendOptions,
  ): Promise<ResponseOf<A>> {
    const closedBy = this.#unusable()
    if (closedBy !== undefined) return Promise.reject(closedBy)
    const signal = options?.signal
    if (signal?.aborted === true) return Promise.reject(aborted(api.name, signal))
    const timeoutMs = options?.timeoutMs ?? this.#options.requestTimeoutMs
    const answered = new Promise<ResponseOf<A>>((resolve, reject) => {
      const correlationId = this.#write(api, version, request, undefined)
      const deadlineMs = this.#lastUsedMs + timeoutMs
      const pending = { correlationId, api, version, resolve, reject, timeoutMs, deadlineMs }
      const laterMs = this.#lastUsedMs + silentMsMin
      if (this.#pending.length === 0) this.#silentAtMs = laterMs
      this.#pending.push(pending)
      const atMs = Math.min(deadlineMs, laterMs)
      if (atMs < this.#timerAtMs) this.#wakeAt(atMs)
    })
    return orAborted(api.name, answered, signal)
  }

  /**
   * Sends a request that is not answered: Produce with acks=0. Throws `KafkaError` when the connection is closed.
   * `done` is called when the request's buffers are no longer needed.
   */
  post<A extends AnyApi>(
    api: A,
    version: number,
    request: RequestInputOf<A>,
    done?: () => void,
  ): void {
    const closedBy = this.#unusable()
    if (closedBy !== undefined) throw closedBy
    this.#write(api, version, request, done)
  }

  /** Bytes written that the kernel has not taken yet. */
  get backlogBytes(): number {
    return this.#socket.backlogBytes
  }

  /** Takes no further requests, and closes when those on their way are answered. */
  retire(): void {
    this.#retired = true
    if (this.#pending.length === 0) this.#end(this.#replacement())
  }

  /** Sends what is queued, then closes. Requests without an answer are rejected. */
  close(): void {
    const text = `The connection to ${this.address} was closed`
    this.#end(clientError('CLOSED', text, { retriable: false }))
  }

  /** No answer is to be expected any more: requests are rejected as if the broker had closed the connection. */
  giveUp(): void {
    this.#abandon(this.#lost('No answer came', new Error('the cluster counts without this broker')))
  }

  #unusable(): KafkaError | undefined {
    if (this.#closedBy !== undefined || !this.#retired) return this.#closedBy
    return this.#replacement()
  }

  /** For whoever got this connection just before. */
  #replacement(): KafkaError {
    return clientError('CONNECTION_LOST', `The connection to ${this.address} is being replaced`, {
      retriable: true,
      broker: this.address,
    })
  }

  #end(error: KafkaError): void {
    this.#fail(error)
    this.#socket.end()
  }

  #write<A extends AnyApi>(
    api: A,
    version: number,
    request: RequestInputOf<A>,
    done: (() => void) | undefined,
  ): number {
    const correlationId = this.#nextCorrelationId
    this.#nextCorrelationId = (correlationId + 1) & 0x7fff_ffff
    const writer = encodeRequest(api, version, correlationId, this.#options.clientId, request)
    this.#socket.write(buffersOf(writer), done)
    this.#lastUsedMs = this.#options.env.clock.monotonicMs()
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
    this.#silentAtMs = this.#options.env.clock.monotonicMs() + silentMsMin
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
    const at = this.#pending.findIndex((each) => each.correlationId === correlationId)
    const pending = this.#pending[at]
    if (pending === undefined)
      throw new Error(`an answer to request ${correlationId}, which was not sent`)
    const { response } = decodeResponse(pending.api, versionOfAnswer(pending, frame), frame)
    this.#pending.splice(at, 1)
    pending.resolve(response as never)
    if (this.#retired && this.#pending.length === 0) this.#end(this.#replacement())
  }

  #wakeAt(atMs: number): void {
    this.#timer?.cancel()
    this.#timerAtMs = atMs
    const { clock, timers } = this.#options.env
    // Somebody waits for what this timer guards: without it the process could end before that is settled.
    this.#timer = timers.after(Math.max(0, atMs - clock.monotonicMs()), () => this.#wake(), {
      holdsProcess: this.#pending.length > 0,
    })
  }

  /** Timers may go off a little early: then the next one follows at once. */
  #wake(): void {
    this.#timer = undefined
    this.#timerAtMs = Infinity
    const nowMs = this.#options.env.clock.monotonicMs()
    let nextMs = Infinity
    for (const pending of this.#pending) {
      if (pending.deadlineMs <= nowMs) {
        this.#timedOut(pending.api, pending.timeoutMs)
        return
      }
      nextMs = Math.min(nextMs, pending.deadlineMs)
    }
    if (nextMs === Infinity) return
    const isSilent = nowMs >= this.#silentAtMs
    this.#wakeAt(Math.min(nextMs, isSilent ? nowMs + silentMsMin : this.#silentAtMs))
    if (isSilent) this.#options.onSilent?.(this)
  }

  #watchIdle(): void {
    const { idleMsMax, env } = this.#options
    if (idleMsMax === undefined || this.#closedBy !== undefined) return
    const idleMs = env.clock.monotonicMs() - this.#lastUsedMs
    if (idleMs >= idleMsMax && this.#pending.length === 0) {
      this.retire()
      return
    }
    // One whose request waits for longer than that is looked at again later.
    const leftMs = idleMs < idleMsMax ? idleMsMax - idleMs : idleMsMax
    this.#idleTimer = env.timers.after(Math.max(1, leftMs), () => this.#watchIdle())
  }

  #timedOut(api: AnyApi, timeoutMs: number): void {
    this.#abandon(
      clientError(
        'REQUEST_TIMEOUT',
        `${this.address} did not answer ${api.name} within ${timeoutMs} ms`,
        {
          retriable: true,
          broker: this.address,
        },
      ),
    )
  }

  #lost(what: string, cause: unknown): KafkaError {
    const why = cause === undefined ? 'by the broker' : messageOf(cause)
    return clientError('CONNECTION_LOST', `${what} (${this.address}): ${why}`, {
      retriable: true,
      broker: this.address,
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
    this.#timer?.cancel()
    this.#idleTimer?.cancel()
    for (const pending of this.#pending.splice(0)) pending.reject(error)
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
