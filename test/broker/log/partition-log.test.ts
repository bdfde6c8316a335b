import t from 'tap'
import { errors } from '../../../protocol/errors.ts'
import {
  append,
  batch,
  machine,
  numbered,
  open,
  readAll,
  recordsIn,
  take,
  topicId,
} from './log-support.ts'

t.test('partition log: what is appended is read', async (t) => {
  const m = machine()
  const logs = await open(m)
  const log = logs.create('topic', topicId, 0)
  t.match(append(log, ['a', 'b', 'c']), {
    ok: true,
    baseOffset: 0,
    nextOffset: 3,
    duplicate: false,
    logAppendTimeMs: -1,
  })
  t.match(append(log, ['d']), { ok: true, baseOffset: 3, nextOffset: 4 })
  t.same(
    readAll(log).map((record) => record.value),
    ['a', 'b', 'c', 'd'],
  )
  t.same(
    readAll(log, 1).map((record) => record.value),
    ['b', 'c', 'd'],
    'from the middle of a batch',
  )
  t.equal(log.leaderEpochs.latest?.epoch, 5)
  await m.simulation.until(logs.close())
})

t.test('partition log: reads stop at batch borders within both limits', async (t) => {
  const m = machine()
  for (const transfer of ['mmap', 'sendfile', 'read'] as const) {
    const logs = await open(m, { transfer })
    const log = logs.create(`topic-${transfer}`, topicId, 0)
    for (let index = 0; index < 200; index++) append(log, numbered(5, index * 5))
    const sizeBytes = batch(numbered(5)).length
    for (const offset of [0, 3, 5, 499, 995, 999]) {
      for (const bytesMax of [0, 1, sizeBytes, 3 * sizeBytes + 1, 100_000]) {
        for (const offsetMax of [offset, offset + 1, offset + 7, 1000, 5000]) {
          for (const atLeastOneBatch of [true, false]) {
            const read = log.read(offset, { bytesMax, atLeastOneBatch, offsetMax })
            if (!read.ok) throw new Error(read.message)
            const base = offset - (offset % 5)
            // Whole batches below the limit, computed the simple way.
            let count = Math.floor((Math.min(offsetMax, 1000) - base) / 5)
            const bytes = read.payload === undefined ? Buffer.alloc(0) : take(read.payload)
            const records = recordsIn(bytes)
            if (count > 0) {
              let fits = 0
              let used = 0
              while (fits < count) {
                const size = batch(numbered(5, base + fits * 5)).length
                if (used + size > bytesMax) break
                used += size
                fits++
              }
              count = fits === 0 && atLeastOneBatch ? 1 : fits
            }
            if (offset >= Math.min(offsetMax, 1000)) count = 0
            const at = `${transfer} ${offset} ${bytesMax} ${offsetMax} ${atLeastOneBatch}`
            t.equal(records.length, Math.max(count, 0) * 5, at)
            if (count > 0) {
              t.equal(records[0]?.offset, base, at)
              t.equal(read.nextOffset, base + count * 5, at)
            } else t.equal(read.nextOffset, offset, at)
          }
        }
      }
    }
    await m.simulation.until(logs.close())
  }
})

t.test('partition log: an offset outside of the log is refused, its end is empty', async (t) => {
  const m = machine()
  const logs = await open(m)
  const log = logs.create('topic', topicId, 0)
  append(log, numbered(10))
  const options = { bytesMax: 100, atLeastOneBatch: true, offsetMax: 100 }
  t.same(log.read(10, options), { ok: true, payload: undefined, nextOffset: 10 })
  t.match(log.read(11, options), { ok: false, error: errors.offsetOutOfRange })
  log.deleteRecords(4)
  t.match(log.read(3, options), { ok: false, error: errors.offsetOutOfRange })
  t.equal(readAll(log)[0]?.offset, 4, 'the log may begin inside a batch')
  await m.simulation.until(logs.close())
})

t.test('partition log: it rolls by size and goes on across segments', async (t) => {
  const m = machine()
  const logs = await open(m, { config: { segmentBytes: 1000, indexIntervalBytes: 200 } })
  const log = logs.create('topic', topicId, 0)
  for (let index = 0; index < 100; index++) append(log, numbered(3, index * 3))
  t.ok(log.segments.all.length > 10)
  for (const segment of log.segments.all) t.ok(segment.sizeBytes <= 1000)
  t.equal(
    log.sizeBytes,
    log.segments.all.reduce((sum, segment) => sum + segment.sizeBytes, 0),
  )
  t.same(
    readAll(log).map((record) => record.value),
    numbered(300),
  )
  t.same(
    readAll(log, 0, 1).map((record) => record.value),
    numbered(300),
    'one batch at a time',
  )
  for (let offset = 0; offset < 300; offset++) t.equal(readAll(log, offset)[0]?.offset, offset)
  await m.simulation.until(logs.close())
})

