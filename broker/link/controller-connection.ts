import { NetworkError, type Env, type Socket, type Timer } from '../../base/env.ts'
import type { Uuid } from '../../base/uuid.ts'
import type { Refusal } from '../../controller/outcome.ts'
import {
  aliveEveryMs,
  decodeFrame,
  encodeFrame,
  magic,
  requestBytesMax,
  RpcFrames,
  rpcVersion,
  silenceMsMax,
  toBroker,
  toController,
} from '../../controller/rpc/frames.ts'
import type { Operation } from '../../controller/rpc/operations.ts'
import {
  array,
  errorInfo,
  integer,
  nullable,
  optional,
  RpcFormatError,
  text,
} from '../../controller/rpc/shapes.ts'
import { refuse } from '../../controller/outcome.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { decodeRecord, MetadataFormatError } from '../../protocol/metadata-records/codec.ts'
import type { MetadataRecord } from '../../protocol/metadata-records/records.ts'

const dialTimeoutMs = 2_000
/** Chunks and batches have 1 MiB or so. */
const frameBytesMax = 16 * 1024 * 1024

export interface Subscription {
  /** Null: whatever the controller has. */
  readonly clusterId: string | null
  readonly nodeId: number
  readonly incarnation: Uuid
  readonly epoch: number
  readonly offset: number
}

/** What a connection hears. `connection` tells which one, as an old one may still speak while a new one begins. */
export interface MetadataReceiver {
  /** The offset up to which the log is known here. */
  appliedOffset(): number
  /** `generation` grows with each restore of the metadata; undefined: the controller does not tell. */
  accepted(clusterId: string, epoch: number, generation: number | undefined): void
  delta(offset: number, records: readonly MetadataRecord[]): void
  snapshot(offset: number, records: readonly MetadataRecord[]): void
  /** Once, last. */
  ended(end: ConnectionEnd): void
}

/** Why a connection ended: the controller sent this broker away, or the connection was lost. */
export type ConnectionEnd = { readonly refused: SentAway } | { readonly lost: Error }

export interface SentAway {
  readonly error: ErrorInfo
  readonly message: string
  /** HOST:PORT of the controller that reigns; null: unknown. */
  readonly hint: string | null
}

interface Pending {
  readonly decode: (answer: unknown) => void
  readonly refuse: (refusal: Refusal) => void
  readonly timer: Timer
}

/** An answer that rests upon metadata which is still to come. */
interface Early {
  readonly offset: number
  readonly settle: () => void
}

/** One connection to a controller, on the broker's side. It never comes back once it ended. */
export class ControllerConnection {
  readonly #env: Env
  readonly #socket: Socket
  readonly #receiver: MetadataReceiver
  readonly #frames = new RpcFrames(frameBytesMax)
  readonly #pending = new Map<number, Pending>()
  #early: Early[] = []
  #chunks: MetadataRecord[] = []
  #nextId = 0
  #heardMs: number
  #saidMs: number
  #aliveTimer: Timer | undefined
  #isAccepted = false
  #end: ConnectionEnd | undefined

