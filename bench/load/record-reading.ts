// Reads whole topics record by record, where the raw reader is not enough: batches whose CRCs nobody knows beforehand, and
// offsets with gaps.
import { Kafka } from '../../client/index.ts'
import { ListOffsets } from '../../protocol/messages/list-offsets.ts'
import type { RunningPeer } from '../harness/peer.ts'
import { send } from '../lib/admin.ts'
import type { Topic } from './topics.ts'

export interface ReadRecord {
  readonly partition: number
  readonly offset: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
}

const latest = -1
const stuckMs = 60_000

/** Everything up to the ends that the partitions have now. Bytes are only there until `take` returns. */
export async function readRecords(
  running: RunningPeer,
  topic: Topic,
  take: (record: ReadRecord) => void,
): Promise<void> {
  const left = new Map<number, number>()
  for (const [partition, leader] of topic.leaders.entries()) {
    const partitions = [{ partitionIndex: partition, timestamp: latest }]
    const request = { replicaId: -1, isolationLevel: 0, topics: [{ name: topic.name, partitions }] }
    const { topics } = await send(leader, ListOffsets, 5, request)
    const next = Number(topics[0]?.partitions[0]?.offset ?? -1)
    if (next < 0) throw new Error(`${topic.name} partition ${partition} tells no offset`)
    if (next > 0) left.set(partition, next)
  }
  const brokers = running.nodes.map(({ host, port }) => `${host}:${port}`)
  const kafka = new Kafka({ brokers })
  const stuck = setTimeout(() => void kafka.close(), stuckMs)
  try {
    await read(kafka, topic, { left, take })
  } finally {
    clearTimeout(stuck)
    await kafka.close()
  }
  if (left.size > 0) throw new Error(`${topic.name} could not be read within ${stuckMs / 1000} s`)
}

async function read(
  kafka: Kafka,
  topic: Topic,
  { left, take }: { left: Map<number, number>; take: (record: ReadRecord) => void },
): Promise<void> {
  if (left.size === 0) return
  const consumer = kafka.consumer()
  const from = 'beginning' as const
  consumer.assign([...left.keys()].map((partition) => ({ topic: topic.name, partition, from })))
  for await (const batch of consumer.batches(topic.name)) {
    for (const { partition, offset, key, value } of batch) {
      const next = left.get(partition)
      if (next === undefined) continue
      take({ partition, offset: Number(offset), key, value })
      if (Number(offset) + 1 >= next) left.delete(partition)
    }
    if (left.size === 0) return
  }
}
