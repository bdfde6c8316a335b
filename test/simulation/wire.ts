/** A client on the simulated network that speaks our own schemas: several requests may be under way on a connection. */
import type { Env, Socket, Timer } from '../../base/env.ts'
import { AnswerBuffer } from '../../broker/replica/fetcher/answer-buffer.ts'
import { correlationIdOf, decodeResponse, encodeRequest } from '../../protocol/headers.ts'
import { Metadata } from '../../protocol/messages/metadata.ts'
import type { AnyApi, RequestInputOf, ResponseOf } from '../../protocol/schema/api.ts'

const timeoutMs = 2500
const answerBytesMax = 16 * 1024 * 1024

interface Pending {
  readonly api: AnyApi
  readonly resolve: (response: never) => void
  readonly reject: (error: Error) => void
  readonly timer: Timer
}

class Connection {
  closed = false
  readonly #env: Env
  readonly #socket: Socket
  readonly #answers = new AnswerBuffer({ bytesMax: answerBytesMax })
  readonly #pending = new Map<number, Pending>()
  #correlationId = 0

  constructor(env: Env, socket: Socket) {
    this.#env = env
    this.#socket = socket
    socket.onData = (chunk) => this.#answers.push(chunk, (frame) => this.#answer(frame))
    socket.onClose = () => this.close()
  }

  send<A extends AnyApi>(api: A, request: RequestInputOf<A>): Promise<ResponseOf<A>> {
    if (this.closed) return Promise.reject(new Unanswered())
    const version = api.versions[1]
    const id = this.#correlationId++
    const frame = encodeRequest(api, version, id, 'simulation', request).finish()
    return new Promise((resolve, reject) => {
      const timer = this.#env.timers.after(timeoutMs, () => this.close())
      this.#pending.set(id, { api, resolve, reject, timer })
      this.#socket.write([frame])
    })
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.#socket.destroy()
    for (const { timer, reject } of this.#pending.values()) {
      timer.cancel()
      reject(new Unanswered())
    }
    this.#pending.clear()
  }

  #answer(bytes: Buffer): void {
    // Answers are kept by those who asked.
    const frame = Buffer.from(bytes)
    const id = correlationIdOf(frame)
    const pending = this.#pending.get(id)
    if (pending === undefined) throw new Error(`an answer to request ${id}, which was not asked`)
    this.#pending.delete(id)
    pending.timer.cancel()
    const { response } = decodeResponse(pending.api, pending.api.versions[1], frame)
    pending.resolve(response as never)
  }
}

/** Nobody knows whether the broker did what it was asked. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered'
}

/** Who leads a partition. */
export interface Place {
  readonly topicId: string
  readonly leader: number
  readonly leaderEpoch: number
}

interface Known {
  readonly leaders: readonly Place[]
}

interface Slot {
  readonly opening: Promise<Connection>
  connection: Connection | undefined
}

/** One connection to each broker, and what the client knows of a topic. */
export class WireClient {
  readonly env: Env
  readonly #brokerCount: number
  readonly #connections = new Map<number, Slot>()
  #nextBroker = 0
  #known: Known | undefined

  constructor(env: Env, brokerCount: number) {
    this.env = env
    this.#brokerCount = brokerCount
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.env.timers.after(ms, resolve)
    })
  }

  /** Rejects with `Unanswered`; then the connection is gone. */
  async send<A extends AnyApi>(
    brokerId: number,
    api: A,
    request: RequestInputOf<A>,
  ): Promise<ResponseOf<A>> {
    const connection = await this.#connect(brokerId)
    return connection.send(api, request)
  }

  /** Any broker. */
  sendToAny<A extends AnyApi>(api: A, request: RequestInputOf<A>): Promise<ResponseOf<A>> {
    this.#nextBroker = (this.#nextBroker + 1) % this.#brokerCount
    return this.send(this.#nextBroker + 1, api, request)
  }

  /** Tries until somebody names a leader, or until `isOver`: then undefined. */
  async leaderOf(topic: string, index: number, isOver: () => boolean): Promise<Place | undefined> {
    while (!isOver()) {
      const known = this.#known?.leaders[index]
      if (known !== undefined && known.leader > 0) return known
      await this.#refresh(topic)
      if ((this.#known?.leaders[index]?.leader ?? -1) <= 0) await this.pause(50)
    }
    return undefined
  }

  forgetLeaders(): void {
    this.#known = undefined
  }

  async #refresh(topic: string): Promise<void> {
    this.#known = undefined
    try {
      const { topics } = await this.sendToAny(Metadata, {
        topics: [{ name: topic }],
        allowAutoTopicCreation: false,
      })
      const [found] = topics
      if (found === undefined || found.errorCode !== 0) return
      const { topicId } = found
      const leaders: Place[] = []
      for (const { partitionIndex, leaderId: leader, leaderEpoch } of found.partitions)
        leaders[partitionIndex] = { topicId, leader, leaderEpoch }
      this.#known = { leaders }
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error
    }
  }

  /** Those who come while it is dialled share the connection: their requests stay in order. */
  #connect(brokerId: number): Promise<Connection> {
    const known = this.#connections.get(brokerId)
    if (known !== undefined && known.connection?.closed !== true) return known.opening
    const slot: Slot = { opening: this.#dial(brokerId), connection: undefined }
    this.#connections.set(brokerId, slot)
    slot.opening.then(
      (connection) => {
        slot.connection = connection
      },
      () => {
        if (this.#connections.get(brokerId) === slot) this.#connections.delete(brokerId)
      },
    )
    return slot.opening
  }

  async #dial(brokerId: number): Promise<Connection> {
    try {
      const options = { host: `broker${brokerId}`, port: 9092, timeoutMs, lendChunks: true }
      return new Connection(this.env, await this.env.network.dial(options))
    } catch {
      throw new Unanswered()
    }
  }
}
