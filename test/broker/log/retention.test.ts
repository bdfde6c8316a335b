import t from 'tap'
import { append, dataPath, machine, numbered, open, readAll, take, topicId } from './log-support.ts'

const dayMs = 86_400_000

t.test(
  'retention: by bytes, by time, and never the active segment while it is in use',
  async (t) => {
    const m = machine()
    const logs = await open(m, {
      config: {
        segmentBytes: 500,
        retentionMs: dayMs,
        retentionBytes: 2000,
        fileDeleteDelayMs: 1000,
      },
    })
    const log = logs.create('topic', topicId, 0)
    const nowMs = m.env.clock.wallMs()
    for (let index = 0; index < 40; index++)
      append(log, numbered(3, index * 3), { timestamp: nowMs })
    await m.simulation.until(log.flush())
    const before = log.sizeBytes
    t.ok(log.enforceRetention(nowMs) > 0)
    t.ok(
      log.sizeBytes >= 2000 && log.sizeBytes < 2500 && log.sizeBytes < before,
      `${log.sizeBytes} bytes`,
    )
    t.equal(log.logStartOffset, log.segments.first.baseOffset)
    t.same(readAll(log).map((record) => record.offset)[0], log.logStartOffset)
    const names = (): string[] => m.env.disk.list(`${dataPath}/topic-0`)
    await m.simulation.run(m.simulation.scheduler.nowMs + 500)
    t.ok(
      names().some((name) => name.endsWith('.deleted')),
      'files wait for file.delete.delay.ms',
    )
    await m.simulation.run(m.simulation.scheduler.nowMs + 1500)
    t.notOk(names().some((name) => name.endsWith('.deleted')))
    t.equal(log.enforceRetention(nowMs + dayMs - 1), 0)
    await m.simulation.run(m.simulation.scheduler.nowMs + 2 * dayMs)
    log.enforceRetention(m.env.clock.wallMs())
    t.equal(log.sizeBytes, 0, 'an idle log expires as a whole')
    t.equal(log.nextOffset, 120)
    t.match(append(log, ['x']), { ok: true, baseOffset: 120 })
    await m.simulation.until(logs.close())
    const again = await open(m, {})
    t.equal(again.get('topic', 0)?.logStartOffset, 120)
    t.same(readAll(again.get('topic', 0)!), [{ offset: 120, value: 'x' }])
    await m.simulation.until(again.close())
  },
)

t.test(
  'retention: an empty log remembers its end across a clean stop and across a crash',
  async (t) => {
    for (const isClean of [true, false]) {
      const m = machine()
      const logs = await open(m, { config: { retentionMs: dayMs } })
      const log = logs.create('topic', topicId, 0)
      append(log, numbered(10), { timestamp: 1 })
      await m.simulation.until(log.flush())
      await m.simulation.run(2 * dayMs)
      log.enforceRetention(m.env.clock.wallMs())
      t.equal(log.logStartOffset, 10)
      await m.simulation.run(m.simulation.scheduler.nowMs + 1000)
      if (isClean) await m.simulation.until(logs.close())
      else {
        m.env.cutPower()
        m.env.boot()
      }
      const again = await open(m, {})
      t.equal(again.get('topic', 0)?.nextOffset, 10)
      t.equal(again.get('topic', 0)?.logStartOffset, 10)
      await m.simulation.until(again.close())
    }
  },
)

t.test(
  'retention: ancient timestamps go with the closed segment, future ones do not keep it',
  async (t) => {
    const m = machine()
    const logs = await open(m, {
      config: {
        segmentBytes: 300,
        retentionMs: dayMs,
        messageTimestampAfterMaxMs: Number.MAX_SAFE_INTEGER,
      },
    })
    const ancient = logs.create('ancient', topicId, 0)
    const future = logs.create('future', topicId, 0)
    const nowMs = m.env.clock.wallMs()
    for (let index = 0; index < 12; index++) {
      append(ancient, numbered(3), { timestamp: 1000 })
      append(future, numbered(3), { timestamp: nowMs + 1000 * dayMs })
    }
    await m.simulation.until(Promise.all([ancient.flush(), future.flush()]))
    const count = ancient.segments.all.length
    t.equal(
      ancient.enforceRetention(nowMs),
      count - 1,
      'what was just appended to the active segment stays',
    )
    t.equal(future.enforceRetention(nowMs), 0)
    t.ok(future.enforceRetention(nowMs + 2 * dayMs) > 0, 'capped by the time of the append')
    await m.simulation.until(logs.close())
  },
)

