import type { ClusterImage } from '../metadata/image.ts'
import type { Partition } from './partition.ts'

/**
 * Where a consumer in `rack` should read instead of here, as Kafka's RackAwareReplicaSelector says (KIP-392): at the
 * in-sync replica of its rack that has the most. Undefined: here is best, or nobody else has what it asks for.
 */
export function closestReplica(
  partition: Partition,
  consumer: { readonly rack: string; readonly offset: number },
  { image, nodeId }: { readonly image: ClusterImage; readonly nodeId: number },
): number | undefined {
  const { leadership } = partition
  if (leadership === undefined || consumer.rack === '') return undefined
  if (image.brokers.get(nodeId)?.rack === consumer.rack) return undefined
  let best: { readonly brokerId: number; readonly endOffset: number } | undefined
  for (const follower of leadership.followers) {
    const broker = image.brokers.get(follower.brokerId)
    if (broker === undefined || broker.fenced || broker.rack !== consumer.rack) continue
    if (!leadership.isr.includes(follower.brokerId)) continue
    if (consumer.offset < follower.logStartOffset || consumer.offset > follower.endOffset) continue
    if (best === undefined || follower.endOffset > best.endOffset) best = follower
  }
  return best?.brokerId
}
