// What a follower asks of its log: verbatim appends, cuts, and starting over.
import t from 'tap'
import type { LogConfig } from '../../../broker/log/log-config.ts'
import { patchBatch } from '../../../protocol/records/batch.ts'
import { newCleaner, put, recordsIn as pairsIn } from './cleaner/cleaner-support.ts'
import { append, batch, machine, numbered, open, readAll, take, topicId } from './log-support.ts'
import type { PartitionLog } from '../../../broker/log/partition-log.ts'

function fetched(leader: PartitionLog, offset: number): Buffer {
  const offsetMax = leader.nextOffset
  const read = leader.read(offset, { bytesMax: 1 << 20, atLeastOneBatch: true, offsetMax })
  if (!read.ok || read.payload === undefined) throw new Error('unreadable')
  return take(read.payload)
}

t.test('replica log: a log start within a batch is taken over with the whole batch', async (t) => {
  const m = machine()
  const logs = await open(m, { config: { segmentBytes: 1500 } })
  const leader = logs.create('leader', topicId, 0)
  const follower = logs.create('follower', topicId, 0)
  for (let index = 0; index < 40; index++) append(leader, numbered(10, index * 10))
  leader.deleteRecords(205)
  append(follower, numbered(7))
  follower.restartAt(leader.logStartOffset)
  t.match(follower, { nextOffset: 205, logStartOffset: 205 })
  t.equal(follower.leaderEpochs.latest, undefined)
  while (follower.nextOffset < leader.nextOffset) {
    const bytes = fetched(leader, follower.nextOffset)
    t.match(follower.append(bytes, { origin: 'replica', leaderEpoch: 5 }), { ok: true })
  }
  t.match(follower, { nextOffset: 400, logStartOffset: 205 })
  t.same(readAll(follower), readAll(leader))
  t.match(follower.leaderEpochs.entries, [{ epoch: 5, startOffset: 205 }])
  await m.simulation.until(follower.flush())
  t.equal(follower.durableOffset, 400)
  await m.simulation.until(logs.close())
  const again = await open(m, { config: { segmentBytes: 1500 } })
  t.same(readAll(again.get('follower', 0)!), readAll(again.get('leader', 0)!))
  await m.simulation.until(again.close())
})

t.test('replica log: a batch before the log that is not empty is refused', async (t) => {
  const m = machine()
  const logs = await open(m)
  const leader = logs.create('leader', topicId, 0)
  const follower = logs.create('follower', topicId, 0)
  append(leader, numbered(10))
  append(follower, numbered(5))
  const options = { origin: 'replica', leaderEpoch: 5 } as const
  t.match(follower.append(fetched(leader, 5), options), { ok: false })
  follower.deleteRecords(5)
  t.match(follower.append(fetched(leader, 5), options), { ok: true, nextOffset: 10 })
  t.match(follower, { logStartOffset: 5, nextOffset: 10 })
  t.match(follower.append(Buffer.alloc(70), options), { ok: false })
  t.match(follower.append(Buffer.alloc(10), options), { ok: true, nextOffset: 10 })
  await m.simulation.until(logs.close())
})

t.test('replica log: what is of a later epoch than the one fetched in is left out', async (t) => {
  const m = machine()
  const logs = await open(m)
  const follower = logs.create('follower', topicId, 0)
  const batches = [batch(['a', 'b']), batch(['c']), batch(['d'])]
  for (const [index, bytes] of batches.entries())
    patchBatch(bytes, 0, index === 0 ? 0 : index + 1, [4, 5, 6][index] ?? 0)
  const bytes = Buffer.concat(batches)
  t.match(follower.append(bytes, { origin: 'replica', leaderEpoch: 5 }), {
    ok: true,
    nextOffset: 3,
  })
  t.match(follower.leaderEpochs.entries, [
    { epoch: 4, startOffset: 0 },
    { epoch: 5, startOffset: 2 },
  ])
  await m.simulation.until(logs.close())
})

t.test(
  'replica log: gaps of more than 2^31 offsets, before the first record and later',
  async (t) => {
    const m = machine()
    const config = { cleanupPolicy: { compact: true, delete: false } } as const
    const logs = await open(m, { config })
    const follower = logs.create('follower', topicId, 0)
    const far = 2 ** 32
    const batches = [far, far + 1, 2 * far, 4 * far].map((baseOffset) => {
      const bytes = batch([`record at ${baseOffset}`])
      patchBatch(bytes, 0, baseOffset, 5)
      return bytes
    })
    const options = { origin: 'replica', leaderEpoch: 5 } as const
    t.match(follower.append(Buffer.concat(batches.slice(0, 3)), options), { ok: true })
    follower.roll()
    t.equal(follower.segments.active.sizeBytes, 0)
    t.match(follower.append(Buffer.concat(batches.slice(3)), options), { ok: true })
    t.equal(follower.nextOffset, 4 * far + 1)
    t.equal(follower.segments.all.length, 3)
    const records = readAll(follower)
    t.equal(records.length, 4)
    m.env.kill()
    m.env.boot()
    const killed = await open(m, { config })
    t.same(readAll(killed.get('follower', 0)!), records, 'after a kill')
    await m.simulation.until(killed.close())
    const stopped = await open(m, { config })
    t.same(readAll(stopped.get('follower', 0)!), records, 'after a clean stop')
    t.equal(stopped.get('follower', 0)?.nextOffset, 4 * far + 1)
    await m.simulation.until(stopped.close())
  },
)

