// What a clean stop notes of logs: a start must neither look into their folders without need nor believe too much.
import t from 'tap'
import type { LogDirectories } from '../../../broker/log/log-directories.ts'
import { errors } from '../../../protocol/errors.ts'
import {
  append,
  dataPath,
  machine,
  numbered,
  open,
  readAll,
  topicId,
  type Machine,
} from './log-support.ts'

const notePath = `${dataPath}/.millrace_quiet_logs`
const firstSegment = '00000000000000000000.log'

async function stop(where: Machine, logs: LogDirectories): Promise<void> {
  await where.simulation.until(logs.close())
  where.env.kill()
  where.env.boot()
}

/** A file that comes at another time gives its folder another modification time. */
const pass = ({ simulation }: Machine): Promise<void> =>
  simulation.run(simulation.scheduler.nowMs + 10)

/** Three partitions, of which the first holds two records. */
async function stopped(where: Machine): Promise<void> {
  const logs = await open(where)
  logs.brokerEpoch = 7
  for (const partition of [0, 1, 2]) logs.create('topic', topicId, partition)
  append(logs.get('topic', 0)!, ['a', 'b'])
  await stop(where, logs)
}

/** The data of partition 0 in the folder of partition 1, as an operator would restore it. */
function restoreByHand({ env: { disk } }: Machine): void {
  const bytes = disk.readFile(`${dataPath}/topic-0/${firstSegment}`)!
  const file = disk.open(`${dataPath}/topic-1/${firstSegment}`, 'write')
  file.write([bytes], 0)
  file.close()
}

const values = (logs: LogDirectories, partition: number): string[] =>
  readAll(logs.get('topic', partition)!).map(({ value }) => value)

t.test('empty logs: a start after a clean stop does not look into their folders', async (t) => {
  const where = machine()
  await stopped(where)
  where.env.disk.fail({ operation: 'list', code: 'EIO', path: 'topic-1' })
  const logs = await open(where)
  t.same(
    [...logs.all()].map(({ partition, topicId: id }) => [partition, id]),
    [
      [0, topicId],
      [1, topicId],
      [2, topicId],
    ],
  )
  t.equal(logs.get('topic', 2)?.isUntouched, true)
  t.equal(where.env.disk.stat(notePath), undefined, 'it counts once')
  t.same(values(logs, 0), ['a', 'b'])
  t.ok(append(logs.get('topic', 2)!, ['c']).ok)
  await stop(where, logs)
  const again = await open(where)
  t.same(values(again, 2), ['c'])
})

t.test('empty logs: answer as a log does that was looked into', async (t) => {
  const where = machine()
  await stopped(where)
  const logs = await open(where)
  const log = logs.get('topic', 1)!
  const limits = { bytesMax: 100, atLeastOneBatch: true, offsetMax: 10 }
  t.same([log.logStartOffset, log.nextOffset, log.durableOffset, log.sizeBytes], [0, 0, 0, 0])
  t.same(log.read(0, limits), { ok: true, payload: undefined, nextOffset: 0 })
  t.match(log.read(1, limits), { ok: false, error: errors.offsetOutOfRange })
  t.equal(log.offsetForTimestamp(0, 10), undefined)
  t.equal(log.maxTimestamp(10), undefined)
  t.equal(log.lastStableOffset(0), 0)
  t.same(log.activeProducers(), [])
  t.equal(log.enforceRetention(1e15), 0)
  t.equal(log.whenDurable(0), undefined)
  await where.simulation.until(log.flush())
  await where.simulation.until(log.checkpoint())
  t.equal(log.isUntouched, true)
  t.equal(log.leaderEpochs.latest, undefined)
  t.equal(log.isUntouched, false)
})

t.test('empty logs: one that somebody restored since the stop is served', async (t) => {
  const where = machine()
  await stopped(where)
  await pass(where)
  restoreByHand(where)
  const logs = await open(where)
  t.same(values(logs, 1), ['a', 'b'])
  t.same(values(logs, 2), [])
})

t.test(
  'empty logs: what is put into a folder of a running broker is not overwritten',
  async (t) => {
    const where = machine()
    await stopped(where)
    const logs = await open(where)
    await pass(where)
    restoreByHand(where)
    const before = where.env.disk.readFile(`${dataPath}/topic-1/${firstSegment}`)
    t.match(append(logs.get('topic', 1)!, ['c']), {
      ok: false,
      error: errors.kafkaStorageError,
      message: /was empty, and somebody has put segments there: restart the broker/,
    })
    t.same(where.env.disk.readFile(`${dataPath}/topic-1/${firstSegment}`), before)
    await stop(where, logs)
    t.same(values(await open(where), 1), ['a', 'b'], 'and is served after a restart')
  },
)

