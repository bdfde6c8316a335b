import t from 'tap'
import { StorageError } from '../../../base/env.ts'
import { LogDirectories } from '../../../broker/log/log-directories.ts'
import { segmentFileName, type SegmentFileKind } from '../../../broker/log/layout.ts'
import type { PartitionLog } from '../../../broker/log/partition-log.ts'
import {
  append,
  batch,
  dataPath,
  logOptions,
  machine,
  numbered,
  open,
  readAll,
  topicId,
  type Machine,
  type OpenOptions,
} from './log-support.ts'
import { Seeded } from './seeded.ts'

const folder = `${dataPath}/topic-0`
const config = { segmentBytes: 1200, indexIntervalBytes: 150 }

function file(baseOffset: number, kind: SegmentFileKind): string {
  return `${folder}/${segmentFileName(baseOffset, kind)}`
}

/** The process dies, the machine lives: everything written is in the page cache. */
function kill(m: Machine): void {
  m.env.kill()
  m.env.boot()
}

/** Bytes that the index files of a log would have if they were built anew from its batches. */
async function rebuiltIndexes(m: Machine): Promise<Map<string, string>> {
  const kinds = ['index', 'timeindex', 'txnindex', 'summary']
  const { disk } = m.env
  for (const name of disk.list(folder))
    if (kinds.some((kind) => name.endsWith(`.${kind}`))) disk.remove(`${folder}/${name}`)
  const logs = await open(m, { config })
  // Touching each segment builds its indexes; a clean stop writes them.
  for (const segment of logs.get('topic', 0)!.segments.all) void segment.indexes
  await m.simulation.until(logs.close())
  return indexFiles(m)
}

function indexFiles({ env }: Machine): Map<string, string> {
  const files = new Map<string, string>()
  for (const name of env.disk.list(folder))
    if (/index$|summary$/.test(name))
      files.set(name, env.disk.readFile(`${folder}/${name}`)!.toString('hex'))
  return files
}

async function filled(
  m: Machine,
  count: number,
  options: OpenOptions = {},
): Promise<{ logs: LogDirectories; log: PartitionLog }> {
  const logs = await open(m, { config, ...options })
  const log = logs.create('topic', topicId, 0)
  for (let index = 0; index < count; index++)
    append(log, numbered(3, index * 3), {
      producerId: 9,
      producerEpoch: 1,
      baseSequence: index * 3,
      timestamp: 5000 + ((index * 37) % 100),
    })
  return { logs, log }
}

t.test('recovery: a torn last batch is cut at every byte', async (t) => {
  const m = machine()
  const { log } = await filled(m, 4)
  await m.simulation.until(log.flush())
  const { disk } = m.env
  const path = file(0, 'log')
  const whole = disk.readFile(path)!
  const last = batch(numbered(3, 9), {
    producerId: 9,
    producerEpoch: 1,
    baseSequence: 9,
    timestamp: 5011,
  }).length
  kill(m)
  for (let size = whole.length; size >= whole.length - last; size--) {
    const opened = disk.open(path, 'write')
    opened.write([whole], 0)
    opened.truncate(size)
    opened.close()
    const logs = await open(m, { config })
    const recovered = logs.get('topic', 0)!
    const expected = size === whole.length ? 12 : 9
    t.equal(recovered.nextOffset, expected, `${size} bytes`)
    t.same(
      readAll(recovered).map((record) => record.value),
      numbered(expected),
    )
    t.equal(disk.stat(path)?.bytes, size === whole.length ? size : whole.length - last)
    t.match(
      append(recovered, numbered(3, 9), { producerId: 9, producerEpoch: 1, baseSequence: 9 }),
      { ok: true, duplicate: size === whole.length, baseOffset: 9 },
      'the producer is known as far as the log goes',
    )
    kill(m)
    disk.remove(`${dataPath}/recovery-point-offset-checkpoint`)
  }
})

