import type { Clock, Timers } from '../../base/env.ts'
import { KafkaError } from '../../client/errors.ts'
import type { GroupDescription } from '../../client/group-admin.ts'
import type { Kafka } from '../../client/kafka.ts'
import type { Producer } from '../../client/producer/producer.ts'
import { fetchRecords } from '../../client/fetcher.ts'
import { topic } from '../../client/topic.ts'
import { specialTimestamp } from '../../client/special-timestamp.ts'
import type { Broker } from '../broker.ts'
import type { Fault } from './faults.ts'
import type { BrokerProcess } from './process.ts'

/** A count of partitions, or that and configuration by Kafka's names. */
export type TestTopic =
  | number
  | { readonly partitions?: number; readonly configs?: Readonly<Record<string, string>> }

export interface TestMessage {
  readonly key?: string | Uint8Array | null
  /** Text and bytes as they are, null as a tombstone, anything else as JSON. */
  readonly value: unknown
  readonly headers?: Readonly<Record<string, string | Uint8Array | null>>
  readonly partition?: number
  readonly timestampMs?: number
}

export interface TestRecord {
  readonly partition: number
  readonly offset: number
  readonly timestampMs: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: Readonly<Record<string, string | null>>
}

export interface WaitOptions {
  readonly timeoutMs?: number
}

export interface GroupWait extends WaitOptions {
  /** As Kafka names it; "Stable" unless it is given. */
  readonly state?: string
  readonly members?: number
  /** Records that the group has not committed yet, at most. */
  readonly lag?: number
}

export interface TestBrokerParts {
  readonly process: BrokerProcess
  readonly broker: Broker | undefined
  readonly kafka: Kafka
  readonly topics: Readonly<Record<string, TestTopic>>
  readonly clock: Clock
  readonly timers: Timers
}

const waitMsDefault = 5000
const lookAgainMs = 10
const fetchOptions = {
  maxWaitMs: 50,
  minBytes: 1,
  maxBytes: 16 * 1024 * 1024,
  partitionMaxBytes: 4 * 1024 * 1024,
}

/** A broker for the length of a test, and what tests do with one. */
export class TestBroker implements AsyncDisposable {
  /** For a client's `bootstrap.servers`. */
  readonly address: string
  /** For a client's `brokers`. */
  readonly brokers: readonly string[]
  readonly dataDirectory: string
  /** Undefined in a worker. */
  readonly broker: Broker | undefined
  readonly #parts: TestBrokerParts
  #producer: Producer | undefined
  #stopping: Promise<void> | undefined

  constructor(parts: TestBrokerParts) {
    this.address = parts.process.address
    this.brokers = [parts.process.address]
    this.dataDirectory = parts.process.dataDirectory
    this.broker = parts.broker
    this.#parts = parts
  }

  async createTopic(name: string, shape: TestTopic = 1): Promise<void> {
    const { partitions = 1, configs = {} } =
      typeof shape === 'number' ? { partitions: shape } : shape
    await this.#parts.kafka.admin().createTopic({ name, partitions, configs })
  }

