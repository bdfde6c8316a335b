/** An idempotent producer of one partition: some batches under way, the same bytes again until they are acknowledged. */
import type { Prng } from '../../base/simulated/prng.ts'
import { errorByCode, errors } from '../../protocol/errors.ts'
import { InitProducerId } from '../../protocol/messages/init-producer-id.ts'
import { Produce } from '../../protocol/messages/produce.ts'
import { BatchBuilder } from '../../protocol/records/builder.ts'
import { topic, type Oracle } from './oracle.ts'
import { Unanswered, type Place, type WireClient } from './wire.ts'

interface Unacknowledged {
  readonly values: readonly string[]
  readonly bytes: Buffer
}

interface Answer {
  readonly error: number
  readonly baseOffset: number
}

export const batchRecordsMax = 3
const retryMsMax = 100
const timeoutMs = 2000

export interface WriterOptions {
  readonly name: string
  readonly index: number
  readonly client: WireClient
  readonly oracle: Oracle
  readonly random: Prng
  readonly inFlightMax: number
  readonly pauseMsMax: number
  /** No new batches. */
  readonly isOver: () => boolean
  /** What is not acknowledged by then is given up. */
  readonly isLate: () => boolean
}

export class Writer {
  readonly #options: WriterOptions
  readonly #window: Unacknowledged[] = []
  #producerId = -1
  #sequence = 0
  #next = 0
  /** Records that were acknowledged. */
  count = 0

  constructor(options: WriterOptions) {
    this.#options = options
  }

  async run(): Promise<void> {
    const { client, isOver, isLate, inFlightMax, random, pauseMsMax } = this.#options
    await this.#becomeProducer()
    while (!isLate()) {
      if (isOver() && this.#window.length === 0) return
      // A broker that knows nothing of a producer takes any sequence number for its first, as Kafka does.
      const most = this.count === 0 ? 1 : inFlightMax
      while (!isOver() && this.#window.length < most) {
        this.#window.push(this.#batch())
        if (random.chance(0.3)) break
      }
      const before = this.#window.length
      await this.#send()
      if (this.#window.length === before) await client.pause(random.between(1, retryMsMax))
      else await client.pause(random.between(0, pauseMsMax))
    }
  }

  get unacknowledgedCount(): number {
    return this.#window.length
  }

  async #becomeProducer(): Promise<void> {
    const { client, isLate } = this.#options
    while (this.#producerId < 0 && !isLate()) {
      try {
        const request = { transactionalId: null, transactionTimeoutMs: 0 }
        const { errorCode, producerId } = await client.sendToAny(InitProducerId, request)
        if (errorCode === 0) this.#producerId = producerId
        else await client.pause(retryMsMax)
      } catch (error) {
        if (!(error instanceof Unanswered)) throw error
        await client.pause(retryMsMax)
      }
    }
  }

  #batch(): Unacknowledged {
    const { name, random, client } = this.#options
    const count = 1 + random.below(batchRecordsMax)
    const values = Array.from({ length: count }, () => `${name}-${this.#next++}`)
    const builder = new BatchBuilder({
      producerId: this.#producerId,
      producerEpoch: 0,
      baseSequence: this.#sequence,
    })
    for (const value of values) builder.append(null, value, [], client.env.clock.wallMs())
    this.#sequence += count
    return { values, bytes: Buffer.from(builder.finish()) }
  }

  /** All of the window, one behind the other; then what was not acknowledged stays in it. */
  async #send(): Promise<void> {
    const { client, index, isLate } = this.#options
    const place = await client.leaderOf(topic, index, isLate)
    if (place === undefined) return
    const sent = [...this.#window]
    const answers = await Promise.all(sent.map((batch) => this.#produce(place, batch)))
    let isFirst = true
    for (const [at, batch] of sent.entries()) {
      const answer = answers[at]
      if (answer !== undefined && this.#isAcknowledged(batch, answer, isFirst)) {
        this.#window.splice(this.#window.indexOf(batch), 1)
        continue
      }
      isFirst = false
      client.forgetLeaders()
    }
  }

  async #produce(
    { leader, topicId }: Place,
    { bytes }: Unacknowledged,
  ): Promise<Answer | undefined> {
    const { client, index } = this.#options
    try {
      const { responses } = await client.send(leader, Produce, {
        acks: -1,
        timeoutMs,
        topicData: [{ topicId, partitionData: [{ index, records: Buffer.from(bytes) }] }],
      })
      const [answer] = responses[0]?.partitionResponses ?? []
      return answer && { error: answer.errorCode, baseOffset: answer.baseOffset }
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error
      return undefined
    }
  }

  #isAcknowledged({ values }: Unacknowledged, answer: Answer, isFirst: boolean): boolean {
    const { oracle, index, name } = this.#options
    const error = errorByCode(answer.error)
    if (error === errors.none) {
      oracle.acknowledged(index, answer.baseOffset, values)
      this.count += values.length
      return true
    }
    const isOutOfOrder = error === errors.outOfOrderSequenceNumber
    if (!error.retriable && !(isOutOfOrder && !isFirst))
      oracle.problem(`${name} got ${error.name} for ${values[0]}, which is due`)
    return false
  }
}