t.test(
  'recovery: a flipped bit anywhere behind the recovery point cuts the log there',
  async (t) => {
    const random = new Seeded()
    t.comment(`SEED=${random.seed}`)
    for (let round = 0; round < 150; round++) {
      const m = machine(random.seed + round)
      const { log } = await filled(m, 20)
      await m.simulation.until(log.flush())
      kill(m)
      const { segments } = log
      const before = new Map(
        segments.all.map(({ file: { path } }) => [path, m.env.disk.readFile(path)!]),
      )
      const segment = segments.at(random.below(segments.all.length))
      const position = random.below(segment.sizeBytes)
      m.env.disk.flipBit(segment.file.path, position, random.below(8))
      const logs = await open(m, { config })
      const recovered = logs.get('topic', 0)!
      const records = readAll(recovered)
      t.same(
        records,
        numbered(records.length).map((value, offset) => ({ offset, value })),
        'a prefix of what was appended',
      )
      // The leader epoch lies outside of the checksum, and any may be right.
      let inBatch = position
      const bytes = before.get(segment.file.path)!
      for (let at = 0; at <= position; at += bytes.readInt32BE(at + 8) + 12) inBatch = position - at
      if (inBatch < 12 || inBatch >= 16)
        t.ok(records.length < 60, `byte ${position} of ${segment.file.path}`)
      await m.simulation.until(logs.close())
    }
  },
)

t.test(
  'recovery: indexes equal a rebuild, byte for byte, after kill and after clean stop',
  async (t) => {
    const m = machine()
    const first = await filled(m, 10)
    await m.simulation.until(first.logs.checkpoint())
    for (let index = 10; index < 40; index++)
      append(first.log, numbered(3, index * 3), { timestamp: 5000 + ((index * 37) % 100) })
    await m.simulation.until(first.log.flush())
    kill(m)
    const second = await open(m, { config })
    const log = second.get('topic', 0)!
    t.equal(log.nextOffset, 120)
    for (let index = 40; index < 50; index++)
      append(log, numbered(3, index * 3), { timestamp: 5000 + ((index * 37) % 100) })
    await m.simulation.until(second.close())
    const written = indexFiles(m)
    t.ok(written.size > 9)
    t.same(written, await rebuiltIndexes(m))
  },
)

t.test('recovery: any cache file may be missing, cut or flipped', async (t) => {
  const random = new Seeded()
  t.comment(`SEED=${random.seed}`)
  for (let round = 0; round < 300; round++) {
    const m = machine(round)
    const { logs, log } = await filled(m, 30)
    const isClean = random.below(2) === 0
    if (isClean) await m.simulation.until(logs.close())
    else {
      await m.simulation.until(logs.checkpoint())
      kill(m)
    }
    const { disk } = m.env
    const names = disk.list(folder).filter((name) => !name.endsWith('.log'))
    const own = [
      'recovery-point-offset-checkpoint',
      'log-start-offset-checkpoint',
      '.kafka_cleanshutdown',
      'meta.properties',
    ]
    const paths = [
      ...names.map((name) => `${folder}/${name}`),
      ...own.map((name) => `${dataPath}/${name}`),
    ]
    const path = paths[random.below(paths.length)]!
    const bytes = disk.readFile(path)
    const damage = random.below(3)
    if (damage === 0 || bytes === undefined || bytes.length === 0) disk.remove(path)
    else {
      const opened = disk.open(path, 'write')
      if (damage === 1) opened.truncate(random.below(bytes.length))
      else opened.write([random.flip(bytes)], 0)
      opened.close()
    }
    const what = `${path} ${['removed', 'cut', 'flipped'][damage]} after ${isClean ? 'a clean stop' : 'a kill'}`
    let again: LogDirectories
    try {
      again = await open(m, { config })
    } catch (error) {
      throw new Error(what, { cause: error })
    }
    const opened = again.get('topic', 0)
    if (opened === undefined) {
      t.fail(what)
      continue
    }
    t.same(
      readAll(opened).map((record) => record.value),
      numbered(90),
      what,
    )
    for (const target of [5000, 5036, 5050, 5098])
      t.same(
        opened.offsetForTimestamp(target, 90),
        log.nextOffset === 90 ? expectedOffset(target) : undefined,
        what,
      )
    t.match(
      append(opened, numbered(3), { producerId: 9, producerEpoch: 1, baseSequence: 87 }),
      { duplicate: true, baseOffset: 87 },
      what,
    )
    t.equal(opened.leaderEpochs.epochFor(0), 5, what)
    await m.simulation.until(again.close())
  }
})

