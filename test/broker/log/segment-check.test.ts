// Goal: what no checksum covers is checked in logs with gaps too, as compaction leaves them, and gaps are no damage.
import t from 'tap'
import type { PartitionLog } from '../../../broker/log/partition-log.ts'
import { patchBatch } from '../../../protocol/records/batch.ts'
import { batch, dataPath, machine, open, take, topicId, type Machine } from './log-support.ts'

/** Three batches of three records each begin here. */
const baseOffsets = [0, 10, 20]

/** Closed cleanly, then opened again after `damage`. */
async function reopened(damage: (where: Machine) => void = () => undefined): Promise<PartitionLog> {
  const where = machine()
  const logs = await open(where)
  const log = logs.create('topic', topicId, 0)
  for (const baseOffset of baseOffsets) {
    const bytes = batch(['one', 'two', 'three'])
    patchBatch(bytes, 0, baseOffset, 5)
    const result = log.append(bytes, { origin: 'replica', leaderEpoch: 5 })
    if (!result.ok) throw new Error(result.message)
  }
  await where.simulation.until(logs.close())
  damage(where)
  const found = (await open(where)).get('topic', 0)
  if (found === undefined) throw new Error('the log is not there')
  return found
}

const logPath = `${dataPath}/topic-0/${'0'.repeat(20)}.log`

/** First bytes of the payload, or the error. */
function read(log: PartitionLog, offset: number, bytesMax: number): string {
  const result = log.read(offset, { bytesMax, atLeastOneBatch: true, offsetMax: log.nextOffset })
  if (!result.ok) return result.error.name
  if (result.payload === undefined) return 'nothing'
  const bytes = take(result.payload)
  return `${bytes.readBigInt64BE(0)} up to ${result.nextOffset}`
}

t.test('check: gaps are no damage', async (t) => {
  const log = await reopened()
  t.equal(read(log, 0, 1), '0 up to 3')
  t.equal(read(log, 3, 1), '10 up to 13')
  t.equal(read(log, 12, 1), '10 up to 13')
  t.equal(read(log, 13, 1_000_000), '20 up to 23')
  t.equal(read(log, 1, 1_000_000), '0 up to 23')
})

t.test('check: of two batches that overlap, the one behind a gap is not served', async (t) => {
  const size = batch(['one', 'two', 'three']).length
  // 10 becomes 26, behind the next batch; 2, within the one before; 20 becomes 52, behind the end of the log.
  for (const [byte, bit] of [
    [size + 7, 4],
    [size + 7, 3],
    [2 * size + 7, 5],
  ] as const) {
    for (const bytesMax of [1, 1_000_000]) {
      const log = await reopened(({ env }) => env.disk.flipBit(logPath, byte, bit))
      const damagedOffset = byte < 2 * size ? 10 : 20
      t.equal(read(log, damagedOffset, bytesMax), 'CORRUPT_MESSAGE')
      const before = read(log, 0, bytesMax)
      t.ok(before === '0 up to 3' || before === '0 up to 13', before)
    }
  }
})

t.test('check: a leader epoch that is not in the epoch table is damage', async (t) => {
  const size = batch(['one', 'two', 'three']).length
  const log = await reopened(({ env }) => env.disk.flipBit(logPath, size + 15, 1))
  t.equal(read(log, 0, 1_000_000), '0 up to 3')
  t.equal(read(log, 10, 1), 'CORRUPT_MESSAGE')
  t.equal(read(log, 13, 1), '20 up to 23', 'what lies behind is served')
})
