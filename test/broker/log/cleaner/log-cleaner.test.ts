// Goal: each rule of compaction, one at a time, on a simulated machine.
import t from 'tap'
import { StorageError } from '../../../../base/env.ts'
import { silentLogger } from '../../../../base/logger.ts'
import { groupSegments } from '../../../../broker/log/cleaner/group-segments.ts'
import { inlineRunner } from '../../../../broker/log/cleaner/inline-runner.ts'
import { OffsetIndex } from '../../../../broker/log/offset-index.ts'
import type { LogConfig } from '../../../../broker/log/log-config.ts'
import type { LogDirectories } from '../../../../broker/log/log-directories.ts'
import type { PartitionLog } from '../../../../broker/log/partition-log.ts'
import { Segment } from '../../../../broker/log/segment.ts'
import { hasDeleteHorizon, isControl } from '../../../../protocol/records/batch.ts'
import { controlBatch } from '../../../../protocol/records/control.ts'
import { batch, machine, open, readAll, topicId, type Machine } from '../log-support.ts'
import { batchesOf, newCleaner, put, recordsIn, type KeyValue } from './cleaner-support.ts'

const compacted: Partial<LogConfig> = {
  cleanupPolicy: { compact: true, delete: false },
  minCleanableDirtyRatio: 0,
  indexIntervalBytes: 100,
  fileDeleteDelayMs: 1000,
  deleteRetentionMs: 10_000,
}

interface Opened {
  readonly m: Machine
  readonly logs: LogDirectories
  readonly log: PartitionLog
  /** Everything is rolled, checkpointed and cleaned. */
  readonly clean: () => Promise<boolean>
}

async function opened(config: Partial<LogConfig> = {}): Promise<Opened> {
  const m = machine()
  const logs = await open(m, { config: { ...compacted, ...config } })
  const log = logs.create('topic', topicId, 0)
  const cleaner = newCleaner(m, logs)
  const clean = async (): Promise<boolean> => {
    log.roll()
    await m.simulation.until(logs.checkpoint())
    return m.simulation.until(cleaner.cleanDirtiest())
  }
  return { m, logs, log, clean }
}

function pairs(...texts: string[]): KeyValue[] {
  return texts.map((text) => {
    const [key = '', value] = text.split('=')
    return { key, value: value ?? null }
  })
}

const shown = (log: PartitionLog): string[] =>
  recordsIn(log).map(({ key, value, offset }) => `${offset}:${key}=${value}`)

t.test('cleaner: the latest value of each key stays, at its offset', async (t) => {
  const { log, clean, m } = await opened()
  put(log, pairs('a=1', 'b=1'))
  put(log, pairs('a=2', 'c=1'), { codec: 'gzip' })
  log.roll()
  put(log, pairs('a=3', 'd=1'), { codec: 'lz4' })
  t.equal(await clean(), true)
  t.same(shown(log), ['1:b=1', '3:c=1', '4:a=3', '5:d=1'])
  t.equal(log.nextOffset, 6)
  t.equal(log.logStartOffset, 0)
  t.same(
    readAll(log).map((record) => record.offset),
    [1, 3, 4, 5],
  )
  t.equal(log.segments.all.length, 2, 'two became one, and the active one')
  t.equal(await clean(), false, 'nothing is dirty any more')
  t.ok(m.env.disk.readFile('/data/cleaner-offset-checkpoint')?.toString().includes('topic 0 6'))
  await m.simulation.run(m.simulation.scheduler.nowMs + 2000)
  const left = m.env.disk.list(log.path).filter((name) => /deleted|cleaned|swap/.test(name))
  t.same(left, [])
})

