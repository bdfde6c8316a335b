/** The history of a group's committed offsets, as the log of `__consumer_offsets` has it. */
import { PartitionReader } from '../clients/admin.ts'

/** Where a broker listens. */
interface Address {
  readonly host: string
  readonly port: number
}

export interface Commit {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** Every commit of the group in the order of the log of its partition. Nothing may have been compacted away. */
export async function commitsOf(
  leaderOf: Address | ((partition: number) => Address),
  group: string,
  offsetsPartitionCount: number,
): Promise<Commit[]> {
  const commits: Commit[] = []
  for (let partition = 0; partition < offsetsPartitionCount; partition++) {
    const { host, port } = typeof leaderOf === 'function' ? leaderOf(partition) : leaderOf
    const reader = await PartitionReader.connect(host, port)
    try {
      for (const { key, bytes } of await reader.read('__consumer_offsets', partition, 0)) {
        const commit = commitIn(key, bytes, group)
        if (commit !== undefined) commits.push(commit)
      }
    } finally {
      await reader.close()
    }
  }
  return commits
}

export interface StepBack {
  readonly partition: number
  readonly from: number
  readonly to: number
  readonly text: string
}

/** Places where a committed offset is less than the one before it. */
export function stepsBack(commits: readonly Commit[]): StepBack[] {
  const latest = new Map<string, number>()
  const found: StepBack[] = []
  for (const { topic, partition, offset } of commits) {
    const name = `${topic}-${partition}`
    const before = latest.get(name) ?? 0
    if (offset < before) {
      const text = `${name} went from ${before} back to ${offset}`
      found.push({ partition, from: before, to: offset, text })
    }
    latest.set(name, offset)
  }
  return found
}

/** Key: int16 version 0 or 1, group, topic, int32 partition; value: int16 version, int64 offset. */
function commitIn(key: Buffer | null, value: Buffer | null, group: string): Commit | undefined {
  if (key === null || value === null || key.readInt16BE(0) > 1) return undefined
  const groupEnd = 4 + key.readInt16BE(2)
  if (key.toString('utf8', 4, groupEnd) !== group) return undefined
  const topicEnd = groupEnd + 2 + key.readInt16BE(groupEnd)
  return {
    topic: key.toString('utf8', groupEnd + 2, topicEnd),
    partition: key.readInt32BE(topicEnd),
    offset: Number(value.readBigInt64BE(2)),
  }
}
