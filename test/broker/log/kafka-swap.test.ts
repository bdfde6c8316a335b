// Goal: a folder in which Apache Kafka died in the middle of a swap is opened as Kafka would open it (LogLoader), whenever
// this broker dies meanwhile. The log: one record to a batch, keys a b a c a d in three closed segments and the active one.
import t from 'tap'
import type { Disk } from '../../../base/env.ts'
import { BatchCursor, readBatch } from '../../../broker/log/batch-cursor.ts'
import type { PartitionLog } from '../../../broker/log/partition-log.ts'
import { put, recordsIn, servedOffsets } from './cleaner/cleaner-support.ts'
import { machine, open, topicId, type Machine } from './log-support.ts'
import { Seeded } from './seeded.ts'

const path = '/data/topic-0'
const config = { cleanupPolicy: { compact: true, delete: false } }
const name = (baseOffset: number, ending: string): string =>
  `${String(baseOffset).padStart(20, '0')}.${ending}`
const shown = (log: PartitionLog): string[] =>
  recordsIn(log).map(({ key, value, offset }) => `${offset}:${key}=${value}`)
const before = ['0:a=0', '1:b=1', '2:a=2', '3:c=3', '4:a=4', '5:d=5']
const compacted = ['1:b=1', '3:c=3', '4:a=4', '5:d=5']

interface Folder {
  readonly m: Machine
  readonly disk: Disk
  /** The batches at these offsets, as a file. */
  readonly write: (offsets: readonly number[], baseOffset: number, ending: string) => void
  readonly rename: (from: string, to: string) => void
}

/** What a broker that died has left, everything synced. */
async function folder(seed: number | string = 1): Promise<Folder> {
  const m = machine(seed)
  const { disk } = m.env
  const logs = await open(m, { config })
  const log = logs.create('topic', topicId, 0)
  for (const [offset, key] of ['a', 'b', 'a', 'c', 'a', 'd'].entries()) {
    if (offset === 2 || offset === 4 || offset === 5) log.roll()
    put(log, [{ key, value: String(offset) }])
  }
  await m.simulation.until(log.flush())
  await m.simulation.until(logs.checkpoint())
  const batches = log.segments.all.flatMap((segment) => {
    const found = []
    const cursor = new BatchCursor(segment.file, segment.sizeBytes)
    for (let at = 0; at < segment.sizeBytes;) {
      const header = cursor.headerAt(at)!
      found.push(readBatch(segment.file, { position: at, header })!)
      at += header.sizeBytes
    }
    return found
  })
  m.env.kill()
  m.env.boot()
  // Kafka has none.
  for (const each of disk.list(path)) if (each.endsWith('.summary')) disk.remove(`${path}/${each}`)
  return {
    m,
    disk,
    write: (offsets, baseOffset, ending) => {
      const file = disk.open(`${path}/${name(baseOffset, ending)}`, 'write')
      file.write([Buffer.concat(offsets.map((offset) => batches[offset]!))], 0)
      file.syncNow()
      file.close()
      disk.syncDirectoryNow(path)
    },
    rename: (from, to) => {
      disk.rename(`${path}/${from}`, `${path}/${to}`)
      disk.syncDirectoryNow(path)
    },
  }
}

async function reopened(m: Machine): Promise<PartitionLog> {
  const logs = await open(m, { config })
  return logs.get('topic', 0)!
}

const leftovers = (disk: Disk): string[] =>
  disk.list(path).filter((each) => /\.(swap|cleaned|deleted)$/.test(each))

t.test('kafka swap: a complete segment takes the place of those that it covers', async (t) => {
  const { m, disk, write } = await folder()
  write([1, 3, 4], 0, 'log.swap')
  write([], 0, 'index.swap')
  write([], 0, 'timeindex.swap')
  write([], 2, 'snapshot')
  const log = await reopened(m)
  t.same(shown(log), compacted)
  t.same(servedOffsets(log, 1), [1, 3, 4, 5])
  t.same(
    log.segments.all.map(({ baseOffset }) => baseOffset),
    [0, 5],
  )
  t.equal(log.nextOffset, 6)
  t.same(leftovers(disk), [])
  t.notOk(disk.list(path).includes(name(2, 'snapshot')), 'tells of producers before it was cleaned')
  t.notOk(disk.list(path).includes(name(2, 'index')))
})