t.test(
  'cleaner: a tombstone stays for delete.retention.ms behind its first cleaning',
  async (t) => {
    const { log, clean, m } = await opened()
    put(log, pairs('a=1', 'b=1'), { timestamp: 77 })
    put(log, pairs('a', 'x=1'), { timestamp: 78 })
    await clean()
    t.same(shown(log), ['1:b=1', '2:a=null', '3:x=1'])
    t.same(
      recordsIn(log).map((record) => record.timestamp),
      [77, 78, 78],
    )
    const [, batch] = batchesOf(log)
    t.ok(hasDeleteHorizon(batch!.header.attributes))
    t.ok(Math.abs(batch!.header.baseTimestamp - m.env.clock.wallMs() - 10_000) < 100)
    put(log, pairs('y=1'))
    await clean()
    t.same(shown(log), ['1:b=1', '2:a=null', '3:x=1', '4:y=1'])
    await m.simulation.run(m.simulation.scheduler.nowMs + 10_000)
    put(log, pairs('z=1'))
    await clean()
    t.same(shown(log), ['1:b=1', '3:x=1', '4:y=1', '5:z=1'])
  },
)

t.test('cleaner: the last batch of an active producer stays as a header', async (t) => {
  const { log, clean, logs, m } = await opened()
  const producer = { producerId: 9, producerEpoch: 2 }
  put(log, pairs('a=1'), { ...producer, baseSequence: 0 })
  put(log, pairs('a=2', 'a=3'), { ...producer, baseSequence: 1 })
  put(log, pairs('a=4'))
  await clean()
  t.same(shown(log), ['3:a=4'])
  const [empty] = batchesOf(log)
  t.match(empty!.header, { baseOffset: 1, lastOffsetDelta: 1, baseSequence: 1, recordCount: 0 })
  // Without snapshots: from the log alone.
  await m.simulation.until(logs.close())
  for (const name of m.env.disk.list(log.path))
    if (name.endsWith('.snapshot')) m.env.disk.remove(`${log.path}/${name}`)
  const again = (await open(m, { config: compacted })).get('topic', 0)!
  put(again, pairs('b=1'), { ...producer, baseSequence: 3 })
  t.match(again.activeProducers(), [{ producerId: 9, lastSequence: 3 }])
})

t.test(
  'cleaner: aborted data goes, then its marker; committed data stays with its own',
  async (t) => {
    const { log, clean, m } = await opened()
    const first = { producerId: 1, producerEpoch: 0, transactional: true }
    const second = { producerId: 2, producerEpoch: 0, transactional: true }
    const end = (producerId: number, end: 'commit' | 'abort'): void => {
      const marker = { end, producerId, producerEpoch: 0, coordinatorEpoch: 0, timestamp: 5 }
      log.append(controlBatch(marker), { origin: 'coordinator', leaderEpoch: 5 })
    }
    put(log, pairs('a=1', 'b=1'))
    put(log, pairs('a=2'), { ...first, baseSequence: 0 })
    put(log, pairs('b=2'), { ...second, baseSequence: 0 })
    end(1, 'abort')
    end(2, 'commit')
    put(log, pairs('c=1'), { ...first, baseSequence: 1 })
    end(1, 'commit')
    await clean()
    t.same(shown(log), ['0:a=1', '3:b=2', '6:c=1'], 'an aborted record supersedes nothing')
    const markers = (): number[] =>
      batchesOf(log)
        .filter(({ header }) => isControl(header.attributes))
        .map(({ header }) => header.baseOffset)
    t.same(markers(), [4, 5, 7])
    t.match(log.abortedTransactions(0, 100), [{ producerId: 1, firstOffset: 2 }])
    put(log, pairs('d=1'))
    await clean()
    t.same(markers(), [4, 5, 7], 'the marker waits for its delete horizon')
    t.same(log.abortedTransactions(0, 100), [])
    await m.simulation.run(m.simulation.scheduler.nowMs + 20_000)
    put(log, pairs('e=1'))
    await clean()
    t.same(markers(), [5, 7])
    t.equal(log.lastStableOffset(log.nextOffset), log.nextOffset)
  },
)

