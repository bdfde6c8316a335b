import { assert, AssertionError } from '../../base/assert.ts'
import type { Clock, Socket } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import type { Payload } from '../../base/payload.ts'
import { ProtocolError } from '../../protocol/bytes/protocol-error.ts'
import { Reader } from '../../protocol/bytes/reader.ts'
import { encodeResponse } from '../../protocol/headers.ts'
import { decodeRequestHeader, type RequestHeader } from '../../protocol/request-header.ts'
import type { Outbox, Sender } from './outbox.ts'
import { FrameError, ReceiveBuffer } from './receive-buffer.ts'
import type { MemoryWaiter, ReceiveMemory } from './receive-memory.ts'
import { ReplyQueue, type ReplySlot } from './reply-queue.ts'
import type { Route, Routes } from './route.ts'

export interface ConnectionLimits {
  readonly requestBytesMax: number
  /** Requests of one connection that may be in progress at once. */
  readonly pipelinedCountMax: number
  /** Bytes of answers that the client has not taken; above, its requests wait. */
  readonly backlogBytesMax: number
  /** How long a client may take none of its answers. */
  readonly backlogStallMsMax: number
  readonly firstByteMsMax: number
  readonly idleMsMax: number
  /** A frame must arrive at this pace, after a grace of `firstByteMsMax`. */
  readonly frameBytesPerSecondMin: number
}

export interface ConnectionOptions {
  readonly id: number
  readonly listenerName: string
  readonly routes: Routes
  readonly limits: ConnectionLimits
  readonly memory: ReceiveMemory
  readonly outbox: Outbox
  readonly clock: Clock
  readonly logger: Logger
  /** A bug in our own code was hit; the broker decides what becomes of the process. */
  readonly failed: (error: unknown) => void
  readonly closed: (connection: Connection) => void
}

/** So many small answers of one client are sent at once. */
const filledCountMax = 32

/** One client: frames in, requests handled in their order, answers out in the same order. */
export class Connection implements Sender, MemoryWaiter {
  readonly id: number
  readonly listenerName: string
  readonly remoteAddress: string
  readonly #socket: Socket
  readonly #options: ConnectionOptions
  readonly #receive: ReceiveBuffer
  readonly #replies: ReplyQueue
  /** Few connections have any. */
  #closeCallbacks: Set<() => void> | undefined
  #closed = false
  /** Nothing more is handled; the socket tells later that it is gone. */
  #closing = false
  /** Set while the request in progress admits no second one beside it. */
  #exclusive = false
  /** Set while the next request waits for the answers to all those before it. */
  #postponed = false
  #reading = true
  #pumping = false
  #draining = false
  /** It will be asked to `flush`. */
  #isInOutbox = false
  /** All answers are handed over; the socket now drops what it reads. */
  #ended = false
  #sawBytes = false
  #lastActivityMs: number
  /** From when on the pace of the frame that is now incomplete is measured; 0 while there is none. */
  #partialSinceMs = 0
  /** What had come by then. */
  #partialSeenBytes = 0
  /** When the client last took bytes; 0 while nothing is queued. */
  #backlogSinceMs = 0
  #backlogSeenBytes = 0

  constructor(socket: Socket, options: ConnectionOptions) {
    this.id = options.id
    this.listenerName = options.listenerName
    this.remoteAddress = socket.remoteAddress
    this.#socket = socket
    this.#options = options
    this.#receive = new ReceiveBuffer(options.limits.requestBytesMax, options.memory)
    this.#replies = new ReplyQueue(socket)
    this.#lastActivityMs = options.clock.monotonicMs()
    socket.onData = (chunk) => this.#onData(chunk)
    socket.onDrain = () => this.#pump()
    socket.onClose = (error) => this.#onClose(error)
  }

  get closed(): boolean {
    return this.#closed
  }

  onClosed(callback: () => void): () => void {
    this.#closeCallbacks ??= new Set()
    this.#closeCallbacks.add(callback)
    return () => this.#closeCallbacks?.delete(callback)
  }

  close(reason: string): void {
    if (this.#closing || this.#closed) return
    this.#closing = true
    this.#options.logger.info(
      { connection: this.id, remote: this.remoteAddress, reason },
      'Closing a connection',
    )
    this.#replies.flush()
    this.#socket.destroy()
  }

