import t from 'tap'
import { ClusterImage } from '../../broker/metadata/image.ts'
import { elect } from '../../controller/election.ts'
import { MetadataKeys } from '../../controller/keys.ts'
import {
  loadLog,
  MetadataLog,
  MetadataLogError,
  operationRecordsMax,
} from '../../controller/metadata-log.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import type { MetadataRecord } from '../../protocol/metadata-records/records.ts'
import { manualEnv } from '../support/manual-env.ts'

const keys = new MetadataKeys('test')
const feature = (name: string, level: number): MetadataRecord => ({ type: 'feature', name, level })

async function openLog(store = new MemoryStore(), options: { snapshotBatches?: number } = {}) {
  const env = manualEnv(5)
  const reign = await elect({ store, keys, nodeId: 1, incarnation: '1'.repeat(32), endpoints: [] })
  const image = new ClusterImage('test')
  const loaded = await loadLog({ store, keys }, image, {
    applied: () => undefined,
    reloaded: () => undefined,
  })
  const batches: { offset: number; count: number }[] = []
  const failures: MetadataLogError[] = []
  const log = new MetadataLog(
    {
      env,
      store,
      keys,
      reign,
      image,
      snapshotBatches: options.snapshotBatches ?? 1_000_000,
      snapshotBytes: 1_000_000_000,
      onCommitted: (offset, records) => batches.push({ offset, count: records.length }),
      onFailed: (error) => failures.push(error),
    },
    loaded,
  )
  return { log, image, store, env, batches, failures }
}

const failureOf = (promise: Promise<void>): Promise<unknown> =>
  promise.then(
    () => 'no failure',
    (error: unknown) => error,
  )

t.test('metadata log: those who come during a transaction share the next one', async (t) => {
  const { log, batches, image } = await openLog()
  const appends = Array.from({ length: 10 }, (_, index) => log.append([feature(`f${index}`, 1)]))
  await Promise.all(appends)
  t.same(batches, [
    { offset: 0, count: 1 },
    { offset: 1, count: 9 },
  ])
  t.equal(image.features.size, 10)
  t.equal(image.offset, 1)
})

t.test('metadata log: an offset that is foretold is the one that comes', async (t) => {
  const { log, image } = await openLog()
  for (let round = 0; round < 20; round++) {
    const foretold = log.nextOffset
    const append = log.append([feature(`f${round}`, round)])
    if (round % 3 === 0) {
      await append
      t.equal(image.offset, foretold)
    } else {
      t.ok(foretold > image.offset)
    }
  }
})

t.test('metadata log: a batch is bounded, an operation is never split', async (t) => {
  const { log, batches } = await openLog()
  const many = (count: number): MetadataRecord[] =>
    Array.from({ length: count }, () => ({ type: 'noOp' }))
  const small = Array.from({ length: 4 }, () => log.append(many(900)))
  await Promise.all([...small, log.append(many(1900))])
  const counts = batches.map(({ count }) => count)
  t.equal(
    counts.reduce((sum, count) => sum + count),
    5500,
  )
  t.ok(
    counts.every((count) => count <= 2700),
    counts.join(),
  )
  t.throws(() => log.append(many(operationRecordsMax + 1)), { name: 'AssertionError' })
})

t.test('metadata log: after a failure nothing more is written', async (t) => {
  const { log, store, failures } = await openLog()
  await log.append([feature('a', 1)])
  store.setFate(() => 'refused')
  const first = log.append([feature('b', 1)])
  const second = log.append([feature('c', 1)])
  await t.rejects(first, MetadataLogError)
  await t.rejects(second, MetadataLogError)
  store.setFate(() => 'applied')
  t.match(await failureOf(log.append([feature('d', 1)])), { fenced: false })
  t.match(await failureOf(log.settled()), { fenced: false })
  t.equal(failures.length, 1)
  const { entries } = await store.range(keys.batch(0), keys.batchEnd, 10)
  t.equal(entries.length, 1)
})

t.test('metadata log: whoever wrote nothing may wait for what is under way', async (t) => {
  const { log, image } = await openLog()
  void log.append([feature('a', 1)])
  void log.append([feature('b', 1)])
  await log.settled()
  t.equal(image.features.size, 2)
  await log.settled()
})

t.test('metadata log: a stranger in the next place means another controller', async (t) => {
  const { log, store } = await openLog()
  await store.transact([], [{ kind: 'put', key: keys.batch(0), value: Buffer.from([0x90]) }])
  t.match(await failureOf(log.append([feature('a', 1)])), { fenced: true })
})

t.test('metadata log: snapshots keep the one before, and the log behind it', async (t) => {
  const { log, store, image } = await openLog(undefined, { snapshotBatches: 5 })
  for (let round = 0; round < 17; round++) await log.append([feature('same', round)])
  const snapshots = await store.range(keys.snapshotChunk(0, 0), keys.snapshotEnd(99), 100)
  t.same(
    snapshots.entries.map(({ key }) => Number(key.split('/').at(-2))),
    [9, 14],
  )
  const batches = await store.range(keys.batch(0), keys.batchEnd, 100)
  t.same(
    batches.entries.map(({ key }) => keys.offsetOf(key)),
    [10, 11, 12, 13, 14, 15, 16],
  )
  const reloaded = await openLog(store)
  t.same([...reloaded.image.features], [...image.features])
  t.equal(reloaded.image.offset, 16)
})

t.test('metadata log: who is far behind takes the snapshot, and what came since', async (t) => {
  const { log, store, image } = await openLog(undefined, { snapshotBatches: 5 })
  const behind = new ClusterImage('test')
  let reloads = 0
  const follow = () =>
    loadLog({ store, keys }, behind, { applied: () => undefined, reloaded: () => reloads++ })
  for (let round = 0; round < 4; round++) await log.append([feature('same', round)])
  await follow()
  t.same([behind.offset, reloads], [3, 0])
  for (let round = 4; round < 17; round++) await log.append([feature('same', round)])
  await follow()
  t.same([behind.offset, reloads], [16, 1])
  t.same([...behind.features], [...image.features])
})

t.test('metadata log: a lost answer of a snapshot is repeated', async (t) => {
  const { log, store, env } = await openLog(undefined, { snapshotBatches: 3 })
  let transactions = 0
  // Three batches, then the chunk and the head of the snapshot.
  store.setFate(() => ([4, 6].includes(++transactions) ? 'answerLost' : 'applied'))
  for (let round = 0; round < 3; round++) await log.append([feature('same', round)])
  const next = log.append([feature('same', 4)])
  for (let turn = 0; turn < 10; turn++) await env.advance(100)
  await next
  t.ok(await store.get(keys.snapshotHead))
  const reloaded = await openLog(store)
  t.same([...reloaded.image.features], [['same', 4]])
})
