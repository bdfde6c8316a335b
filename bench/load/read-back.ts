// What stands in a topic after a sample: every batch of every partition, read by raw fetches and with its CRC computed.
import type { Verified } from '../harness/scenario.ts'
import { Checksum } from './checksum.ts'
import { readerConnection } from './frames.ts'
import type { Generator } from './generator.ts'
import type { Topic } from './topics.ts'

const fetchBytes = 2 ** 20

/** What was sent, by partition. */
export interface Sent {
  readonly records: number
  readonly checksum: Checksum
}

export function nothingSent(partitions: number): { records: number; checksum: Checksum }[] {
  return Array.from({ length: partitions }, () => ({ records: 0, checksum: new Checksum() }))
}

/**
 * Reads each partition from its beginning, or from an offset, to the offset that it must have reached, a few at a time. Fails when offsets have
 * a gap, when a CRC is wrong, when less is there and when more is there.
 */
export async function readBack(
  generator: Generator,
  topic: Topic,
  options: {
    readonly sent: readonly Sent[]
    readonly batchBytesMax: number
    /** By partition; absent: 0. */
    readonly fromOffsets?: readonly number[]
    /** Records that may follow what was sent, by partition; absent: 0. */
    readonly behindMax?: readonly number[]
  },
): Promise<Verified> {
  const { sent, batchBytesMax, fromOffsets = [], behindMax = [] } = options
  let foundRecords = 0
  const found: string[] = []
  const filled = [...sent.entries()].filter(([, { records }]) => records > 0)
  for (let from = 0; from < filled.length; from += atOnce) {
    const connections = filled.slice(from, from + atOnce).map(([partition, { records }]) => {
      const fromOffset = fromOffsets[partition] ?? 0
      const untilOffset = fromOffset + records
      const range = { fromOffset, untilOffset, behindMax: behindMax[partition] ?? 0 }
      return readerConnection({ topic, partition, fetchBytes, batchBytesMax, ...range })
    })
    const result = await generator.run({ kind: 'read', connections, isThorough: true })
    foundRecords += result.records
    found.push(result.checksum)
  }
  return {
    expectedRecords: sent.reduce((sum, { records }) => sum + records, 0),
    foundRecords,
    expectedChecksum: Checksum.of(sent.map(({ checksum }) => checksum.toString())),
    foundChecksum: Checksum.of(found),
  }
}

/** Partitions that are read together. */
const atOnce = 20
