import type { Env, Socket } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import type { Uuid } from '../../base/uuid.ts'
import { errors } from '../../protocol/errors.ts'
import { MetadataFormatError } from '../../protocol/metadata-records/codec.ts'
import type { ControllerLink } from '../controller-link.ts'
import { refuse, type Refusal } from '../outcome.ts'
import {
  decodeFrame,
  encodeFrame,
  magic,
  requestBytesMax,
  RpcFrames,
  rpcVersion,
  silenceMsMax,
  toBroker,
  toController,
} from './frames.ts'
import { FeedCursor, type MetadataFeed } from './metadata-feed.ts'
import { operationsByNumber, type AnyOperation } from './operations.ts'
import { isSoundlyPacked } from './packed.ts'
import { id, integer, nullable, RpcFormatError, text, tuple } from './shapes.ts'

/** What a broker may leave unread before it gets nothing new. */
const backlogBytesMax = 8 * 1024 * 1024
const requestsMax = 64

export interface ReigningController extends ControllerLink {
  /** Of its metadata: grows with each restore. */
  readonly generation: number
}

/** The reigning controller and what it tells brokers, or where else to ask. */
export type Reign =
  | { readonly reigns: true; readonly controller: ReigningController; readonly feed: MetadataFeed }
  | { readonly reigns: false; readonly hint: () => string | null }

export interface BrokerSessionOptions {
  readonly env: Env
  readonly logger: Logger
  readonly reign: () => Reign
  /** The broker in this process, which needs no connection; undefined: there is none. */
  readonly localBrokerId: number | undefined
  /** After the socket closed. */
  readonly closed: (session: BrokerSession) => void
  readonly failed: (error: unknown) => void
}

export interface Subscriber {
  readonly nodeId: number
  readonly incarnation: Uuid
}

const subscription = tuple<[string, number, string | null, number, Uuid, number, number]>(
  text,
  integer,
  nullable(text),
  integer,
  id,
  integer,
  integer,
)
const call = tuple<[number, number]>(integer, integer)

/** One connection of a broker, on the controller's side: requests in, answers and the metadata log out. */
export class BrokerSession {
  readonly #options: BrokerSessionOptions
  readonly #socket: Socket
  readonly #frames = new RpcFrames(requestBytesMax)
  readonly #clock: Env['clock']
  #heardMs: number
  #subscriber: Subscriber | undefined
  #reign: (Reign & { readonly reigns: true }) | undefined
  #cursor: FeedCursor | undefined
  #requestCount = 0
  #pumpScheduled = false
  #closed = false

  constructor(socket: Socket, options: BrokerSessionOptions) {
    this.#options = options
    this.#socket = socket
    this.#clock = options.env.clock
    this.#heardMs = this.#clock.monotonicMs()
    socket.onData = (chunk) => this.#received(chunk)
    socket.onDrain = () => this.pump()
    socket.onClose = () => this.#ended()
  }

  /** Who it is; undefined: it did not say yet. */
  get subscriber(): Subscriber | undefined {
    return this.#subscriber
  }