t.test('cleaner: nothing from an open transaction on, or above the high watermark', async (t) => {
  const { m, logs, log } = await opened()
  let highWatermark = 0
  const cleaner = newCleaner(m, logs, { highWatermark: () => highWatermark })
  for (let round = 0; round < 4; round++) {
    put(log, pairs(`a=${round}`, `b=${round}`))
    log.roll()
  }
  await m.simulation.until(logs.checkpoint())
  t.equal(await m.simulation.until(cleaner.cleanDirtiest()), false)
  highWatermark = 5
  t.equal(await m.simulation.until(cleaner.cleanDirtiest()), true)
  t.same(shown(log).slice(0, 3), ['2:a=1', '3:b=1', '4:a=2'])
  const open = { producerId: 1, producerEpoch: 0, baseSequence: 0, transactional: true }
  put(log, pairs('t=1'), open)
  for (let round = 0; round < 2; round++) {
    log.roll()
    put(log, pairs('t=2'))
  }
  log.roll()
  await m.simulation.until(logs.checkpoint())
  highWatermark = log.nextOffset
  await m.simulation.until(cleaner.cleanDirtiest())
  t.same(shown(log), ['6:a=3', '7:b=3', '8:t=1', '9:t=2', '10:t=2'])
})

t.test('cleaner: the rules of when a log is dirty enough', async (t) => {
  const { m, log, clean } = await opened({ minCleanableDirtyRatio: 0.6 })
  put(log, pairs('a=1'))
  t.equal(await clean(), true, 'all of it is dirty')
  put(log, pairs('b=1'))
  t.equal(await clean(), false, 'half is not enough')
  log.setConfig({ ...log.config, maxCompactionLagMs: 1000 })
  t.equal(await clean(), true, 'but overdue')
  log.setConfig({ ...log.config, minCleanableDirtyRatio: 0, minCompactionLagMs: 5000 })
  put(log, pairs('c=1', 'c=2'), { timestamp: m.env.clock.wallMs() })
  t.equal(await clean(), false, 'too young')
  await m.simulation.run(m.simulation.scheduler.nowMs + 6000)
  t.equal(await clean(), true)
  log.setConfig({ ...log.config, cleanupPolicy: { compact: false, delete: true } })
  put(log, pairs('c=3'))
  t.equal(await clean(), false, 'not compacted any more')
})

t.test('cleaner: a log of more keys than fit is cleaned in several passes', async (t) => {
  const { m, logs, log } = await opened()
  const cleaner = newCleaner(m, logs, { config: { dedupeBufferBytes: 24 * 12 } })
  for (let index = 0; index < 100; index++) put(log, pairs(`k${index % 25}=${index}`, 'all=1'))
  log.roll()
  await m.simulation.until(logs.checkpoint())
  let passes = 0
  while (await m.simulation.until(cleaner.cleanDirtiest())) passes++
  t.ok(passes > 2, `${passes} passes`)
  const latest = new Map(recordsIn(log).map(({ key, offset }) => [key, offset]))
  t.equal(latest.size, 26)
  t.equal(latest.get('all'), 199)
  for (let key = 0; key < 25; key++) t.equal(latest.get(`k${key}`), (75 + key) * 2)
})

t.test('cleaner: a damaged log stays as it is', async (t) => {
  const { m, log, clean } = await opened()
  put(log, pairs('a=1'))
  put(log, pairs('a=2'))
  const { path } = log.segments.first.file
  log.roll()
  m.env.disk.flipBit(path, 70)
  const before = m.env.disk.readFile(path)!
  t.equal(await clean(), true)
  t.ok(m.env.disk.readFile(path)!.equals(before))
  t.equal(await clean(), false, 'and is left alone for a while')
})

t.test(
  'cleaner: records without a key go, a topic that was not compacted may have them',
  async (t) => {
    const { log, clean } = await opened({ cleanupPolicy: { compact: false, delete: true } })
    log.append(batch(['one', 'two']), {
      origin: 'client',
      leaderEpoch: 5,
    })
    log.setConfig({ ...log.config, cleanupPolicy: { compact: true, delete: false } })
    put(log, pairs('a=1'))
    await clean()
    t.same(shown(log), ['2:a=1'])
  },
)

