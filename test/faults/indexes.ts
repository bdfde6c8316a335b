/**
 * An independent check of index files against the log they describe.
 *
 * .index: 8-byte entries (offset - base offset, position): the position is where a batch begins, the
 * offset is that batch's last. .timeindex: 12-byte entries (timestamp, offset - base offset): the
 * greatest timestamp so far, and an offset of the batch that has it. Both strictly increase.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

interface Batch {
  readonly position: number
  readonly baseOffset: number
  readonly lastOffset: number
  readonly maxTimestamp: number
}

/** What is wrong with the segments in a partition's folder; an empty list is what we want. */
export function indexFaults(folder: string): { faults: string[]; entryCount: number } {
  const faults: string[] = []
  let entryCount = 0
  for (const name of readdirSync(folder).filter((each) => each.endsWith('.log'))) {
    const stem = name.slice(0, -'.log'.length)
    const batches = batchesOf(readFileSync(join(folder, name)), faults, name)
    if (batches.length === 0) continue // Its indexes come with its first batch.
    const segment = { stem, baseOffset: Number(stem), batches }
    const offsets = join(folder, `${stem}.index`)
    const times = join(folder, `${stem}.timeindex`)
    if (!existsSync(offsets)) faults.push(`${stem}.index is missing`)
    else entryCount += checkOffsets(segment, readFileSync(offsets), faults)
    if (!existsSync(times)) faults.push(`${stem}.timeindex is missing`)
    else checkTimes(segment, readFileSync(times), faults)
  }
  return { faults: faults.map((fault) => `${folder}: ${fault}`).slice(0, 10), entryCount }
}

interface Segment {
  readonly stem: string
  readonly baseOffset: number
  readonly batches: readonly Batch[]
}

function batchesOf(log: Buffer, faults: string[], name: string): Batch[] {
  const batches: Batch[] = []
  let position = 0
  while (position + 61 <= log.length) {
    const baseOffset = Number(log.readBigInt64BE(position))
    const size = 12 + log.readInt32BE(position + 8)
    if (position + size > log.length) break
    const lastOffset = baseOffset + log.readInt32BE(position + 23)
    const maxTimestamp = Number(log.readBigInt64BE(position + 35))
    batches.push({ position, baseOffset, lastOffset, maxTimestamp })
    position += size
  }
  if (position !== log.length) faults.push(`${name} has ${log.length - position} bytes of no batch`)
  return batches
}

function checkOffsets(segment: Segment, index: Buffer, faults: string[]): number {
  const byPosition = new Map(segment.batches.map((batch) => [batch.position, batch]))
  const count = entriesOf(index, 8, (at) => index.readInt32BE(at + 4) === 0)
  let before = { offset: -1, position: -1 }
  for (let entry = 0; entry < count; entry++) {
    const offset = segment.baseOffset + index.readInt32BE(entry * 8)
    const position = index.readInt32BE(entry * 8 + 4)
    const lastOffset = byPosition.get(position)?.lastOffset
    if (lastOffset !== offset) {
      faults.push(`${segment.stem}.index ${entry}: ${offset} at ${position}, log has ${lastOffset}`)
    }
    if (offset <= before.offset || position <= before.position) {
      faults.push(`${segment.stem}.index ${entry}: not increasing`)
    }
    before = { offset, position }
  }
  return count
}

function checkTimes(segment: Segment, index: Buffer, faults: string[]): void {
  const count = entriesOf(index, 12, (at) => at > 0 && index.readBigInt64BE(at) === 0n)
  let before = { timestamp: -1, offset: -1 }
  let next = 0
  let newest: Batch | undefined
  for (let entry = 0; entry < count; entry++) {
    const timestamp = Number(index.readBigInt64BE(entry * 12))
    const offset = segment.baseOffset + index.readInt32BE(entry * 12 + 8)
    for (; next < segment.batches.length; next++) {
      const batch = segment.batches[next]!
      if (batch.baseOffset > offset) break
      if (newest === undefined || batch.maxTimestamp > newest.maxTimestamp) newest = batch
    }
    if (newest?.maxTimestamp !== timestamp || offset > newest.lastOffset) {
      faults.push(
        `${segment.stem}.timeindex ${entry}: ${timestamp}, log has ${newest?.maxTimestamp}`,
      )
    }
    // A clean stop may repeat the last entry's timestamp at a later offset, never an earlier one.
    if (timestamp <= before.timestamp || offset < before.offset) {
      faults.push(`${segment.stem}.timeindex ${entry}: not increasing`)
    }
    before = { timestamp, offset }
  }
}

/** The active segment's index may be preallocated: zero entries end it. */
function entriesOf(index: Buffer, entryBytes: number, isEnd: (at: number) => boolean): number {
  const count = Math.floor(index.length / entryBytes)
  for (let entry = 0; entry < count; entry++) {
    if (entry > 0 && isEnd(entry * entryBytes)) return entry
  }
  return count
}