t.test(
  'empty logs: what is put into a folder that nobody uses is served after a restart',
  async (t) => {
    const where = machine()
    await stopped(where)
    const logs = await open(where)
    await pass(where)
    restoreByHand(where)
    await stop(where, logs)
    t.same(values(await open(where), 1), ['a', 'b'])
  },
)

const summaryPath = `${dataPath}/topic-0/00000000000000000000.summary`

t.test('quiet logs: a start after a clean stop does not look into their folders', async (t) => {
  const where = machine()
  await stopped(where)
  const { disk } = where.env
  disk.fail({ operation: 'list', code: 'EIO', path: 'topic-0' })
  disk.fail({ operation: 'open', code: 'EIO', path: 'topic-0' })
  const logs = await open(where)
  const log = logs.get('topic', 0)!
  t.same([log.topicId, log.logStartOffset, log.nextOffset], [topicId, 0, 2])
  t.ok(log.sizeBytes > 0)
  disk.faults.clear()
  t.same(values(logs, 0), ['a', 'b'])
  t.equal(log.leaderEpochs.latest?.epoch, 5)
  t.ok(append(log, ['c']).ok)
  await stop(where, logs)
  t.same(values(await open(where), 0), ['a', 'b', 'c'])
})

t.test('quiet logs: segments, producers, epochs and the log start are as before', async (t) => {
  const where = machine()
  const config = { segmentBytes: 300 }
  const logs = await open(where, { config })
  logs.brokerEpoch = 7
  const log = logs.create('topic', topicId, 0)
  const producer = { producerId: 9, producerEpoch: 0 }
  for (const [index, value] of numbered(12).entries())
    t.ok(append(log, [value], { ...producer, baseSequence: index }).ok)
  log.deleteRecords(5)
  const before = log.segments.all.map(({ baseOffset, sizeBytes }) => [baseOffset, sizeBytes])
  t.ok(before.length > 2)
  await stop(where, logs)
  where.env.disk.fail({ operation: 'list', code: 'EIO', path: 'topic-0' })
  const again = await open(where, { config })
  where.env.disk.faults.clear()
  const found = again.get('topic', 0)!
  t.same(
    found.segments.all.map(({ baseOffset, sizeBytes }) => [baseOffset, sizeBytes]),
    before,
  )
  t.same([found.logStartOffset, found.nextOffset], [5, 12])
  t.same(values(again, 0), numbered(12).slice(5))
  t.match(append(found, ['value 11'], { ...producer, baseSequence: 11 }), { ok: true })
  t.equal(found.nextOffset, 12, 'it was there already')
  t.ok(append(found, ['next'], { ...producer, baseSequence: 12 }).ok)
})

t.test('quiet logs: a folder that has changed is looked into', async (t) => {
  const where = machine()
  await stopped(where)
  await pass(where)
  where.env.disk.remove(summaryPath)
  where.env.disk.fail({ operation: 'list', code: 'EACCES', path: 'topic-0' })
  t.equal((await open(where)).get('topic', 0), undefined)
})

t.test('quiet logs: a segment that is longer now is recovered', async (t) => {
  const where = machine()
  await stopped(where)
  const path = `${dataPath}/topic-0/${firstSegment}`
  const bytes = where.env.disk.readFile(path)!
  const file = where.env.disk.open(path, 'write')
  file.write([Buffer.alloc(100)], bytes.length)
  file.close()
  const logs = await open(where)
  t.same(values(logs, 0), ['a', 'b'])
  t.equal(where.env.disk.stat(path)?.bytes, bytes.length)
})

t.test('quiet logs: one that is shorter now stays offline', async (t) => {
  const where = machine()
  await stopped(where)
  const file = where.env.disk.open(`${dataPath}/topic-0/${firstSegment}`, 'write')
  file.truncate(10)
  file.close()
  const logs = await open(where)
  t.equal(logs.get('topic', 0), undefined)
  t.ok(logs.get('topic', 1))
})