t.test('partition log: it rolls by time of records, and by a full index', async (t) => {
  const m = machine()
  const logs = await open(m, {
    config: { segmentMs: 1000, segmentIndexBytes: 36, indexIntervalBytes: 0 },
  })
  const log = logs.create('topic', topicId, 0)
  append(log, ['a'], { timestamp: 10_000 })
  append(log, ['b'], { timestamp: 11_000 })
  t.equal(log.segments.all.length, 1)
  append(log, ['c'], { timestamp: 11_001 })
  t.same(
    log.segments.all.map((segment) => segment.baseOffset),
    [0, 2],
    'more than segment.ms after its first',
  )
  append(log, ['d', 'd'], { timestamp: 11_002 })
  append(log, ['e', 'e'], { timestamp: 11_003 })
  append(log, ['f', 'f'], { timestamp: 11_004 })
  t.same(
    log.segments.all.map((segment) => segment.baseOffset),
    [0, 2, 7],
    'two entries are all a time index takes',
  )
  await m.simulation.until(logs.close())
})

t.test('partition log: a clean stop and start changes nothing', async (t) => {
  const m = machine()
  const config = { segmentBytes: 2000, indexIntervalBytes: 100 }
  const logs = await open(m, { config })
  const log = logs.create('topic', topicId, 3)
  for (let index = 0; index < 50; index++)
    append(log, numbered(4, index * 4), {
      producerId: 7,
      producerEpoch: 0,
      baseSequence: index * 4,
    })
  log.deleteRecords(41)
  await m.simulation.until(logs.close())
  const again = await open(m, { config })
  const reopened = again.get('topic', 3)!
  t.equal(reopened.topicId, topicId)
  t.equal(reopened.nextOffset, 200)
  t.equal(reopened.durableOffset, 200)
  t.equal(reopened.logStartOffset, 41)
  t.same(
    readAll(reopened).map((record) => record.offset),
    Array.from({ length: 159 }, (_, i) => 41 + i),
  )
  t.match(append(reopened, numbered(4), { producerId: 7, producerEpoch: 0, baseSequence: 196 }), {
    ok: true,
    duplicate: true,
    baseOffset: 196,
  })
  t.match(append(reopened, numbered(4), { producerId: 7, producerEpoch: 0, baseSequence: 200 }), {
    ok: true,
    duplicate: false,
    baseOffset: 200,
  })
  t.equal(reopened.leaderEpochs.epochFor(100), 5)
  await m.simulation.until(again.close())
})

t.test(
  'partition log: whatever was appended when a promise was made is durable when it resolves',
  async (t) => {
    const m = machine()
    const logs = await open(m)
    const log = logs.create('topic', topicId, 0)
    t.equal(log.whenDurable(0), undefined)
    append(log, ['a'])
    const first = log.whenDurable(1)
    append(log, ['b'])
    const second = log.whenDurable(2)
    await m.simulation.until(Promise.all([first, second]))
    t.equal(log.durableOffset, 2)
    t.equal(log.whenDurable(2), undefined)
    await m.simulation.until(logs.close())
  },
)

t.test('partition log: flush policies os and interval let an ack go at once', async (t) => {
  for (const flushPolicy of ['os', 'interval'] as const) {
    const m = machine()
    const logs = await open(m, { flushPolicy, flushIntervalMs: 100, config: { flushMessages: 3 } })
    const log = logs.create('topic', topicId, 0)
    append(log, ['a'])
    t.equal(log.whenDurable(1), undefined)
    append(log, ['b', 'c'])
    const due = log.whenDurable(3)
    t.ok(due, 'flush.messages is reached')
    await m.simulation.until(due!)
    append(log, ['d'])
    await m.simulation.run(m.simulation.scheduler.nowMs + 500)
    t.equal(log.durableOffset, flushPolicy === 'interval' ? 4 : 3)
    await m.simulation.until(logs.close())
  }
})

t.test('partition log: timestamps find the first record, not batch', async (t) => {
  const m = machine()
  for (const codec of ['none', 'gzip'] as const) {
    const logs = await open(m, { config: { segmentBytes: 600, indexIntervalBytes: 100 } })
    const log = logs.create(`topic-${codec}`, topicId, 0)
    // Out of order inside batches and across them, with one far ahead of its neighbours.
    const timestamps = Array.from({ length: 120 }, (_, index) =>
      index === 50 ? 9000 : 1000 + index * 10 + ((index * 7) % 30),
    )
    for (let index = 0; index < 120; index += 4)
      append(log, numbered(4, index), { timestamps: timestamps.slice(index, index + 4), codec })
    t.ok(log.segments.all.length > 3)
    for (const target of [-1, 0, 1000, 1001, 1105, 1500, 2000, 2229, 8999, 9000]) {
      const expected = timestamps.findIndex((timestamp) => timestamp >= target)
      const found = log.offsetForTimestamp(target, log.nextOffset)
      t.same(
        found,
        { offset: expected, timestamp: timestamps[expected], leaderEpoch: 5 },
        `${codec} ${target}`,
      )
    }
    t.equal(log.offsetForTimestamp(9001, log.nextOffset), undefined)
    t.equal(log.offsetForTimestamp(9000, 50), undefined, 'not beyond the bound')
    t.match(log.maxTimestamp(log.nextOffset), { offset: 50, timestamp: 9000 })
    const below = Math.max(...timestamps.slice(0, 48))
    t.match(log.maxTimestamp(48), { offset: timestamps.indexOf(below), timestamp: below })
    await m.simulation.until(logs.close())
  }
})