const compacted: Partial<LogConfig> = {
  cleanupPolicy: { compact: true, delete: false },
  minCleanableDirtyRatio: 0,
}

t.test('replica log: what comes behind a cut was never cleaned', async (t) => {
  const m = machine()
  const logs = await open(m, { config: compacted })
  const log = logs.create('topic', topicId, 0)
  const other = logs.create('other', topicId, 0)
  const cleaner = newCleaner(m, logs)
  const clean = async (): Promise<void> => {
    for (const each of [log, other]) each.roll()
    await m.simulation.until(logs.checkpoint())
    while (await m.simulation.until(cleaner.cleanDirtiest()));
  }
  const checkpoint = (): string | undefined =>
    m.env.disk.readFile('/data/cleaner-offset-checkpoint')?.toString()
  for (const each of [log, other])
    put(each, [
      { key: 'a', value: '1' },
      { key: 'a', value: '2' },
      { key: 'b', value: '1' },
    ])
  put(log, [{ key: 'c', value: '1' }])
  await clean()
  t.match(checkpoint(), /topic 0 4/)
  t.match(checkpoint(), /other 0 3/)
  log.truncateTo(3)
  t.match(checkpoint(), /topic 0 3/, 'on disk at once')
  t.match(checkpoint(), /other 0 3/)
  log.truncateTo(0)
  t.match(checkpoint(), /topic 0 0/)
  put(log, [
    { key: 'a', value: '7' },
    { key: 'a', value: '8' },
  ])
  put(log, [{ key: 'd', value: '9' }])
  put(log, [{ key: 'd', value: '10' }])
  put(log, [{ key: 'd', value: '11' }])
  await clean()
  t.strictSame(
    pairsIn(log).map(({ offset, value }) => `${offset}=${value}`),
    ['1=8', '4=11'],
  )
  t.match(checkpoint(), /topic 0 5/)
  await m.simulation.until(logs.close())
})

t.test('replica log: a cut that a full disk refused is made with the next attempt', async (t) => {
  const m = machine()
  const logs = await open(m)
  const log = logs.create('topic', topicId, 0)
  for (let index = 0; index < 4; index++) append(log, numbered(5, index * 5))
  await m.simulation.until(logs.checkpoint())
  t.equal(log.recoveryPoint, 20)
  const path = 'recovery-point-offset-checkpoint'
  m.env.disk.fail({ operation: 'write', path, code: 'ENOSPC', times: 1 })
  t.throws(() => log.truncateTo(10), { code: 'ENOSPC' })
  t.match(log, { nextOffset: 20, recoveryPoint: 20 })
  log.truncateTo(10)
  t.match(log, { nextOffset: 10, recoveryPoint: 10 })
  m.env.kill()
  m.env.boot()
  const again = await open(m)
  t.equal(again.get('topic', 0)?.nextOffset, 10, 'it lost nothing that it had promised')
  await m.simulation.until(again.close())
})

t.test('replica log: a cut while somebody reads survives a power cut', async (t) => {
  for (let seed = 1; seed <= 10; seed++) {
    const m = machine(seed)
    const logs = await open(m, { transfer: 'sendfile' })
    const log = logs.create('topic', topicId, 0)
    for (let index = 0; index < 4; index++) append(log, numbered(5, index * 5))
    await m.simulation.until(logs.checkpoint())
    const read = log.read(0, { bytesMax: 1_000_000, atLeastOneBatch: true, offsetMax: 20 })
    t.ok(read.ok && read.payload?.source !== undefined, 'bytes of the file are on their way')
    log.truncateTo(15)
    await m.simulation.until(m.env.disk.syncDirectory(log.path))
    m.env.cutPower()
    m.env.boot()
    const again = await open(m)
    t.equal(again.get('topic', 0)?.nextOffset, 15, `seed ${seed}`)
    await m.simulation.until(again.close())
  }
})

t.test('replica log: a cut that a full disk refused changes nothing', async (t) => {
  for (const segmentBytes of [1_000_000, 300]) {
    const m = machine()
    const logs = await open(m, { transfer: 'sendfile', config: { segmentBytes } })
    const log = logs.create('topic', topicId, 0)
    for (let index = 0; index < 8; index++) append(log, numbered(5, index * 5))
    const read = log.read(10, { bytesMax: 1_000_000, atLeastOneBatch: true, offsetMax: 40 })
    t.ok(read.ok && read.payload?.source !== undefined, 'bytes of the file are on their way')
    const count = log.segments.all.length
    m.env.disk.fail({ operation: 'write', path: '.log.tmp', code: 'ENOSPC', times: 1 })
    t.throws(() => log.truncateTo(15), { code: 'ENOSPC' })
    t.equal(log.nextOffset, 40)
    t.equal(log.segments.all.length, count)
    t.equal(readAll(log).length, 40, 'it is all there')
    t.match(append(log, ['x']), { ok: true, baseOffset: 40 })
    log.truncateTo(15)
    t.match(log, { nextOffset: 15 })
    t.equal(readAll(log).length, 15)
    await m.simulation.until(logs.close())
  }
})
