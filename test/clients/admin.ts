/**
 * What the tests themselves ask of a broker, through kafkajs: create topics, read partitions back.
 * kafkajs is loaded from test/clients/node_modules, which only setup.sh makes: hence no import.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'

import { clientsDirectory } from './places.ts'

const requireClient = createRequire(join(clientsDirectory, 'package.json'))

interface KafkaJs {
  Kafka: new (options: object) => {
    admin(): {
      connect(): Promise<void>
      disconnect(): Promise<void>
      createTopics(request: object): Promise<boolean>
      deleteTopics(request: { topics: readonly string[] }): Promise<void>
      listTopics(): Promise<string[]>
      fetchOffsets(request: {
        groupId: string
        topics: readonly string[]
      }): Promise<{ topic: string; partitions: { partition: number; offset: string }[] }[]>
    }
    logger(): object
  }
  logLevel: { NOTHING: number }
}

export interface NewTopic {
  readonly topic: string
  readonly numPartitions: number
  readonly replicationFactor?: number
  readonly configEntries?: readonly { name: string; value: string }[]
}

type Admin = ReturnType<InstanceType<KafkaJs['Kafka']>['admin']>

/** Creates topics; resolves when the broker acknowledged them. */
export async function createTopics(
  address: string,
  topics: readonly NewTopic[],
  { retries = 8 } = {},
): Promise<void> {
  const request = { waitForLeaders: false, topics }
  await withAdmin(address, retries, (admin) => admin.createTopics(request))
}

/** Deletes topics; resolves when the broker acknowledged it. */
export async function deleteTopics(address: string, topics: readonly string[]): Promise<void> {
  await withAdmin(address, 8, (admin) => admin.deleteTopics({ topics }))
}

export async function listTopics(address: string): Promise<string[]> {
  return withAdmin(address, 8, (admin) => admin.listTopics())
}

/** Committed offsets of a group by partition; -1 where it has none. */
export async function committedOffsets(
  address: string,
  groupId: string,
  topic: string,
): Promise<number[]> {
  const found = await withAdmin(address, 8, (admin) =>
    admin.fetchOffsets({ groupId, topics: [topic] }),
  )
  const offsets: number[] = []
  for (const { partition, offset } of found[0]?.partitions ?? [])
    offsets[partition] = Number(offset)
  return offsets
}

async function withAdmin<T>(
  address: string,
  retries: number,
  action: (admin: Admin) => Promise<T>,
): Promise<T> {
  const admin = kafkaOf(address, retries).admin()
  await admin.connect()
  try {
    return await action(admin)
  } finally {
    await admin.disconnect()
  }
}

export interface FetchedRecord {
  readonly offset: number
  readonly key: Buffer | null
  readonly bytes: Buffer | null
  /** The bytes as text. */
  readonly value: string
}

interface LowLevelBroker {
  connect(): Promise<void>
  disconnect(): Promise<void>
  fetch(request: object): Promise<{
    responses: {
      partitions: {
        partition: number
        highWatermark: string
        messages: { offset: string; key: Buffer | null; value: Buffer | null }[]
      }[]
    }[]
  }>
}

/** Reads partitions of one broker with kafkajs's own fetch code and decoder, without a group. */
export class PartitionReader {
  readonly #broker: LowLevelBroker

  private constructor(broker: LowLevelBroker) {
    this.#broker = broker
  }

  static async connect(host: string, port: number): Promise<PartitionReader> {
    const Broker = requireClient('kafkajs/src/broker') as new (options: object) => LowLevelBroker
    const ConnectionPool = requireClient('kafkajs/src/network/connectionPool') as new (
      options: object,
    ) => object
    const logger = kafkaOf(`${host}:${port}`).logger()
    const socketFactory = (requireClient('kafkajs/src/network/socketFactory') as () => object)()
    const connectionPool = new ConnectionPool({
      host,
      port,
      logger,
      socketFactory,
      clientId: 'millrace-reader',
      connectionTimeout: 5000,
      requestTimeout: 20_000,
      maxInFlightRequests: null,
    })
    const reader = new PartitionReader(new Broker({ connectionPool, logger, nodeId: 1 }))
    await reader.#broker.connect()
    return reader
  }

  /** Every record of the partition from `offset` to the high watermark of the last answer. */
  async read(topic: string, partition: number, offset: number): Promise<FetchedRecord[]> {
    const records: FetchedRecord[] = []
    let position = offset
    for (;;) {
      const asked = { partition, fetchOffset: `${position}`, maxBytes: 4 << 20 }
      const response = await this.#broker.fetch({
        maxWaitTime: 0,
        minBytes: 0,
        isolationLevel: 0,
        topics: [{ topic, partitions: [asked] }],
      })
      const answer = response.responses[0]!.partitions[0]!
      for (const message of answer.messages) {
        const { key, value: bytes } = message
        const record = {
          offset: Number(message.offset),
          key,
          bytes,
          value: bytes?.toString() ?? '',
        }
        if (record.offset < position) continue
        records.push(record)
        position = record.offset + 1
      }
      if (position >= Number(answer.highWatermark)) return records
    }
  }

  async close(): Promise<void> {
    await this.#broker.disconnect()
  }
}

function kafkaOf(address: string, retries = 8): InstanceType<KafkaJs['Kafka']> {
  const { Kafka, logLevel } = requireClient('kafkajs') as KafkaJs
  return new Kafka({
    clientId: 'millrace-test',
    brokers: address.split(','),
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 20, retries },
  })
}