t.test('cleaner: compact and delete, an empty segment does not stop retention', async (t) => {
  const { m, log, logs, clean } = await opened({
    cleanupPolicy: { compact: true, delete: true },
    retentionMs: 100_000,
    segmentBytes: 300,
  })
  for (let index = 0; index < 12; index++)
    put(log, pairs('a=1', 'b=1'), { timestamp: m.env.clock.wallMs() })
  await clean()
  t.equal(log.segments.first.sizeBytes, 0)
  await m.simulation.run(m.simulation.scheduler.nowMs + 200_000)
  await m.simulation.until(logs.enforceRetention())
  t.same(shown(log), [])
  t.ok(log.logStartOffset >= 24)
})

t.test('cleaner: index files are those that a rebuild would make', async (t) => {
  const { m, log, clean } = await opened({ segmentBytes: 3000 })
  for (let index = 0; index < 200; index++)
    put(log, pairs(`k${index % 40}=${index}`, `once${index}=1`), { timestamp: 1000 + index })
  await clean()
  t.ok(log.segments.all.length > 3)
  for (const segment of log.segments.all.slice(0, -1)) {
    const saved = m.env.disk.readFile(segment.path('index'))!
    const savedTimes = m.env.disk.readFile(segment.path('timeindex'))!
    t.ok(saved.length > OffsetIndex.entryBytes)
    m.env.disk.remove(segment.path('summary'))
    const again = new Segment(log, segment.baseOffset, segment.sizeBytes)
    again.close()
    t.ok(again.indexes.offsets.encode().equals(saved))
    t.ok(again.indexes.times.encode().equals(savedTimes))
    again.release()
  }
  t.equal(log.offsetForTimestamp(1190, log.nextOffset)?.timestamp, 1190)
})

t.test('cleaner: a topic of the same name begins as one that was never cleaned', async (t) => {
  const { m, logs, log, clean } = await opened()
  put(log, pairs('a=1', 'a=2', 'b=1', 'b=2'))
  await clean()
  logs.delete('topic', 0)
  const other = 'b'.repeat(32)
  const next = logs.create('topic', other, 0)
  put(next, pairs('x=1', 'x', 'y=1', 'z=1'))
  next.roll()
  await m.simulation.until(logs.close())
  const again = await open(m, { config: compacted })
  const log2 = again.get('topic', 0)!
  t.equal(await m.simulation.until(newCleaner(m, again).cleanDirtiest()), true)
  t.same(shown(log2), ['1:x=null', '2:y=1', '3:z=1'], 'x was deleted: it must not outlive that')
})

t.test('cleaner: what is recorded of a deleted topic is not recorded again', async (t) => {
  const { m, logs, log, clean } = await opened()
  put(log, pairs('a=1', 'a=2'))
  await clean()
  logs.delete('topic', 0)
  logs.create('topic', 'b'.repeat(32), 0)
  const otherId = 'c'.repeat(32)
  const other = logs.create('other', otherId, 0)
  put(other, pairs('a=1', 'a=2'))
  t.equal(await clean(), false, 'it is rolled, but another one')
  other.roll()
  t.equal(await clean(), true)
  const text = m.env.disk.readFile('/data/cleaner-offset-checkpoint')?.toString() ?? ''
  t.match(text, /^other 0 2$/m)
  t.notMatch(text, /^topic 0/m)
})

t.test('cleaner: one at a time in a folder, whosever it was', async (t) => {
  const { m, logs, log } = await opened()
  const cleaner = newCleaner(m, logs, { config: { ioBytesPerSecond: 1000 } })
  const fill = (into: PartitionLog): void => {
    for (let index = 0; index < 50; index++) put(into, pairs('a=1', `b${index}=1`))
    into.roll()
  }
  fill(log)
  await m.simulation.until(logs.checkpoint())
  const first = cleaner.cleanDirtiest()
  await m.simulation.run(m.simulation.scheduler.nowMs + 1000)
  logs.delete('topic', 0)
  const next = logs.create('topic', 'b'.repeat(32), 0)
  fill(next)
  await m.simulation.until(logs.checkpoint())
  t.equal(await m.simulation.until(cleaner.cleanDirtiest()), false, 'the first still works there')
  await m.simulation.until(first)
  t.equal(await m.simulation.until(cleaner.cleanDirtiest()), true)
  t.same(shown(next).at(-2), '98:a=1')
  await m.simulation.until(cleaner.close())
})

