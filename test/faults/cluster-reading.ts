/** Reads what the partitions of a cluster gained since the last time, each from its leader. */
import { PartitionReader } from '../clients/admin.ts'
import type { ClusterProcess } from '../clients/cluster-process.ts'
import { pause } from '../clients/processes.ts'
import type { History } from './history.ts'

/** What was acknowledged must be readable within this, elections and catching up included. */
const readableMs = 30_000

/** One pass over all partitions, through whoever leads them. What was acknowledged before must be there. */
export async function readCluster(
  cluster: ClusterProcess,
  topic: string,
  history: History,
): Promise<void> {
  const acknowledgedEnds = history.acknowledgedEnds()
  for (let partition = 0; partition < history.partitionCount; partition++) {
    const end = acknowledgedEnds[partition]!
    const deadline = performance.now() + readableMs
    let refusal: Error | undefined
    do {
      try {
        await readFromLeader(cluster, { topic, partition, history })
        refusal = undefined
      } catch (error) {
        refusal = error as Error
      }
      if (refusal === undefined && history.nextOffset(partition) >= end) break
      await pause(50)
    } while (performance.now() < deadline)
    if (refusal !== undefined)
      throw new Error(`${topic}-${partition}: ${refusal.message}`, { cause: refusal })
    history.checkNothingLost(partition, end)
  }
}

async function readFromLeader(
  cluster: ClusterProcess,
  { topic, partition, history }: { topic: string; partition: number; history: History },
): Promise<void> {
  const views = await cluster.partitions(topic)
  const leader = cluster.broker(views?.[partition]?.leaderId ?? -1)
  const reader = await PartitionReader.connect(leader.host, leader.port)
  try {
    const records = await reader.read(topic, partition, history.nextOffset(partition))
    for (const { offset, value } of records) history.take(partition, offset, value)
  } finally {
    await reader.close()
  }
}