function expectedOffset(target: number): object | undefined {
  for (let index = 0; index < 30; index++) {
    const timestamp = 5000 + ((index * 37) % 100)
    if (timestamp >= target) return { offset: index * 3, timestamp, leaderEpoch: 5 }
  }
  return undefined
}

/** Of the last segment, which was synced: says what it was before. */
function cutLastByte({ env: { disk } }: Machine): { name: string; sizeBytes: number } {
  const name = disk.list(folder).findLast((each) => each.endsWith('.log'))!
  const opened = disk.open(`${folder}/${name}`, 'write')
  const sizeBytes = opened.size()
  opened.truncate(sizeBytes - 1)
  opened.close()
  return { name, sizeBytes }
}

t.test(
  'recovery: a log that ends before its recovery point stays offline, others are served',
  async (t) => {
    const m = machine()
    const { logs } = await filled(m, 20)
    append(logs.create('other', topicId, 0), ['x'])
    await m.simulation.until(logs.close())
    const { disk } = m.env
    const { name, sizeBytes } = cutLastByte(m)
    const again = await open(m, { config })
    t.equal(again.get('topic', 0), undefined)
    t.throws(() => again.create('topic', topicId, 0), {
      code: 'LOG_DAMAGED',
      message: /ends at offset 5\d/,
    })
    t.equal(disk.stat(`${folder}/${name}`)?.bytes, sizeBytes - 1, 'nothing was cut')
    t.same(
      readAll(again.get('other', 0)!).map((record) => record.value),
      ['x'],
    )
    t.equal(
      again.create('topic', 'b'.repeat(32), 0).nextOffset,
      0,
      'a topic of another id sets it aside',
    )
    t.ok(disk.list(dataPath).some((each) => each.endsWith('-stray')))
    await m.simulation.until(again.close())
  },
)

t.test('recovery: a log that lost what was synced is not cut by any later start', async (t) => {
  const ends: Record<string, (m: Machine, logs: LogDirectories) => Promise<void> | void> = {
    'a clean stop': (m, logs) => m.simulation.until(logs.close()),
    'a checkpoint': async (m, logs) => {
      append(logs.get('other', 0)!, ['y'])
      await m.simulation.until(logs.checkpoint())
      m.env.kill()
    },
    'a new topic': (m, logs) => {
      append(logs.create('new', 'c'.repeat(32), 0), ['z'])
      m.env.kill()
    },
  }
  for (const [what, end] of Object.entries(ends)) {
    const m = machine()
    const { logs } = await filled(m, 20)
    append(logs.create('other', topicId, 0), ['x'])
    logs.get('topic', 0)!.deleteRecords(4)
    await m.simulation.until(logs.close())
    const { disk } = m.env
    const { name, sizeBytes } = cutLastByte(m)
    for (let start = 1; start <= 3; start++) {
      const again = await open(m, { config })
      const title = `start ${start} behind ${what}`
      t.throws(() => again.create('topic', topicId, 0), { code: 'LOG_DAMAGED' }, title)
      t.equal(disk.stat(`${folder}/${name}`)?.bytes, sizeBytes - 1, `${title}: nothing was cut`)
      await end(m, again)
      m.env.boot()
    }
    const last = await open(m, { config })
    t.match(
      disk.readFile(`${dataPath}/log-start-offset-checkpoint`)!.toString(),
      /topic 0 4/,
      `${what}: what was deleted stays so`,
    )
    last.delete('topic', 0)
    t.equal(last.create('topic', 'd'.repeat(32), 0).nextOffset, 0, 'another one begins at 0')
    await m.simulation.until(last.close())
  }
})