  /** Sends the answers that are ready; the outbox calls it. */
  flush(): void {
    this.#isInOutbox = false
    try {
      this.#replies.flush()
    } catch (error) {
      this.#refuse(error)
    }
  }

  /** Takes no further request; closes as soon as the answers in progress are sent. */
  drain(): void {
    this.#draining = true
    this.#closeWhenDrained()
  }

  /** Closes a client that makes no progress. Called about once a second. */
  sweep(nowMs: number): void {
    const { limits } = this.#options
    if (this.#closed) return
    const reason = this.#stalled(nowMs)
    if (reason !== undefined) this.close(reason)
    else if (nowMs - this.#lastActivityMs > limits.idleMsMax) {
      // Also while it waits for an answer, as in Kafka: a client that vanished is not noticed while we don't read.
      this.close('idle for connections.max.idle.ms')
    }
  }

  #stalled(nowMs: number): string | undefined {
    const { limits } = this.#options
    if (!this.#sawBytes && nowMs - this.#lastActivityMs > limits.firstByteMsMax)
      return 'no first byte in time'
    const partialMs =
      this.#partialSinceMs === 0 || !this.#reading ? 0 : nowMs - this.#partialSinceMs
    if (partialMs > limits.firstByteMsMax) {
      const { partialBytes } = this.#receive
      const pace = ((partialBytes - this.#partialSeenBytes) * 1000) / partialMs
      if (pace < limits.frameBytesPerSecondMin) return 'a request that does not get on'
      // What came fast does not pay for what crawls.
      this.#partialSinceMs = nowMs
      this.#partialSeenBytes = partialBytes
    }
    const backlogBytes = this.#socket.backlogBytes
    if (backlogBytes === 0 || backlogBytes !== this.#backlogSeenBytes) {
      // A client that takes an answer, however slowly, is not idle.
      if (backlogBytes > 0) this.#lastActivityMs = nowMs
      this.#backlogSeenBytes = backlogBytes
      this.#backlogSinceMs = nowMs
    } else if (nowMs - this.#backlogSinceMs > limits.backlogStallMsMax)
      return 'the client takes no answers'
    return undefined
  }

  #onData(chunk: Buffer): void {
    this.#sawBytes = true
    this.#lastActivityMs = this.#options.clock.monotonicMs()
    this.#receive.push(chunk)
    this.#pump()
    this.#receive.own()
  }

  /** Handles whatever is complete and allowed, and reads on or stops reading accordingly. */
  #pump(): void {
    if (this.#closing || this.#closed || this.#ended || this.#pumping) return
    this.#pumping = true
    try {
      while (!this.#closing && !this.#closed && !this.#mustWait()) {
        const frame = this.#receive.next(this)
        if (frame === undefined) break
        // Whatever is behind it has begun only now.
        this.#partialSinceMs = 0
        this.#dispatch(frame)
      }
      // The client may be silent from now on, and a handler that still waits has taken what it needs.
      this.#receive.settle()
    } catch (error) {
      this.#refuse(error)
    }
    this.#pumping = false
    if (this.#closed) return
    this.#notePartial()
    this.#setReading()
  }

  /** Memory for the next request is free again; the receive buffer calls it. */
  memoryReady(): void {
    this.#options.logger.debug({ connection: this.id }, 'Memory for requests is free again')
    this.#pump()
  }

  #notePartial(): void {
    if (!this.#receive.partial) this.#partialSinceMs = 0
    else if (this.#partialSinceMs === 0) {
      this.#partialSinceMs = this.#lastActivityMs
      this.#partialSeenBytes = 0
    }
  }

  #mustWait(): boolean {
    const { limits } = this.#options
    const pendingCount = this.#replies.pendingCount
    if (pendingCount === 0) this.#postponed = false
    return (
      this.#draining ||
      this.#exclusive ||
      this.#postponed ||
      pendingCount >= limits.pipelinedCountMax ||
      this.#socket.backlogBytes > limits.backlogBytesMax
    )
  }

  /** Unread bytes stay in the kernel while we wait, so the client feels it; without any, a close is still seen. */
  #setReading(): void {
    const reading = !(this.#receive.partialBytes > 0 && (this.#mustWait() || this.#receive.starved))
    if (reading === this.#reading) return
    this.#reading = reading
    if (!reading) this.#socket.pause()
    else {
      // The client could not send while we did not read.
      if (this.#partialSinceMs !== 0) {
        this.#partialSinceMs = this.#options.clock.monotonicMs()
        this.#partialSeenBytes = this.#receive.partialBytes
      }
      this.#socket.resume()
    }
  }

  #dispatch(frame: Buffer): void {
    const reader = new Reader(frame)
    const header = decodeRequestHeader(reader)
    const route = this.#options.routes.get(header.apiKey)
    if (route === undefined) throw new ProtocolError(`API key ${header.apiKey} is not served`)
    const { apiVersion } = header
    if (apiVersion < route.versionMin || apiVersion > route.versionMax) {
      this.#refuseVersion(route, header)
      return
    }
    if (!route.overlaps && this.#replies.pendingCount > 0) {
      this.#receive.unread()
      this.#postponed = true
      return
    }
    this.#start(route, header, reader)
  }

  #start(route: Route, header: RequestHeader, reader: Reader): void {
    // What is behind its end is ignored, as by Kafka: librdkafka leaves 3 bytes there when it asks for all topics.
    const request = route.api.request.codec(header.apiVersion).decode(reader)
    const slot = this.#replies.open()
    const origin = { version: header.apiVersion, clientId: header.clientId, connection: this }
    const answer = route.handle(request, origin)
    if (!(answer instanceof Promise)) {
      this.#reply(route, header, slot, answer)
      return
    }
    if (!route.overlaps) this.#exclusive = true
    answer.then(
      (response) => this.#replyLater(route, header, slot, response),
      (error: unknown) => this.#refuse(error),
    )
  }

  /** Answers that may overlap are small, and go out together. Else the backlog must be known before the next request. */
  #reply(route: Route, header: RequestHeader, slot: ReplySlot, response: unknown): void {
    const chunks = encode(route, header, response)
    this.#replies.fill(slot, chunks)
    const isSmall = route.overlaps && chunks.length > 0
    if (!isSmall || this.#replies.filledCount >= filledCountMax) this.#replies.flush()
    else if (!this.#isInOutbox) {
      this.#isInOutbox = true
      this.#options.outbox.add(this)
    }
  }

  #replyLater(route: Route, header: RequestHeader, slot: ReplySlot, response: unknown): void {
    try {
      this.#reply(route, header, slot, response)
    } catch (error) {
      this.#refuse(error)
      return
    }
    if (!route.overlaps) this.#exclusive = false
    this.#lastActivityMs = this.#options.clock.monotonicMs()
    if (this.#draining) this.#closeWhenDrained()
    else if (this.#receive.partial) this.#pump()
  }

  #refuseVersion(route: Route, header: RequestHeader): void {
    const refusal = route.refuseVersion?.()
    if (refusal === undefined) {
      throw new ProtocolError(`Version ${header.apiVersion} of ${route.api.name} is not served`)
    }
    const chunks = encodeResponse(
      route.api,
      refusal.version,
      header.correlationId,
      refusal.response,
    ).chunks()
    this.#replies.fill(this.#replies.open(), chunks)
    this.#replies.flush()
  }

  /** Bad input closes the connection, as in Kafka. Anything else that is thrown is a bug of ours. */
  #refuse(error: unknown): void {
    if (error instanceof ProtocolError || error instanceof FrameError) {
      this.close(error.message)
      return
    }
    // Also when the client has left meanwhile.
    this.#options.logger.error({ connection: this.id, err: error }, 'A request failed unexpectedly')
    this.close('internal error')
    if (error instanceof AssertionError) this.#options.failed(error)
  }

  #closeWhenDrained(): void {
    if (this.#closed || this.#replies.pendingCount > 0) return
    this.#replies.flush()
    this.#ended = true
    this.#socket.end()
  }

  #onClose(error?: Error): void {
    assert(!this.#closed, 'a connection closes once')
    this.#closed = true
    if (error !== undefined)
      this.#options.logger.debug({ connection: this.id, err: error }, 'A connection broke')
    this.#replies.close()
    this.#receive.close()
    for (const callback of this.#closeCallbacks ?? []) callback()
    this.#closeCallbacks = undefined
    this.#options.closed(this)
  }
}

/** Nothing is sent for an undefined response. */
function encode(
  route: Route,
  header: RequestHeader,
  response: unknown,
): readonly (Buffer | Payload)[] {
  if (response === undefined) return []
  return encodeResponse(route.api, header.apiVersion, header.correlationId, response).chunks()
}