t.test('retention: a compacted topic loses nothing to time or size', async (t) => {
  const m = machine()
  const config = {
    segmentBytes: 300,
    retentionMs: 0,
    retentionBytes: 0,
    cleanupPolicy: { delete: false, compact: true },
  }
  const logs = await open(m, { config })
  const log = logs.create('topic', topicId, 0)
  for (let index = 0; index < 12; index++) append(log, numbered(3), { key: 'k', timestamp: 1000 })
  await m.simulation.until(log.flush())
  t.equal(log.enforceRetention(m.env.clock.wallMs() + 100 * dayMs), 0)
  log.deleteRecords(20)
  t.ok(log.segments.first.baseOffset > 0, 'but DeleteRecords works')
  await m.simulation.until(logs.close())
})

t.test(
  'retention: records of today stay, whatever the clock said when they were written',
  async (t) => {
    const m = machine()
    const logs = await open(m, {
      config: { segmentBytes: 500, retentionMs: dayMs, messageTimestampAfterMaxMs: 9 * dayMs },
    })
    const log = logs.create('topic', topicId, 0)
    const laterMs = m.env.clock.wallMs() + 5 * dayMs
    for (let index = 0; index < 20; index++)
      append(log, numbered(3, index * 3), { timestamp: laterMs })
    await m.simulation.until(log.flush())
    t.equal(log.enforceRetention(laterMs), 0)
    t.ok(log.enforceRetention(laterMs + dayMs + 1) > 0)
    await m.simulation.until(logs.close())
  },
)

t.test(
  'retention: a view stays readable after its segment was deleted, until it is released',
  async (t) => {
    for (const transfer of ['mmap', 'sendfile', 'read'] as const) {
      const m = machine()
      const logs = await open(m, {
        transfer,
        config: { segmentBytes: 200_000, fileDeleteDelayMs: 0 },
      })
      const log = logs.create('topic', topicId, 0)
      for (let index = 0; index < 30; index++) append(log, ['x'.repeat(20_000)])
      const read = log.read(0, { bytesMax: 100_000, atLeastOneBatch: true, offsetMax: 30 })
      if (!read.ok || read.payload === undefined) throw new Error('unreadable')
      const copy = Buffer.from(take(reread(log)))
      log.deleteRecords(25)
      t.ok(log.segments.first.baseOffset > 4)
      await m.simulation.run(1000)
      t.same(take(read.payload), copy)
      await m.simulation.until(logs.close())
    }
  },
)

function reread(log: Parameters<typeof readAll>[0]): Parameters<typeof take>[0] {
  const read = log.read(0, { bytesMax: 100_000, atLeastOneBatch: true, offsetMax: 30 })
  if (!read.ok || read.payload === undefined) throw new Error('unreadable')
  return read.payload
}

t.test(
  'log directories: a deleted topic goes away in the background, a leftover at the next start',
  async (t) => {
    const m = machine()
    const logs = await open(m, { config: { fileDeleteDelayMs: 5000 } })
    const log = logs.create('topic', topicId, 0)
    append(log, numbered(5))
    const flushed = log.flush()
    logs.delete('topic', 0)
    await t.rejects(m.simulation.until(flushed), { code: 'CLOSED' })
    t.equal(logs.get('topic', 0), undefined)
    const isLeft = (): boolean => m.env.disk.list(dataPath).some((name) => name.endsWith('-delete'))
    t.ok(isLeft())
    const recreated = logs.create('topic', 'c'.repeat(32), 0)
    t.match(append(recreated, ['new']), { ok: true, baseOffset: 0 })
    await m.simulation.until(logs.close())
    t.ok(isLeft())
    const again = await open(m)
    await m.simulation.run(m.simulation.scheduler.nowMs + 1000)
    t.notOk(isLeft())
    t.same(readAll(again.get('topic', 0)!), [{ offset: 0, value: 'new' }])
    t.equal(again.get('topic', 0)?.topicId, 'c'.repeat(32))
    await m.simulation.until(again.close())
  },
)