  /** Resolves when all messages are written. */
  async produce(name: string, messages: readonly TestMessage[]): Promise<void> {
    this.#producer ??= this.#parts.kafka.producer()
    await this.#producer.sendBatch(
      topic(name),
      messages.map(({ key, value, headers = {}, partition, timestampMs }) => ({
        key: key === null || key === undefined ? null : Buffer.from(key),
        value: valueBytes(value),
        headers,
        partition,
        timestamp: timestampMs,
      })),
    )
  }

  /** Everything in the topic, by partition and offset. */
  async records(name: string): Promise<TestRecord[]> {
    const { kafka } = this.#parts
    const admin = kafka.admin()
    const { partitions } = await admin.describeTopic(name)
    const indexes = partitions.map(({ index }) => index)
    const starts = await admin.listOffsets(name, indexes, specialTimestamp.earliest)
    const ends = await admin.listOffsets(name, indexes, specialTimestamp.latest)
    const records: TestRecord[] = []
    for (const [at, partition] of indexes.entries()) {
      const end = ends[at]?.offset ?? 0
      let offset = starts[at]?.offset ?? 0
      while (offset < end) {
        const place = { topic: name, partition, offset }
        const [fetched] = await fetchRecords(kafka.cluster, [place], fetchOptions)
        if (fetched === undefined) break
        for (const record of fetched.records()) records.push(testRecord(partition, record))
        offset = fetched.nextOffset
      }
    }
    return records
  }

  /** Resolves with all records as soon as there are `count`. Rejects with an error that lists what did arrive. */
  async waitForMessages(
    name: string,
    options: WaitOptions & { readonly count: number },
  ): Promise<TestRecord[]> {
    let found: TestRecord[] = []
    const arrived = await this.#until(options, async () => {
      found = await this.#recordsIfAny(name)
      return found.length >= options.count
    })
    if (arrived) return found
    const list = found.map(
      ({ partition, offset, key, value }) => `  ${partition}/${offset} ${key}: ${value}`,
    )
    throw new Error(
      `${found.length} of ${options.count} messages are in ${name}:\n${list.join('\n')}`,
    )
  }

  /** Resolves when the group is as it should be. Rejects with an error that says how it is. */
  async waitForGroup(id: string, options: GroupWait = {}): Promise<GroupDescription> {
    const { groups } = this.#parts.kafka.admin()
    const { state = 'Stable', members, lag } = options
    let group: GroupDescription | undefined
    let behind = 0
    const arrived = await this.#until(options, async () => {
      group = await groups.describe(id)
      if (group.state !== state) return false
      if (members !== undefined && group.members.length !== members) return false
      if (lag === undefined) return true
      behind = (await groups.lag(id)).reduce((sum, each) => sum + each.lag, 0)
      return behind <= lag
    })
    if (arrived && group !== undefined) return group
    throw new Error(
      `Group ${id} is ${group?.state ?? 'unknown'} with ${group?.members.length ?? 0} members and a lag of ` +
        `${behind}, not ${state}${members === undefined ? '' : ` with ${members} members`}` +
        `${lag === undefined ? '' : ` and a lag of at most ${lag}`}`,
    )
  }

  /** Makes requests of an API fail or wait. Rejects with `RangeError` for a fault that can't be. */
  fault(fault: Fault): Promise<void> {
    return this.#parts.process.arm(fault)
  }

  clearFaults(): Promise<void> {
    return this.#parts.process.clearFaults()
  }

  /** Closes every connection; clients may come back at once. */
  disconnectAll(): Promise<void> {
    return this.#parts.process.disconnectClients()
  }

  /** As it was at the start: the same topics, empty, with new ids; no groups, no faults. Members have to join anew. */
  async reset(): Promise<void> {
    await this.clearFaults()
    const { kafka, topics } = this.#parts
    const admin = kafka.admin()
    const { topics: present } = await admin.describe(null)
    await Promise.all([...present.keys()].map((name) => admin.deleteTopic(name)))
    await Promise.all(Object.entries(topics).map(([name, shape]) => this.createTopic(name, shape)))
  }

  /** Stops the broker and removes its data. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #stop(): Promise<void> {
    await this.#parts.kafka.close()
    await this.#parts.process.stop()
  }

  async #recordsIfAny(name: string): Promise<TestRecord[]> {
    try {
      return await this.records(name)
    } catch (error) {
      if (error instanceof KafkaError && error.code === 'UNKNOWN_TOPIC_OR_PARTITION') return []
      throw error
    }
  }

  async #until(options: WaitOptions, look: () => Promise<boolean>): Promise<boolean> {
    const { clock, timers } = this.#parts
    const deadlineMs = clock.monotonicMs() + (options.timeoutMs ?? waitMsDefault)
    while (!(await look())) {
      if (clock.monotonicMs() >= deadlineMs) return false
      await new Promise<void>((resolve) => {
        timers.after(lookAgainMs, resolve, { holdsProcess: true })
      })
    }
    return true
  }
}

function valueBytes(value: unknown): Buffer | null {
  if (value === null) return null
  if (value instanceof Uint8Array) return Buffer.from(value)
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
}

function testRecord(
  partition: number,
  record: {
    readonly offset: number
    readonly timestamp: number
    readonly key: Buffer | null
    readonly value: Buffer | null
    readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[]
  },
): TestRecord {
  const headers = Object.fromEntries(
    record.headers.map(({ key, value }) => [key, value?.toString() ?? null]),
  )
  return {
    partition,
    offset: record.offset,
    timestampMs: record.timestamp,
    key: record.key?.toString() ?? null,
    value: record.value?.toString() ?? null,
    headers,
  }
}
