import t from 'tap'
import {
  compressionOf,
  computeCrc,
  hasLogAppendTime,
  readBatchHeader,
} from '../../../protocol/records/batch.ts'
import { append, batch, machine, numbered, open, readAll, take, topicId } from './log-support.ts'

t.test("append: LogAppendTime is the broker's clock, in the log and in the answer", async (t) => {
  const m = machine()
  const logs = await open(m, { config: { messageTimestampType: 'LogAppendTime' } })
  const log = logs.create('topic', topicId, 0)
  await m.simulation.run(5000)
  const nowMs = m.env.clock.wallMs()
  t.match(append(log, ['a', 'b'], { codec: 'gzip' }), { ok: true, logAppendTimeMs: nowMs })
  const read = log.read(0, { bytesMax: 1000, atLeastOneBatch: true, offsetMax: 2 })
  if (!read.ok || read.payload === undefined) throw new Error('unreadable')
  const bytes = take(read.payload)
  const header = readBatchHeader(bytes, 0)
  t.ok(hasLogAppendTime(header.attributes))
  t.equal(header.maxTimestamp, nowMs)
  t.equal(computeCrc(bytes, 0, bytes.length), header.crc)
  t.same(log.offsetForTimestamp(nowMs, 2), { timestamp: nowMs, offset: 0, leaderEpoch: 5 })
  await m.simulation.until(logs.close())
})

t.test('append: compression.type recompresses, and keeps the records', async (t) => {
  const m = machine()
  for (const compressionType of ['uncompressed', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
    const logs = await open(m, { config: { compressionType } })
    const log = logs.create(`topic-${compressionType}`, topicId, 0)
    append(log, numbered(20), { codec: 'none' })
    append(log, numbered(20, 20), { codec: 'gzip' })
    for (const offset of [0, 20]) {
      const read = log.read(offset, { bytesMax: 1, atLeastOneBatch: true, offsetMax: 40 })
      if (!read.ok || read.payload === undefined) throw new Error('unreadable')
      const codec = compressionOf(readBatchHeader(take(read.payload), 0).attributes)
      t.equal(codec, compressionType === 'uncompressed' ? 'none' : compressionType)
    }
    t.same(
      readAll(log).map((record) => record.value),
      numbered(40),
    )
    await m.simulation.until(logs.close())
  }
})

t.test('append: a greatest timestamp that the producer got wrong is corrected', async (t) => {
  const m = machine()
  const logs = await open(m)
  const log = logs.create('topic', topicId, 0)
  const bytes = batch(['a', 'b'], { timestamps: [100, 200] })
  bytes.writeBigInt64BE(150n, 35)
  bytes.writeUInt32BE(computeCrc(bytes, 0, bytes.length), 17)
  t.match(log.append(bytes, { origin: 'client', leaderEpoch: 0 }), { ok: true })
  t.match(log.offsetForTimestamp(180, 2), { offset: 1, timestamp: 200 })
  await m.simulation.until(logs.close())
})
