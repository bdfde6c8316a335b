// A cluster by script that does with batches what Kafka does: checks sequences, keeps the last five batches of a
// producer, knows who leads. Faults are given by the test.
import { Simulation } from '../../../base/simulated/simulated-env.ts'
import { Kafka, type KafkaOptions } from '../../../client/kafka.ts'
import { ApiVersions } from '../../../protocol/messages/api-versions.ts'
import { InitProducerId } from '../../../protocol/messages/init-producer-id.ts'
import { Metadata } from '../../../protocol/messages/metadata.ts'
import { Produce } from '../../../protocol/messages/produce.ts'
import { readBatchHeader, computeCrc } from '../../../protocol/records/batch.ts'
import { recordsOf } from '../../../protocol/records/record.ts'
import type { AnyApi } from '../../../protocol/schema/api.ts'
import { FakeBroker, type Reaction, type ReceivedRequest } from '../fake-broker.ts'

export interface StoredRecord {
  readonly key: string | null
  readonly value: string | null
  readonly timestamp: number
  readonly headers: readonly [string, string | null][]
}

interface ProducerEntry {
  epoch: number
  nextSequence: number
  batches: { first: number; count: number; offset: number }[]
}

export class ModelPartition {
  readonly records: StoredRecord[] = []
  readonly producers = new Map<number, ProducerEntry>()
  leader = 1
  leaderEpoch = 1
  /** Sizes of the batches written, in records. */
  readonly batches: number[] = []
}

/** Instead of what the partition would say: a code, before or after the batch was written. */
export type Fault = { readonly code: number; readonly written: boolean } | undefined

export class ModelCluster {
  readonly simulation: Simulation
  readonly kafka: Kafka
  readonly partitions = new Map<string, ModelPartition[]>()
  readonly produced: ReceivedRequest[] = []
  readonly topicIds = new Map<string, string>()
  /** What is said against a topic. */
  readonly topicErrors = new Map<string, number>()
  /** For the whole request: silence, or the connection's end, before or after it was written. */
  onRequest: (
    request: ReceivedRequest,
    broker: number,
  ) => 'lose' | 'forget' | 'silence' | undefined = () => undefined
  onBatch: (partition: ModelPartition, records: readonly StoredRecord[]) => Fault = () => undefined
  hints = false
  throttleTimeMs = 0
  metadataCount = 0
  /** It answers nothing any more, and keeps its connections. */
  frozen: number | undefined
  /** What the cluster counts with. */
  brokerIds: readonly number[] = [1, 2]
  #nextProducerId = 1000
  readonly #brokers: FakeBroker[] = []
  #inFlight = 0
  inFlightMax = 0
  /** How long the answer to a produce takes, once it is written. */
  delayMs = 0
  readonly #brokerEnv

  private constructor(seed: number | string, options: Partial<KafkaOptions>) {
    this.simulation = new Simulation(seed)
    this.#brokerEnv = this.simulation.createEnv('broker')
    this.kafka = new Kafka({
      brokers: ['broker:9001', 'broker:9002'],
      env: this.simulation.createEnv('client'),
      requestTimeoutMs: 2000,
      ...options,
    })
  }

  static async start(
    seed: number | string,
    topics: Record<string, number>,
    options: Partial<KafkaOptions> = {},
  ): Promise<ModelCluster> {
    const cluster = new ModelCluster(seed, options)
    for (const [name, count] of Object.entries(topics)) cluster.create(name, count)
    const served = [ApiVersions, Metadata, Produce, InitProducerId]
    for (const id of [1, 2]) {
      const serves = new Map(
        served.map((api): [AnyApi, readonly [number, number]] => [api, api.versions]),
      )
      const listening = FakeBroker.listen({
        env: cluster.#brokerEnv,
        port: 9000 + id,
        serves,
        react: (request) => cluster.#react(id, request),
      })
      cluster.#brokers.push(await cluster.simulation.until(listening))
    }
    return cluster
  }

  create(name: string, count: number): ModelPartition[] {
    const partitions = Array.from({ length: count }, (_, index) => {
      const partition = new ModelPartition()
      partition.leader = 1 + (index % 2)
      return partition
    })
    this.partitions.set(name, partitions)
    this.topicIds.set(name, String(this.topicIds.size + 1).padStart(32, 'a'))
    return partitions
  }

  /** Gone for good: its connections end, and nobody listens any more. */
  async stop(id: number): Promise<void> {
    const broker = this.#brokers[id - 1]
    if (broker !== undefined) await this.until(broker.close())
  }

  until<T>(promise: Promise<T>, limitMs = 300_000): Promise<T> {
    return this.simulation.until(promise, limitMs)
  }

  values(topic: string, index = 0): (string | null)[] {
    return this.partitions.get(topic)?.[index]?.records.map(({ value }) => value) ?? []
  }