t.test('cleaner: segments that retention takes meanwhile are no failure', async (t) => {
  const { m, logs, log } = await opened({ cleanupPolicy: { compact: true, delete: true } })
  const errors: unknown[] = []
  const cleaner = newCleaner(m, logs, {
    config: { ioBytesPerSecond: 1000 },
    logger: { ...silentLogger, error: (about: object) => void errors.push(about) },
  })
  for (let index = 0; index < 50; index++) {
    put(log, pairs(`a${index}=1`))
    log.roll()
  }
  await m.simulation.until(logs.checkpoint())
  const cleaning = cleaner.cleanDirtiest()
  await m.simulation.run(m.simulation.scheduler.nowMs + 200)
  log.deleteRecords(49)
  await m.simulation.run(m.simulation.scheduler.nowMs + 1000)
  await m.simulation.until(cleaning)
  t.same(errors, [])
})

t.test('cleaner: few segments become one at a time, each is some calls to the disk', async (t) => {
  const segment = { path: '', sizeBytes: 1, indexBytes: 0, timeIndexBytes: 0 }
  const segments = Array.from({ length: 250 }, (_, baseOffset) => ({ ...segment, baseOffset }))
  const limits = { segmentBytes: 1 << 20, segmentIndexBytes: 1 << 20, endOffset: 250 }
  t.same(
    groupSegments(segments, limits).map(({ length }) => length),
    [100, 100, 50],
  )
})

t.test('cleaner: a log that can not be read is left alone, the others are not', async (t) => {
  const { m, logs, log } = await opened()
  const other = logs.create('other', 'c'.repeat(32), 0)
  for (const each of [log, other]) {
    put(each, pairs('a=1', 'a=2'))
    each.roll()
  }
  await m.simulation.until(logs.checkpoint())
  const cleaner = newCleaner(m, logs, {
    highWatermark: (each) => {
      if (each === log) throw new StorageError('no descriptor', { code: 'EMFILE', path: log.path })
      return each.durableOffset
    },
  })
  t.equal(await m.simulation.until(cleaner.cleanDirtiest()), true)
  t.same(shown(other), ['1:a=2'])
})

t.test('cleaner: threads that look at the same time clean different logs', async (t) => {
  const { m, logs, log } = await opened()
  const other = logs.create('other', 'c'.repeat(32), 0)
  for (const each of [log, other]) {
    put(each, pairs('a=1', 'a=2'))
    each.roll()
  }
  await m.simulation.until(logs.checkpoint())
  const started: string[] = []
  const runner = inlineRunner(m.env)
  const cleaner = newCleaner(m, logs, {
    runner: {
      run: (job, replace, cancel) => {
        started.push(job.path)
        return runner.run(job, replace, cancel)
      },
      close: () => runner.close(),
    },
  })
  const threads = [1, 2, 3].map(() => cleaner.cleanDirtiest())
  t.same(await m.simulation.until(Promise.all(threads)), [true, true, false])
  t.same(started.toSorted(), ['/data/other-0', '/data/topic-0'])
})

t.test('cleaner: what it could not finish does not take the room of others', async (t) => {
  for (const operation of ['write', 'sync'] as const) {
    const { m, log, clean } = await opened()
    put(log, pairs('a=1', 'a=2', 'b=1'))
    m.env.disk.fail({ operation, path: '.cleaned', code: 'ENOSPC', times: 1 })
    await clean()
    t.same(shown(log), ['0:a=1', '1:a=2', '2:b=1'], operation)
    t.same(
      m.env.disk.list(log.path).filter((name) => name.endsWith('.cleaned')),
      [],
      operation,
    )
  }
})
