// What goes wrong between two steps: a disk that refuses, a topic that goes and comes back.
import t from 'tap'
import { append, dataPath, machine, numbered, open, readAll, topicId } from './log-support.ts'

const otherId = 'b'.repeat(31) + '2'
const config = { segmentBytes: 300, fileDeleteDelayMs: 1000 }
const folder = `${dataPath}/topic-0`

t.test('doomed segments: those of a deleted log do not take files of its successor', async (t) => {
  const m = machine()
  const logs = await open(m, { config })
  const log = logs.create('topic', topicId, 0)
  for (const value of numbered(20)) append(log, [value])
  await m.simulation.until(log.flush())
  log.deleteRecords(15)
  t.ok(log.hasDoomed)
  const removing = log.removeDoomed()
  logs.delete('topic', 0)
  const successor = logs.create('topic', otherId, 0)
  t.ok(append(successor, ['first']).ok)
  await m.simulation.until(removing)
  await m.simulation.until(successor.flush())
  await m.simulation.run(m.simulation.scheduler.nowMs + 5000)
  t.ok(m.env.disk.list(folder).includes('00000000000000000000.log'))
  await m.simulation.until(logs.close())
  t.same(readAll((await open(m, { config })).get('topic', 0)!), [{ offset: 0, value: 'first' }])
})

t.test(
  'checkpoints: a log that comes meanwhile is not given those of its predecessor',
  async (t) => {
    const m = machine()
    const logs = await open(m)
    const log = logs.create('topic', topicId, 0)
    for (const value of numbered(20)) append(log, [value])
    await m.simulation.until(log.checkpoint())
    const directory = logs.checkpoint()
    let successor
    // In the midst of the publication, wherever it is.
    for (let step = 0; step < 5; step++) {
      await m.simulation.run(m.simulation.scheduler.nowMs + 0.2)
      if (step === 1) {
        logs.delete('topic', 0)
        successor = logs.create('topic', otherId, 0)
        t.ok(append(successor, ['first']).ok)
      }
    }
    await m.simulation.until(directory)
    await m.simulation.until(successor!.flush())
    m.env.cutPower()
    m.env.boot()
    t.same(readAll((await open(m)).get('topic', 0)!), [{ offset: 0, value: 'first' }])
  },
)

t.test('retention: it makes room on a disk that is too full for a checkpoint', async (t) => {
  const m = machine()
  const logs = await open(m, { config })
  const log = logs.create('topic', topicId, 0)
  for (const value of numbered(20)) append(log, [value])
  await m.simulation.until(log.flush())
  m.env.disk.fail({ operation: 'write', code: 'ENOSPC', path: 'checkpoint' })
  log.deleteRecords(15)
  await m.simulation.run(m.simulation.scheduler.nowMs + 5000)
  t.notOk(m.env.disk.list(folder).some((name) => name.startsWith('00000000000000000000.')))
  m.env.cutPower()
  m.env.disk.faults.clear()
  m.env.boot()
  const again = (await open(m, { config })).get('topic', 0)!
  t.equal(again.nextOffset, 20)
  t.same(
    readAll(again).map(({ value }) => value),
    numbered(20).slice(again.logStartOffset),
  )
})

t.test('a cut: one that the disk refuses changes nothing', async (t) => {
  const m = machine()
  const logs = await open(m, { config })
  const log = logs.create('topic', topicId, 0)
  for (const value of numbered(5)) append(log, [value])
  await m.simulation.until(log.flush())
  m.env.disk.fail({ operation: 'open', code: 'EMFILE', path: '00000000000000000100.log' })
  t.throws(() => log.restartAt(100), { code: 'EMFILE' })
  t.same([log.logStartOffset, log.nextOffset], [0, 5])
  t.same(readAll(log).length, 5)
  t.match(append(log, ['next']), { ok: true, baseOffset: 5 })
})

t.test('delete: a folder that can not be moved keeps its place', async (t) => {
  const m = machine()
  const directories = [dataPath, '/other']
  const logs = await open(m, { directories })
  const { directory: at } = logs.create('topic', topicId, 0)
  // The other directory holds less.
  for (const partition of [0, 1]) logs.create('more', topicId, partition)
  logs.delete('more', 0)
  m.env.disk.fail({ operation: 'rename', code: 'EROFS', path: `${at}/topic-0` })
  t.throws(() => logs.delete('topic', 0), { code: 'EROFS' })
  t.equal(logs.get('topic', 0), undefined)
  t.throws(() => logs.create('topic', otherId, 0), { code: 'EROFS' }, 'not in the other directory')
  m.env.disk.faults.clear()
  t.equal(logs.create('topic', otherId, 0).topicId, otherId)
  await m.simulation.until(logs.close())
  t.equal((await open(m, { directories })).get('topic', 0)?.topicId, otherId)
})

t.test('indexes: a smaller limit than before is no obstacle', async (t) => {
  const m = machine()
  const large = { indexIntervalBytes: 100, segmentIndexBytes: 1200 }
  const logs = await open(m, { config: large })
  const log = logs.create('topic', topicId, 0)
  for (const [index, value] of numbered(30).entries()) append(log, [value], { timestamp: index })
  await m.simulation.until(logs.close())
  for (const segmentIndexBytes of [120, 4]) {
    const small = { ...large, segmentIndexBytes }
    const again = await open(m, { config: small })
    const found = again.get('topic', 0)!
    for (let count = 0; count < 3; count++)
      t.ok(append(found, ['x'], { timestamp: 1000 + found.nextOffset }).ok)
    t.equal(readAll(found).length, found.nextOffset)
    await m.simulation.until(again.close())
  }
})