  #react(broker: number, request: ReceivedRequest): Reaction {
    if (broker === this.frozen) return 'silence'
    if (request.api === Metadata) return { response: this.#metadata(request) }
    if (request.api === InitProducerId)
      return { response: { errorCode: 0, producerId: this.#nextProducerId++, producerEpoch: 0 } }
    this.produced.push(request)
    this.#inFlight += 1
    this.inFlightMax = Math.max(this.inFlightMax, this.#inFlight)
    const fate = this.onRequest(request, broker)
    if (fate === 'silence') return 'silence'
    if (fate === 'lose') {
      this.#inFlight -= 1
      return 'close'
    }
    const response = this.#produce(broker, request)
    this.#inFlight -= 1
    if (fate === 'forget') return 'close'
    if (request.request.acks === 0) return 'silence'
    if (this.delayMs === 0) return { response }
    const answer = (): void => this.#brokers[broker - 1]?.answer(request, response)
    this.#brokerEnv.timers.after(this.delayMs, answer)
    return 'silence'
  }

  #metadata({ request }: ReceivedRequest): object {
    this.metadataCount += 1
    const names = (request.topics as { name: string }[] | null)?.map(({ name }) => name) ?? []
    return {
      brokers: this.brokerIds.map((nodeId) => ({ nodeId, host: 'broker', port: 9000 + nodeId })),
      clusterId: 'c',
      controllerId: 1,
      topics: names.map((name) => {
        const errorCode = this.topicErrors.get(name)
        if (errorCode !== undefined) return { errorCode, name, partitions: [] }
        const partitions = this.partitions.get(name)
        if (partitions === undefined) return { errorCode: 3, name, partitions: [] }
        return {
          errorCode: 0,
          name,
          topicId: this.topicIds.get(name),
          partitions: partitions.map(({ leader, leaderEpoch }, partitionIndex) => ({
            errorCode: 0,
            partitionIndex,
            leaderId: leader,
            leaderEpoch,
            replicaNodes: [1, 2],
            isrNodes: [1, 2],
          })),
        }
      }),
    }
  }

  #produce(broker: number, { request }: ReceivedRequest): object {
    const responses = []
    for (const { topicId, partitionData } of request.topicData) {
      const name = [...this.topicIds].find(([, id]) => id === topicId)?.[0] ?? ''
      const partitionResponses = []
      for (const { index, records } of partitionData) {
        const partition = this.partitions.get(name)?.[index]
        const { code, offset } = this.#write(broker, partition, records)
        const currentLeader =
          this.hints && code === 6 && partition !== undefined
            ? { leaderId: partition.leader, leaderEpoch: partition.leaderEpoch }
            : undefined
        partitionResponses.push({ index, errorCode: code, baseOffset: offset, currentLeader })
      }
      responses.push({ topicId, partitionResponses })
    }
    return { responses, throttleTimeMs: this.throttleTimeMs }
  }

  #write(
    broker: number,
    partition: ModelPartition | undefined,
    batch: Buffer,
  ): { code: number; offset: number } {
    if (partition === undefined) return { code: 3, offset: -1 }
    const header = readBatchHeader(batch, 0)
    if (computeCrc(batch, 0, batch.length) !== header.crc) return { code: 2, offset: -1 }
    if (partition.leader !== broker) return { code: 6, offset: -1 }
    const records = [...recordsOf(batch)].map(
      ({ key, value, timestamp, headers }): StoredRecord => ({
        key: key?.toString() ?? null,
        value: value?.toString() ?? null,
        timestamp,
        headers: headers.map((each) => [each.key, each.value?.toString() ?? null]),
      }),
    )
    const fault = this.onBatch(partition, records)
    if (fault?.written === false) return { code: fault.code, offset: -1 }
    const { producerId, producerEpoch, baseSequence } = header
    if (producerId >= 0) {
      const entry = partition.producers.get(producerId)
      const current = entry?.epoch === producerEpoch ? entry : undefined
      const known = current?.batches.find(({ first }) => first === baseSequence)
      if (known !== undefined) return { code: fault?.code ?? 0, offset: known.offset }
      if (entry !== undefined && producerEpoch < entry.epoch) return { code: 47, offset: -1 }
      // As since Kafka 2.5: a producer that is not known may begin anywhere.
      const expected = current?.nextSequence ?? (entry === undefined ? baseSequence : 0)
      if (baseSequence !== expected) return { code: 45, offset: -1 }
      const next = current ?? { epoch: producerEpoch, nextSequence: 0, batches: [] }
      next.nextSequence = baseSequence + records.length
      next.batches.push({
        first: baseSequence,
        count: records.length,
        offset: partition.records.length,
      })
      if (next.batches.length > 5) next.batches.shift()
      partition.producers.set(producerId, next)
    }
    const offset = partition.records.length
    partition.records.push(...records)
    partition.batches.push(records.length)
    return { code: fault?.code ?? 0, offset }
  }
}
