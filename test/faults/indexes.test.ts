import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { indexFaults } from './indexes.ts'

const batchBytes = 61 + 39
const batchRecords = 10

/** Ten batches of ten records, an index entry for each but the first. */
function segment(folder: string): { log: Buffer; index: Buffer; timeindex: Buffer } {
  mkdirSync(folder, { recursive: true })
  const log = Buffer.alloc(10 * batchBytes)
  const index = Buffer.alloc(9 * 8)
  const timeindex = Buffer.alloc(9 * 12)
  for (let batch = 0; batch < 10; batch++) {
    const at = batch * batchBytes
    log.writeBigInt64BE(BigInt(batch * batchRecords), at)
    log.writeInt32BE(batchBytes - 12, at + 8)
    log.writeInt32BE(batchRecords - 1, at + 23)
    log.writeBigInt64BE(BigInt(1000 + batch), at + 35)
    if (batch === 0) continue
    const lastOffset = batch * batchRecords + batchRecords - 1
    index.writeInt32BE(lastOffset, (batch - 1) * 8)
    index.writeInt32BE(at, (batch - 1) * 8 + 4)
    timeindex.writeBigInt64BE(BigInt(1000 + batch), (batch - 1) * 12)
    timeindex.writeInt32BE(lastOffset, (batch - 1) * 12 + 8)
  }
  return { log, index, timeindex }
}

function faultsOf(folder: string, files: Record<string, Buffer>): string[] {
  for (const [suffix, bytes] of Object.entries(files)) {
    writeFileSync(join(folder, `00000000000000000000.${suffix}`), bytes)
  }
  return indexFaults(folder).faults
}

t.test('index check: good files have no fault, every flipped entry has one', async (t) => {
  const folder = t.testdir()
  const files = segment(folder)
  t.strictSame(faultsOf(folder, files), [])
  for (const suffix of ['index', 'timeindex'] as const) {
    const good = files[suffix]
    for (let position = 0; position < good.length; position++) {
      const bad = Buffer.from(good)
      bad[position]! ^= 0x10
      const faults = faultsOf(folder, { ...files, [suffix]: bad })
      if (faults.length === 0) t.fail(`${suffix}: a flip at ${position} went unseen`)
    }
  }
})

t.test('index check: a torn log and a missing index are faults', async (t) => {
  const folder = t.testdir()
  const files = segment(folder)
  t.match(faultsOf(folder, { ...files, log: files.log.subarray(0, -1) }), [/bytes of no batch/])
  const { log, index } = segment(t.testdir({ other: {} }))
  t.match(faultsOf(join(t.testdirName, 'other'), { log, index }), [/timeindex is missing/])
})