t.test(
  'recovery: damage below the recovery point is found by the first read, and never served',
  async (t) => {
    for (const transfer of ['mmap', 'sendfile', 'read'] as const) {
      const m = machine()
      const { logs } = await filled(m, 20)
      await m.simulation.until(logs.close())
      m.env.disk.flipBit(file(0, 'log'), 300, 3)
      const again = await open(m, { config, transfer })
      const log = again.get('topic', 0)!
      const first = log.read(0, { bytesMax: 100_000, atLeastOneBatch: true, offsetMax: 60 })
      if (!first.ok) throw new Error(first.message)
      t.ok(first.nextOffset < 60)
      first.payload?.release()
      t.match(
        log.read(first.nextOffset, { bytesMax: 100_000, atLeastOneBatch: true, offsetMax: 60 }),
        {
          ok: false,
          error: { name: 'CORRUPT_MESSAGE' },
        },
      )
      t.ok(
        log.read(45, { bytesMax: 1, atLeastOneBatch: true, offsetMax: 60 }).ok,
        'what lies behind is served',
      )
      await m.simulation.until(again.close())
    }
  },
)

t.test('recovery: a full or failing disk', async (t) => {
  const m = machine()
  const { logs, log } = await filled(m, 5)
  await m.simulation.until(log.flush())
  m.env.disk.fail({ operation: 'write', path: '.log', code: 'ENOSPC', times: 3 })
  for (let index = 0; index < 3; index++) {
    t.match(append(log, ['full']), { ok: false, error: { name: 'KAFKA_STORAGE_ERROR' } })
    t.equal(log.nextOffset, 15)
    t.equal(readAll(log).length, 15, 'reads go on')
  }
  t.match(append(log, ['space again']), { ok: true, baseOffset: 15 })
  m.env.disk.fail({ operation: 'sync', path: '.log', code: 'EIO', times: 1 })
  await t.rejects(m.simulation.until(log.whenDurable(16)!), StorageError)
  t.match(append(log, ['never']), { ok: false, error: { name: 'KAFKA_STORAGE_ERROR' } })
  t.equal(log.durableOffset, 15)
  t.ok(logs.describe()[0]?.error, 'the directory is offline')
  t.throws(() => logs.create('new', topicId, 0), StorageError)
  await m.simulation.until(logs.close())
  kill(m)
  m.env.disk.faults.clear()
  const again = await open(m, { config })
  t.ok(readAll(again.get('topic', 0)!).length >= 15)
  await m.simulation.until(again.close())
})

t.test('log directories: one that is locked or foreign is refused, with what to do', async (t) => {
  const m = machine()
  const logs = await open(m)
  await t.rejects(m.simulation.until(LogDirectories.open(logOptions(m.env))), {
    code: 'DIRECTORY_LOCKED',
  })
  await m.simulation.until(logs.close())
  await t.rejects(open(m, { clusterId: 'other' }), {
    code: 'DIRECTORY_FOREIGN',
    message: /cluster/,
  })
  await t.rejects(open(m, { nodeId: 2 }), { code: 'DIRECTORY_FOREIGN' })
  const again = await open(m)
  await m.simulation.until(again.close())
})

t.test(
  'recovery: a segment that was closed after its indexes were saved gets its final time entry',
  async (t) => {
    const m = machine('closed after saved')
    const { logs, log } = await filled(m, 6)
    // The indexes are saved as those of the active segment, up to its very end.
    await m.simulation.until(logs.checkpoint())
    // The next append would roll it anyway; its files are not saved again before the crash.
    log.roll()
    append(log, numbered(3, 1000), { timestamp: 9000 })
    kill(m)
    const again = await open(m, { config })
    await m.simulation.until(again.close())
    const before = indexFiles(m)
    t.same(before, await rebuiltIndexes(m))
  },
)