t.test(
  'partition log: cutting it takes whole batches, and the state that came with them',
  async (t) => {
    const m = machine()
    const logs = await open(m, { config: { segmentBytes: 1000 } })
    const log = logs.create('topic', topicId, 0)
    for (let index = 0; index < 60; index++) {
      const options = { origin: 'client', leaderEpoch: index < 30 ? 1 : 2 } as const
      log.append(
        batch(numbered(3, index * 3), { producerId: 1, producerEpoch: 0, baseSequence: index * 3 }),
        options,
      )
    }
    await m.simulation.until(logs.checkpoint())
    log.truncateTo(100)
    t.equal(log.nextOffset, 99)
    t.equal(log.durableOffset, 99)
    t.same(
      readAll(log).map((record) => record.value),
      numbered(99),
    )
    log.truncateTo(60)
    t.equal(log.nextOffset, 60)
    t.equal(log.leaderEpochs.latest?.epoch, 1)
    t.match(append(log, ['x'], { producerId: 1, producerEpoch: 0, baseSequence: 60 }), {
      ok: true,
      baseOffset: 60,
    })
    await m.simulation.until(logs.close())
    const again = await open(m, { config: { segmentBytes: 1000 } })
    t.same(
      readAll(again.get('topic', 0)!).map((record) => record.value),
      [...numbered(60), 'x'],
    )
    await m.simulation.until(again.close())
  },
)

t.test('partition log: a replica takes what its leader has, verbatim', async (t) => {
  const m = machine()
  const logs = await open(m, { config: { segmentBytes: 1500 } })
  const leader = logs.create('leader', topicId, 0)
  const follower = logs.create('follower', topicId, 0)
  for (let index = 0; index < 40; index++) append(leader, numbered(3, index * 3))
  for (let offset = 0; offset < leader.nextOffset;) {
    const read = leader.read(offset, {
      bytesMax: 700,
      atLeastOneBatch: true,
      offsetMax: leader.nextOffset,
    })
    if (!read.ok || read.payload === undefined) throw new Error('unreadable')
    t.match(follower.append(take(read.payload), { origin: 'replica', leaderEpoch: 9 }), {
      ok: true,
      baseOffset: offset,
    })
    offset = read.nextOffset
  }
  t.same(readAll(follower), readAll(leader))
  t.equal(follower.leaderEpochs.latest?.epoch, 5, "the epoch is the batch's own")
  t.match(follower.append(batch(['x']), { origin: 'replica', leaderEpoch: 9 }), {
    ok: false,
    error: errors.corruptMessage,
  })
  await m.simulation.until(logs.close())
})

t.test(
  'partition log: bytes of an earlier process are warmed once, before they are checked',
  async (t) => {
    const m = machine()
    const logs = await open(m)
    const log = logs.create('topic', topicId, 0)
    for (let index = 0; index < 20; index++) append(log, numbered(5, index * 5))
    t.equal(log.warmed(0, 1 << 20), undefined, 'what this process wrote is in memory')
    await m.simulation.until(logs.close())
    const again = await open(m)
    const reopened = again.get('topic', 0)!
    await m.simulation.until(reopened.warmed(0, 1 << 20)!)
    t.equal(readAll(reopened).length, 100)
    t.equal(reopened.warmed(0, 1 << 20), undefined)
    t.equal(reopened.warmed(100, 1 << 20), undefined, 'nothing is there yet')
    await m.simulation.until(again.close())
  },
)

t.test(
  'time lookup: the greatest timestamp of a log that begins inside a batch, behind its greatest record',
  async (t) => {
    const m = machine('partial batch')
    const logs = await open(m)
    const log = logs.create('topic', topicId, 0)
    append(log, ['a', 'b', 'c'], { timestamps: [9000, 100, 50] })
    log.deleteRecords(1)
    t.match(log.maxTimestamp(log.nextOffset), { offset: 1, timestamp: 100 })
    append(log, ['d'], { timestamp: 200 })
    t.match(log.maxTimestamp(log.nextOffset), { offset: 3, timestamp: 200 })
    log.deleteRecords(3)
    t.match(log.maxTimestamp(log.nextOffset), { offset: 3, timestamp: 200 })
    await m.simulation.until(logs.close())
  },
)
