import type { Client } from '../client/client.ts'
import type { Acks } from '../client/producer.ts'
import { BatchBuilder } from '../protocol/records/builder.ts'
import type { CompressionCodec } from '../protocol/records/compression.ts'
import type { InputRecord } from './record-input.ts'

export interface BatchSenderOptions {
  readonly client: Client
  readonly topic: string
  readonly acks: Acks
  readonly codec: CompressionCodec
  readonly level: number | undefined
  /** A batch is sent when it has this many bytes before compression. */
  readonly batchBytes: number
  /** By which the broker tells repeated batches; undefined: retries may write twice. */
  readonly producer: { readonly producerId: number; readonly producerEpoch: number } | undefined
}

interface PartitionState {
  builder: BatchBuilder | undefined
  /** The batch on its way. One at a time keeps the order whatever is retried. */
  sending: Promise<void> | undefined
  nextSequence: number
}

/** Gathers records into batches and sends them, each partition in order. */
export class BatchSender {
  readonly #options: BatchSenderOptions
  readonly #partitions = new Map<number, PartitionState>()
  #acknowledged = 0
  #failure: { readonly error: unknown } | undefined

  constructor(options: BatchSenderOptions) {
    this.#options = options
  }

  /** Records that a broker answered for; with acks=0, those that were sent. */
  get acknowledged(): number {
    return this.#acknowledged
  }

  /** Waits when the partition's batch is full and the one before it is still on its way. */
  async add(partition: number, record: InputRecord, nowMs: number): Promise<void> {
    const state = this.#stateOf(partition)
    if (state.builder !== undefined && state.builder.sizeBytes >= this.#options.batchBytes) {
      await state.sending
      this.#send(partition, state)
    }
    this.#throwFailure()
    state.builder ??= this.#newBuilder(state)
    state.builder.append(record.key, record.value, record.headers, record.timestamp ?? nowMs)
  }

  /** Sends what waits, where nothing is on its way. */
  flushIdle(): void {
    for (const [partition, state] of this.#partitions) {
      if (state.sending === undefined) this.#send(partition, state)
    }
  }

  /** Sends everything and waits for all answers. */
  async finish(): Promise<void> {
    await Promise.all(
      [...this.#partitions].map(async ([partition, state]) => {
        await state.sending
        this.#send(partition, state)
        await state.sending
      }),
    )
    this.#throwFailure()
  }

  #stateOf(partition: number): PartitionState {
    const known = this.#partitions.get(partition)
    if (known !== undefined) return known
    const state: PartitionState = { builder: undefined, sending: undefined, nextSequence: 0 }
    this.#partitions.set(partition, state)
    return state
  }

  #newBuilder(state: PartitionState): BatchBuilder {
    const { codec, level, producer, batchBytes } = this.#options
    const identity = producer === undefined ? {} : { ...producer, baseSequence: state.nextSequence }
    return new BatchBuilder({
      codec,
      level,
      bytesExpected: Math.min(batchBytes, 65_536),
      ...identity,
    })
  }

  #send(partition: number, state: PartitionState): void {
    const { builder } = state
    if (builder === undefined || this.#failure !== undefined) return
    state.builder = undefined
    // Sequences wrap to 0 behind 2^31 - 1.
    state.nextSequence = (state.nextSequence + builder.count) % 2 ** 31
    const { client, topic, acks } = this.#options
    const sent = client.produce({ topic, partition, batch: builder.finish(), acks })
    state.sending = sent.then(
      () => {
        this.#acknowledged += builder.count
        state.sending = undefined
        // What gathered meanwhile goes next: batches grow with the load and nothing waits without need.
        this.#send(partition, state)
      },
      (error: unknown) => {
        this.#failure ??= { error }
        state.sending = undefined
      },
    )
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }
}