  private constructor(env: Env, socket: Socket, receiver: MetadataReceiver) {
    this.#env = env
    this.#socket = socket
    this.#receiver = receiver
    this.#heardMs = env.clock.monotonicMs()
    this.#saidMs = this.#heardMs
    socket.onData = (chunk) => this.#received(chunk)
    socket.onDrain = () => undefined
    socket.onClose = (error) =>
      this.#finish({
        lost: error ?? new NetworkError('The controller closed the connection', { code: 'EOF' }),
      })
  }

  /** Rejects with `NetworkError`; then the receiver was told nothing. */
  static async open(options: {
    readonly env: Env
    readonly host: string
    readonly port: number
    readonly subscription: Subscription
    readonly receiver: MetadataReceiver
  }): Promise<ControllerConnection> {
    const { env, host, port, subscription, receiver } = options
    const socket = await env.network.dial({
      host,
      port,
      timeoutMs: dialTimeoutMs,
      lendChunks: true,
    })
    const connection = new ControllerConnection(env, socket, receiver)
    const { clusterId, nodeId, incarnation, epoch, offset } = subscription
    connection.#send([
      toController.subscribe,
      magic,
      rpcVersion,
      clusterId,
      nodeId,
      incarnation,
      epoch,
      offset,
    ])
    connection.#watch()
    return connection
  }

  /** Whether the controller serves this broker. */
  get isAccepted(): boolean {
    return this.#isAccepted && this.#end === undefined
  }

  /** The answer, when everything that it rests upon has been applied here. */
  request<Arguments extends readonly unknown[], Answer>(
    operation: Operation<Arguments, Answer>,
    given: Arguments,
  ): Promise<Answer> {
    const id = this.#nextId++
    const encoded = operation.arguments.encode(given)
    const frame = encodeFrame([toController.request, id, operation.number, encoded])
    const bytes = frame.reduce((sum, { length }) => sum + length, 0)
    // The controller would take it for the end of all sense, and end the connection for everybody.
    if (bytes > requestBytesMax) {
      const text = `The request takes ${bytes} bytes, and the controller takes ${requestBytesMax} at most: ask for less at once`
      return Promise.resolve(operation.refused(refuse(errors.policyViolation, text), given))
    }
    return new Promise((resolve) => {
      const settle = (answer: Answer): void => {
        this.#pending.delete(id)
        timer.cancel()
        resolve(answer)
      }
      const refuseIt = (refusal: Refusal): void => settle(operation.refused(refusal, given))
      const sentMs = this.#env.clock.monotonicMs()
      const timer = this.#env.timers.after(operation.timeoutMs, () => {
        refuseIt(
          refuse(
            errors.requestTimedOut,
            `The controller did not answer within ${operation.timeoutMs} ms`,
          ),
        )
        // Whoever says nothing at all for so long is not there any more.
        if (this.#heardMs < sentMs) this.close('it answers nothing')
      })
      this.#pending.set(id, {
        timer,
        refuse: refuseIt,
        decode: (answer) => settle(operation.answer.decode(answer)),
      })
      this.#write(frame)
    })
  }

  close(reason: string): void {
    this.#finish({
      lost: new NetworkError(`The connection was given up: ${reason}`, { code: 'ECONNABORTED' }),
    })
  }

  #finish(end: ConnectionEnd): void {
    if (this.#end !== undefined) return
    this.#end = end
    this.#aliveTimer?.cancel()
    this.#socket.destroy()
    const refusal = refuse(
      errors.requestTimedOut,
      'The connection to the controller was lost before it answered: it may have done it or not',
    )
    for (const pending of this.#pending.values()) pending.refuse(refusal)
    this.#receiver.ended(end)
  }

  #received(chunk: Buffer): void {
    if (this.#end !== undefined) return
    this.#heardMs = this.#env.clock.monotonicMs()
    try {
      for (const body of this.#frames.push(chunk)) {
        this.#frame(decodeFrame(body))
        if (this.#hasEnded()) return
      }
    } catch (error) {
      if (!(error instanceof RpcFormatError || error instanceof MetadataFormatError)) throw error
      this.#finish({ lost: error })
    }
  }

  #hasEnded(): boolean {
    return this.#end !== undefined
  }

  #frame([type, ...fields]: readonly unknown[]): void {
    if (type === toBroker.refused) this.#refused(fields)
    else if (type === toBroker.accepted) this.#accepted(fields)
    else if (!this.#isAccepted)
      throw new RpcFormatError('A frame before the subscription was accepted')
    else if (type === toBroker.answer) this.#answered(fields)
    else if (type === toBroker.snapshot) this.#snapshot(fields)
    else if (type === toBroker.delta) {
      const [offset, records] = fields
      this.#receiver.delta(integer.decode(offset), array(records).map(decodeRecord))
      this.#settleEarly()
    } else throw new RpcFormatError('A frame of an unknown type')
  }

  #refused([code, message, hint]: readonly unknown[]): void {
    this.#finish({
      refused: {
        error: errorInfo.decode(code),
        message: text.decode(message),
        hint: nullable(text).decode(hint),
      },
    })
  }

  #accepted([clusterId, epoch, , generation]: readonly unknown[]): void {
    this.#isAccepted = true
    this.#receiver.accepted(
      text.decode(clusterId),
      integer.decode(epoch),
      optional(integer).decode(generation),
    )
  }

  #snapshot([offset, isLast, records]: readonly unknown[]): void {
    for (const record of array(records)) this.#chunks.push(decodeRecord(record))
    if (isLast !== 1) return
    const all = this.#chunks
    this.#chunks = []
    this.#receiver.snapshot(integer.decode(offset), all)
    this.#settleEarly()
  }

  #answered([id, offset, answer]: readonly unknown[]): void {
    const pending = this.#pending.get(integer.decode(id))
    // It came too late.
    if (pending === undefined) return
    const early: Early = { offset: integer.decode(offset), settle: () => pending.decode(answer) }
    if (early.offset <= this.#receiver.appliedOffset()) early.settle()
    else this.#early.push(early)
  }

  #settleEarly(): void {
    if (this.#early.length === 0) return
    const applied = this.#receiver.appliedOffset()
    const ready = this.#early.filter(({ offset }) => offset <= applied)
    this.#early = this.#early.filter(({ offset }) => offset > applied)
    for (const { settle } of ready) settle()
  }

  #send(fields: readonly unknown[]): void {
    this.#write(encodeFrame(fields))
  }

  #write(frame: readonly Buffer[]): void {
    this.#saidMs = this.#env.clock.monotonicMs()
    this.#socket.write(frame)
  }

  /** Says something now and then, and gives up a controller that does not even accept or refuse. */
  #watch(): void {
    this.#aliveTimer = this.#env.timers.after(aliveEveryMs, () => {
      const nowMs = this.#env.clock.monotonicMs()
      if (!this.#isAccepted && nowMs - this.#heardMs > silenceMsMax) {
        this.close('it did not accept this broker')
        return
      }
      if (nowMs - this.#saidMs >= aliveEveryMs / 2) this.#send([toController.alive])
      this.#watch()
    })
  }
}