  /** Sends what the broker does not have yet. */
  pump(): void {
    const cursor = this.#cursor
    if (cursor === undefined || this.#closed || this.#pumpScheduled) return
    while (this.#socket.backlogBytes < backlogBytesMax) {
      const next = cursor.next()
      if (next === undefined) return
      this.#socket.write(next.frame)
      if (!next.isChunk) continue
      // Chunks are encoded on the way: others have their turn between two.
      this.#pumpScheduled = true
      this.#options.env.timers.soon(() => {
        this.#pumpScheduled = false
        this.pump()
      })
      return
    }
  }

  /** Ends the connection of a broker that has gone silent. */
  sweep(nowMs: number): void {
    if (nowMs - this.#heardMs > silenceMsMax) this.close('nothing was heard of it')
  }

  close(reason: string): void {
    if (this.#closed) return
    this.#options.logger.debug({ ...this.#subscriber, reason }, 'A connection to a broker ends')
    this.#socket.destroy()
    this.#ended()
  }

  #ended(): void {
    if (this.#closed) return
    this.#closed = true
    this.#cursor?.close()
    this.#options.closed(this)
  }

  #received(chunk: Buffer): void {
    if (this.#closed) return
    this.#heardMs = this.#clock.monotonicMs()
    try {
      for (const body of this.#frames.push(chunk)) {
        if (!isSoundlyPacked(body)) throw new RpcFormatError('A frame that is not well formed')
        this.#frame(decodeFrame(body))
        if (this.#isClosed()) return
      }
    } catch (error) {
      if (!(error instanceof RpcFormatError || error instanceof MetadataFormatError)) throw error
      const { remoteAddress } = this.#socket
      this.#options.logger.warn(
        { remote: remoteAddress, reason: error.message },
        'Something that is not a broker of this version connected to the controller',
      )
      this.close(error.message)
    }
  }

  #isClosed(): boolean {
    return this.#closed
  }

  #frame(fields: readonly unknown[]): void {
    const [type, ...rest] = fields
    if (type === toController.alive) return
    if (type === toController.subscribe && this.#subscriber === undefined) this.#subscribe(rest)
    else if (type === toController.request) this.#request(rest)
    else throw new RpcFormatError('A frame of an unknown type')
  }

  #subscribe(fields: readonly unknown[]): void {
    // Before anything else is looked at: other versions may say it in another way.
    if (fields[0] !== magic) throw new RpcFormatError('Not a broker')
    if (fields[1] !== rpcVersion) {
      const why = `This controller speaks version ${rpcVersion} to brokers, not ${String(fields[1])}: run the same Millrace on both`
      this.#refuse(refuse(errors.unsupportedVersion, why))
      return
    }
    const [, , clusterId, nodeId, incarnation, epoch, offset] = subscription.decode(fields)
    const reign = this.#options.reign()
    const refusal =
      whyNot(reign, { clusterId, epoch, offset }) ??
      (nodeId === this.#options.localBrokerId ? refuseLocalBroker(nodeId) : undefined)
    if (refusal !== undefined || !reign.reigns) {
      this.#refuse(refusal ?? refuse(errors.notController), reign.reigns ? null : reign.hint())
      return
    }
    this.#subscriber = { nodeId, incarnation }
    this.#reign = reign
    const { image, generation } = reign.controller
    const stand = [image.clusterId, image.controllerEpoch, image.offset, generation]
    this.#send([toBroker.accepted, ...stand])
    this.#cursor = new FeedCursor(reign.feed, { epoch, offset })
    this.pump()
  }

  #refuse(refusal: Refusal, hint: string | null = null): void {
    this.#send([toBroker.refused, refusal.error.code, refusal.message, hint])
    this.#socket.end()
    this.#ended()
  }

  #request(fields: readonly unknown[]): void {
    const [requestId, number] = call.decode(fields)
    const operation = operationsByNumber.get(number)
    const reign = this.#reign
    if (reign === undefined) throw new RpcFormatError('A request before the subscription')
    if (operation === undefined) throw new RpcFormatError(`An unknown operation ${number}`)
    const given = operation.arguments.decode(fields[2])
    const speaker = operation.brokerIdOf?.(given)
    if (speaker !== undefined && speaker !== this.#subscriber?.nodeId)
      throw new RpcFormatError(`A request in the name of broker ${speaker}`)
    if (++this.#requestCount === requestsMax) this.#socket.pause()
    void this.#answer(requestId, operation, given, reign.controller)
  }

  async #answer(
    requestId: number,
    operation: AnyOperation,
    given: readonly unknown[],
    controller: ControllerLink,
  ): Promise<void> {
    try {
      const answer = operation.answer.encode(await operation.call(controller, given))
      this.#send([toBroker.answer, requestId, controller.image.offset, answer])
    } catch (error) {
      this.#options.failed(error)
    }
    if (this.#requestCount-- === requestsMax && !this.#closed) this.#socket.resume()
  }

  #send(fields: readonly unknown[]): void {
    if (this.#closed) return
    if (this.#socket.backlogBytes > 4 * backlogBytesMax) this.close('it does not read its answers')
    else this.#socket.write(encodeFrame(fields))
  }
}

/** The controller would take it for its own broker, which nobody watches, and which serves as soon as it registers. */
function refuseLocalBroker(nodeId: number): Refusal {
  const text = `Node ${nodeId} is the broker inside of this controller: give each broker a node.id of its own`
  return refuse(errors.duplicateBrokerRegistration, text)
}

/** Why a broker that is so far can't be told the rest. */
function whyNot(
  reign: Reign,
  from: { readonly clusterId: string | null; readonly epoch: number; readonly offset: number },
): Refusal | undefined {
  if (!reign.reigns) return refuse(errors.notController)
  const { clusterId, controllerEpoch, offset } = reign.controller.image
  if (from.clusterId !== null && from.clusterId !== clusterId) {
    return refuse(
      errors.inconsistentClusterId,
      `The controller has cluster ${clusterId}, the broker belongs to ${from.clusterId}: ` +
        'check controller.quorum.bootstrap.servers, or give the broker another data directory',
    )
  }
  if (from.epoch > controllerEpoch) {
    return refuse(
      errors.staleControllerEpoch,
      `The broker has followed a controller of epoch ${from.epoch}, this one has ${controllerEpoch}`,
    )
  }
  if (from.offset > offset) {
    return refuse(
      errors.offsetOutOfRange,
      `The broker has seen metadata up to offset ${from.offset}, the controller has ${offset} only: ` +
        'its store was restored from a backup. Restart the broker to take what the controller has',
    )
  }
  return undefined
}
