/** Whether the replicas of the one partition of one topic are the same. */
import type { Test } from 'tap'
import type { PartitionLog } from '../../../../broker/log/partition-log.ts'
import type { SimulatedCluster } from '../../../support/cluster.ts'
import { take } from '../../log/log-support.ts'

export const topic = 'copied'

/** All batches, from the first offset that both have. */
function bytesOf(log: PartitionLog, endOffset: number): Buffer {
  const parts: Buffer[] = []
  for (let offset = log.logStartOffset; offset < endOffset;) {
    const read = log.read(offset, {
      bytesMax: 1 << 20,
      atLeastOneBatch: true,
      offsetMax: endOffset,
    })
    if (!read.ok) throw new Error(`Offset ${offset} can't be read: ${read.message}`)
    if (read.payload === undefined) break
    parts.push(take(read.payload))
    offset = read.nextOffset
  }
  return Buffer.concat(parts)
}

export const inSync = (cluster: SimulatedCluster, count: number): Promise<void> =>
  cluster.eventually(`${count} in sync`, () => cluster.stateOf(topic).isr.length === count)

export function checkEqual(t: Test, cluster: SimulatedCluster): void {
  const logs = [...cluster.brokers.keys()].map((nodeId) => cluster.partition(nodeId, topic).log)
  const [first, ...others] = logs
  if (first === undefined) throw new Error('nobody runs')
  for (const log of others) {
    t.equal(log.nextOffset, first.nextOffset)
    t.ok(bytesOf(log, log.nextOffset).equals(bytesOf(first, first.nextOffset)), 'the same bytes')
    t.same(epochsOf(log), epochsOf(first))
  }
}

export const caughtUp = (cluster: SimulatedCluster): Promise<void> =>
  cluster.eventually('all logs end alike', () => {
    const ends = [...cluster.brokers.keys()].map(
      (nodeId) => cluster.partition(nodeId, topic).log.nextOffset,
    )
    return new Set(ends).size === 1
  })

/** A leader's own epoch begins before anything was written in it. */
function epochsOf(log: PartitionLog): object[] {
  return log.leaderEpochs.entries.filter(({ startOffset }) => startOffset < log.nextOffset)
}
