import { ClusterImage } from '../../broker/metadata/image.ts'
import { clusterKeys } from '../../controller/keys.ts'
import { loadLog } from '../../controller/metadata-log.ts'
import type { MetadataStore } from '../../controller/store/metadata-store.ts'
import { unpackValue } from '../../protocol/metadata-records/codec.ts'

/**
 * What is wrong with a log to which candidates wrote: all that was acknowledged is stored, nothing is stored twice, no batch is
 * missing (loading throws then), and epochs never go back.
 */
export async function judge(
  store: MetadataStore,
  acknowledged: readonly string[],
): Promise<string[]> {
  const violations: string[] = []
  const stored = new Map<string, number>()
  await loadLog({ store, keys: clusterKeys }, new ClusterImage('judged'), {
    reloaded: () => undefined,
    applied: (records) => {
      for (const record of records) {
        if (record.type === 'feature') stored.set(record.name, (stored.get(record.name) ?? 0) + 1)
      }
    },
  })
  let epoch = 0
  for (let from = clusterKeys.batch(0); ;) {
    const { entries, more } = await store.range(from, clusterKeys.batchEnd, 1000)
    for (const { key, value } of entries) {
      const [, batchEpoch] = unpackValue(value) as [number, number]
      if (batchEpoch < epoch) violations.push(`${key}: epoch ${batchEpoch} after ${epoch}`)
      epoch = batchEpoch
      from = `${key}\0`
    }
    if (!more) break
  }
  for (const name of acknowledged) {
    if (!stored.has(name)) violations.push(`${name} was acknowledged and is not stored`)
  }
  for (const [name, times] of stored) {
    if (times !== 1) violations.push(`${name} is stored ${times} times`)
  }
  console.log(`${acknowledged.length} acknowledged, ${stored.size} stored, epoch ${epoch}`)
  return violations
}