t.test('quiet logs: indexes that were damaged since are built anew', async (t) => {
  const where = machine()
  await stopped(where)
  where.env.disk.flipBit(summaryPath, 40)
  const logs = await open(where)
  t.equal(logs.get('topic', 0)?.maxTimestamp(10)?.offset, 1)
  t.same(values(logs, 0), ['a', 'b'])
})

t.test('quiet logs: a folder with files that go away is not noted', async (t) => {
  const where = machine()
  const logs = await open(where)
  logs.brokerEpoch = 7
  const log = logs.create('topic', topicId, 0)
  append(log, ['a', 'b'])
  log.roll()
  append(log, ['c'])
  await where.simulation.until(log.checkpoint())
  log.deleteRecords(2)
  await where.simulation.until(logs.checkpoint())
  t.ok(where.env.disk.list(log.path).some((name) => name.endsWith('.deleted')))
  await stop(where, logs)
  where.env.disk.fail({ operation: 'list', code: 'EACCES', path: 'topic-0' })
  t.equal((await open(where)).get('topic', 0), undefined, 'its folder is looked into')
})

t.test('empty logs: one that begins later keeps its start', async (t) => {
  const where = machine()
  const logs = await open(where)
  logs.brokerEpoch = 7
  const log = logs.create('topic', topicId, 0)
  append(log, ['a', 'b'])
  await where.simulation.until(log.checkpoint())
  log.deleteRecords(2)
  await stop(where, logs)
  await pass(where)
  const folder = `${dataPath}/topic-0`
  for (const name of where.env.disk.list(folder))
    if (name !== 'partition.metadata') where.env.disk.remove(`${folder}/${name}`)
  for (let start = 1; start <= 3; start++) {
    const again = await open(where)
    const { logStartOffset, nextOffset, isUntouched } = again.get('topic', 0)!
    t.same([logStartOffset, nextOffset, isUntouched], [2, 2, true], `start ${start}`)
    await stop(where, again)
  }
})

const distrusted: Readonly<Record<string, (where: Machine) => void>> = {
  'is damaged': ({ env: { disk } }) => disk.flipBit(notePath, 20),
  'is of another stop': ({ env: { disk } }) => {
    const text = disk.readFile(`${dataPath}/.kafka_cleanshutdown`)!.toString()
    const file = disk.open(`${dataPath}/.kafka_cleanshutdown`, 'write')
    file.write([Buffer.from(text.replace('7', '8'))], 0)
    file.close()
  },
  'came without the mark of a clean stop': ({ env: { disk } }) =>
    disk.remove(`${dataPath}/.kafka_cleanshutdown`),
}

for (const [what, harm] of Object.entries(distrusted)) {
  t.test(`empty logs: a note that ${what} is not believed`, async (t) => {
    const where = machine()
    await stopped(where)
    harm(where)
    where.env.disk.fail({ operation: 'list', code: 'EACCES', path: 'topic-1' })
    const logs = await open(where)
    t.equal(logs.get('topic', 1), undefined, 'its folder is looked into')
    t.equal(where.env.disk.stat(notePath), undefined)
    t.same(values(logs, 0), ['a', 'b'])
    t.same(values(logs, 2), [])
  })
}

t.test('empty logs: a disk that refuses the note makes no unclean stop', async (t) => {
  const where = machine()
  const logs = await open(where)
  logs.brokerEpoch = 7
  logs.create('topic', topicId, 0)
  where.env.disk.fail({ operation: 'open', code: 'ENOSPC', path: '.millrace_quiet_logs' })
  await stop(where, logs)
  t.equal(where.env.disk.stat(notePath), undefined)
  const again = await open(where)
  t.equal(again.previousBrokerEpoch, 7)
  t.equal(again.get('topic', 0)?.nextOffset, 0)
})

t.test('empty logs: a note that can not be read is as good as none', async (t) => {
  const where = machine()
  await stopped(where)
  where.env.disk.fail({ operation: 'read', code: 'EIO', path: '.millrace_quiet_logs' })
  const logs = await open(where)
  t.equal(logs.describe()[0]?.error, undefined)
  t.same([...logs.all()].length, 3)
  t.same(values(logs, 0), ['a', 'b'])
})

t.test('empty logs: a closed one is not begun', async (t) => {
  const where = machine()
  const logs = await open(where)
  const log = logs.create('topic', topicId, 0)
  logs.delete('topic', 0)
  t.equal(log.isUsable, false)
  t.match(append(log, ['a']), { ok: false, message: /is closed/ })
  t.equal(where.env.disk.stat(`${dataPath}/topic-0`), undefined)
})
