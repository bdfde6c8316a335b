import t from 'tap'
import { append, dataPath, machine, open, topicId, type Machine } from './log-support.ts'

const hourMs = 3_600_000

const strays = ({ env }: Machine): string[] =>
  env.disk.list(dataPath).filter((name) => name.endsWith('-stray'))

async function pass(where: Machine, ms: number): Promise<void> {
  await where.simulation.run(where.simulation.scheduler.nowMs + ms)
}

t.test('stray folders: kept for a day, also across starts, and removed then', async (t) => {
  const where = machine()
  const logs = await open(where)
  append(logs.create('gone', topicId, 0), ['a', 'b'])
  const log = logs.get('gone', 0)
  t.ok(log)
  if (log !== undefined) logs.setAside(log)
  t.equal(logs.get('gone', 0), undefined)
  t.match(strays(where), [/^gone-0\.[0-9a-f]{32}-stray$/])
  await pass(where, 20 * hourMs)
  await where.simulation.until(logs.close())
  where.env.kill()
  where.env.boot()
  const again = await open(where)
  t.equal(again.get('gone', 0), undefined)
  await pass(where, 3 * hourMs)
  t.equal(strays(where).length, 1)
  await pass(where, 2 * hourMs)
  t.equal(strays(where).length, 0)
  await where.simulation.until(again.close())
})

t.test(
  'high watermarks: saved by directory, and not taken for those of a later partition',
  async (t) => {
    const where = machine(2)
    const logs = await open(where)
    const log = logs.create('topic', topicId, 0)
    append(log, ['a', 'b', 'c'])
    log.highWatermark = 2
    await where.simulation.until(logs.saveHighWatermarks(() => true))
    await where.simulation.until(logs.close())
    const again = await open(where)
    t.same([...again.savedHighWatermarks()], [['topic-0', 2]])
    again.create('topic', 'b'.repeat(32), 0)
    t.same([...again.savedHighWatermarks()], [])
    t.notMatch(
      where.env.disk.readFile(`${dataPath}/replication-offset-checkpoint`)?.toString(),
      'topic',
    )
    await where.simulation.until(again.close())
  },
)

t.test('deletion: the disk is well, though a folder went under its sync', async (t) => {
  const where = machine(4)
  where.env.disk.syncMs = [5, 10]
  const logs = await open(where)
  const log = logs.create('gone', topicId, 0)
  append(log, ['a'])
  const flushed = t.rejects(log.flush())
  await pass(where, 2)
  logs.delete('gone', 0)
  await pass(where, 1000)
  await flushed
  t.equal(logs.describe()[0]?.error, undefined)
  t.ok(append(logs.create('other', 'b'.repeat(32), 0), ['a']).ok)
  await where.simulation.until(logs.close())
})

t.test('deletion: a sync that waits for a descriptor ends with its log', async (t) => {
  const where = machine(5)
  const logs = await open(where, { openFilesMax: 1 })
  const log = logs.create('gone', topicId, 0)
  append(log, ['a'])
  append(logs.create('other', 'b'.repeat(32), 0), ['a'])
  where.env.disk.fail({ operation: 'open', code: 'EMFILE', path: 'gone-0' })
  const flushed = t.rejects(log.flush())
  await pass(where, 200)
  logs.delete('gone', 0)
  await pass(where, 1000)
  await flushed
  t.equal(logs.describe()[0]?.error, undefined)
  await where.simulation.until(logs.close())
})

t.test('high watermarks: without replicas there is no file', async (t) => {
  const where = machine(3)
  const logs = await open(where)
  append(logs.create('topic', topicId, 0), ['a'])
  await where.simulation.until(logs.saveHighWatermarks(() => false))
  t.notOk(where.env.disk.list(dataPath).includes('replication-offset-checkpoint'))
  await where.simulation.until(logs.close())
})