t.test('kafka swap: some of the old segments are out of the way already', async (t) => {
  const { m, disk, write, rename } = await folder()
  write([1, 3, 4], 0, 'log.swap')
  for (const baseOffset of [0, 2]) rename(name(baseOffset, 'log'), name(baseOffset, 'log.deleted'))
  t.same(shown(await reopened(m)), compacted)
  t.same(leftovers(disk), [])
})

t.test('kafka swap: only an index still has the suffix', async (t) => {
  const { m, disk, write, rename } = await folder()
  for (const baseOffset of [0, 2, 4])
    rename(name(baseOffset, 'log'), name(baseOffset, 'log.deleted'))
  write([1, 3, 4], 0, 'log')
  write([], 0, 'timeindex.swap')
  t.same(shown(await reopened(m)), compacted)
  t.same(leftovers(disk), [])
})

t.test('kafka swap: a segment that is not complete goes', async (t) => {
  const { m, disk, write } = await folder()
  write([1, 3], 0, 'log.cleaned')
  write([], 0, 'index.cleaned')
  t.same(shown(await reopened(m)), before)
  t.same(leftovers(disk), [])
})

t.test('kafka swap: a split that was not complete goes', async (t) => {
  const { m, disk, write } = await folder()
  write([2], 2, 'log.cleaned')
  write([3], 3, 'log.swap')
  t.same(shown(await reopened(m)), before)
  t.same(leftovers(disk), [])
})

t.test('kafka swap: all parts of a split take the place of their segment', async (t) => {
  const { m, write } = await folder()
  write([2], 2, 'log.swap')
  write([3], 3, 'log.swap')
  const log = await reopened(m)
  t.same(shown(log), before)
  t.same(
    log.segments.all.map(({ baseOffset }) => baseOffset),
    [0, 2, 3, 4, 5],
  )
})

t.test('kafka swap: one without records covers nothing but its own place', async (t) => {
  const { m, write } = await folder()
  write([], 2, 'log.swap')
  t.same(shown(await reopened(m)), ['0:a=0', '1:b=1', '4:a=4', '5:d=5'])
})

t.test('kafka swap: one that is damaged replaces nothing', async (t) => {
  const { m, disk, write } = await folder()
  write([1, 3, 4], 0, 'log.swap')
  const file = disk.open(`${path}/${name(0, 'log.swap')}`, 'write')
  file.truncate(file.size() - 1)
  file.close()
  const names = disk.list(path)
  const logs = await open(m, { config }).catch((error: Error) => error)
  if (!(logs instanceof Error)) t.equal(logs.get('topic', 0), undefined)
  t.same(
    disk.list(path).filter((each) => /\.log/.test(each)),
    names.filter((each) => /\.log/.test(each)),
  )
})

t.test('kafka swap: dying meanwhile changes nothing', async (t) => {
  const random = new Seeded()
  t.comment(`SEED=${random.seed}`)
  const operations = ['rename', 'remove', 'syncDirectory'] as const
  for (let round = 0; round < 200; round++) {
    const isSplit = random.below(3) === 0
    const { m, write, disk } = await folder(`${random.seed}-${round}`)
    if (isSplit) {
      write([2], 2, 'log.cleaned')
      write([3], 3, 'log.swap')
    } else write([1, 3, 4], 0, 'log.swap')
    for (let life = 0; life < 3; life++) {
      const operation = operations[random.below(3)]!
      m.env.disk.fail({ operation, code: 'EIO', path, after: random.below(12) })
      await open(m, { config }).catch(() => undefined)
      await new Promise((resolve) => setImmediate(resolve))
      m.env.disk.faults.clear()
      if (random.below(3) === 0) m.env.kill()
      else m.env.cutPower()
      m.env.boot()
    }
    const log = await reopened(m)
    t.same(shown(log), isSplit ? before : compacted, `round ${round}`)
    t.same(leftovers(disk), [])
  }
})
