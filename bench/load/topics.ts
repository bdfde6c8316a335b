// Topics at any broker that speaks Kafka's protocol.
import { DeleteTopics } from '../../protocol/messages/delete-topics.ts'
import { ListOffsets } from '../../protocol/messages/list-offsets.ts'
import { Metadata } from '../../protocol/messages/metadata.ts'
import type { RunningPeer } from '../harness/peer.ts'
import { createTopic, send, type WantedTopic } from '../lib/admin.ts'
import { eventually } from '../lib/waiting.ts'

export interface Leader {
  readonly host: string
  readonly port: number
}

export interface Topic {
  readonly name: string
  readonly id: string
  /** By partition. */
  readonly leaders: readonly Leader[]
}

let count = 0

/** Names are used once: a peer may take its time to delete. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${process.pid}-${count++}`
}

/** Resolves when every partition has a leader, and so many replicas in sync as it was given. */
export async function makeTopic(running: RunningPeer, wanted: WantedTopic): Promise<Topic> {
  const [node] = running.nodes
  const id = await createTopic(node, wanted)
  let leaders: Leader[] = []
  await eventually(`${wanted.name} has leaders`, async () => {
    leaders = await leadersKnownTo(node, wanted.name, wanted.replicas ?? 1)
    return leaders.length === wanted.partitions && (await lead(wanted.name, leaders))
  })
  return { name: wanted.name, id, leaders }
}

/** Metadata may name a leader before that broker knows that it is one. */
async function lead(name: string, leaders: readonly Leader[]): Promise<boolean> {
  for (const port of new Set(leaders.map((leader) => leader.port))) {
    const partitions = leaders.flatMap((leader, partitionIndex) =>
      leader.port === port ? [{ partitionIndex, timestamp: -1 }] : [],
    )
    const request = { replicaId: -1, isolationLevel: 0, topics: [{ name, partitions }] }
    const { host = '' } = leaders.find((leader) => leader.port === port) ?? {}
    const { topics } = await send({ host, port }, ListOffsets, 5, request)
    const answers = topics.flatMap((topic) => topic.partitions)
    if (answers.some(({ errorCode }) => errorCode !== 0)) return false
  }
  return true
}

/** Of the partitions that are served with so many replicas in sync. */
export async function leadersKnownTo(
  node: Leader,
  name: string,
  replicas: number,
): Promise<Leader[]> {
  const request = { topics: [{ name }], allowAutoTopicCreation: false }
  const { topics, brokers } = await send(node, Metadata, 9, request)
  const addresses = new Map(brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]))
  return (topics[0]?.partitions ?? [])
    .filter(({ errorCode, isrNodes }) => errorCode === 0 && isrNodes.length >= replicas)
    .toSorted((one, other) => one.partitionIndex - other.partitionIndex)
    .map(({ leaderId }) => addresses.get(leaderId))
    .filter((address) => address !== undefined)
}

export async function deleteTopic(running: RunningPeer, name: string): Promise<void> {
  const [node] = running.nodes
  const request = { topicNames: [name], timeoutMs: 30_000 }
  const { responses } = await send(node, DeleteTopics, 5, request)
  const errorCode = responses[0]?.errorCode
  if (errorCode !== 0) throw new Error(`Deleting ${name} failed: ${errorCode}`)
}
