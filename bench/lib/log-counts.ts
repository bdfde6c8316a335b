import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { batchHeaderBytes, readBatchHeader } from '../../protocol/records/batch.ts'
import { RecordReader } from '../../protocol/records/record.ts'

/**
 * How often each number, in the first four bytes of every value, is in the log of a topic. Reads the files: no client's
 * code takes part, ours or another's.
 */
export function countsInLog(dataFolder: string, topic: string, ring: number): Uint32Array {
  const counts = new Uint32Array(ring)
  for (const folder of readdirSync(dataFolder).filter((name) => isPartitionOf(name, topic))) {
    for (const name of readdirSync(join(dataFolder, folder))) {
      if (name.endsWith('.log')) countFile(join(dataFolder, folder, name), counts)
    }
  }
  return counts
}

function isPartitionOf(folder: string, topic: string): boolean {
  return folder.startsWith(`${topic}-`) && /^\d+$/.test(folder.slice(topic.length + 1))
}

function countFile(path: string, counts: Uint32Array): void {
  const bytes = readFileSync(path)
  let at = 0
  while (at + batchHeaderBytes <= bytes.length) {
    const header = readBatchHeader(bytes, at)
    // The rest was only reserved.
    if (header.recordCount === 0) return
    const reader = new RecordReader(bytes, at + batchHeaderBytes, at + header.sizeBytes, header)
    while (reader.advance()) {
      const number = bytes.readUInt32BE(reader.valueAt)
      counts[number] = (counts[number] ?? 0) + 1
    }
    at += header.sizeBytes
  }
}
