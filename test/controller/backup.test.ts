import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createRealEnv } from '../../base/real/real-env.ts'
import { backUp, backUpTo, restore } from '../../controller/backup.ts'
import { clusterKeys as keys } from '../../controller/keys.ts'
import { LmdbStore } from '../../controller/store/lmdb.ts'
import type { MetadataStore } from '../../controller/store/metadata-store.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import { contents, forReal, newTopic, openController, register } from '../support/controllers.ts'
import { manualEnv } from '../support/manual-env.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-backup-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

async function aCluster(seed = 1) {
  const store = new MemoryStore()
  const controller = await openController({ store, env: manualEnv(seed), snapshotBatches: 4 })
  await register(controller)
  const configs = [{ name: 'retention.ms', value: '5' }]
  for (const name of ['a', 'b', 'c', 'd', 'e']) {
    await controller.createTopics([newTopic(name, { partitionCount: 3, configs })], forReal)
  }
  await controller.allocateProducerIds(1)
  return { store, controller }
}

t.test('restore: gives the cluster again, with everything that must grow far ahead', async (t) => {
  const { store, controller } = await aCluster()
  const backup = await backUp(store)
  const { image } = controller
  await controller.createTopics([newTopic('later')], forReal)
  const other = new MemoryStore()
  const restored = await restore(other, backup)
  t.match(restored, { clusterId: image.clusterId, epoch: 1001, topicCount: 5 })
  const again = await openController({ store: other, env: manualEnv(2) })
  t.same([...again.image.topicsByName.keys()], ['a', 'b', 'c', 'd', 'e'])
  t.equal(again.image.topicOverrides('c').get('retention.ms'), '5')
  t.equal(again.image.clusterId, image.clusterId)
  t.equal(again.image.controllerEpoch, 1002)
  t.match(again.image.partition('a', 2), { leader: 1, leaderEpoch: 1000, partitionEpoch: 1000 })
  t.ok(again.image.offset > image.offset)
  const block = await again.allocateProducerIds(1)
  t.ok(block.ok && block.first >= image.nextProducerId)
  t.ok((await register(again)) > image.offset, 'a broker epoch that nobody had')
})

t.test('restore: in place of what a store holds now', async (t) => {
  const { store, controller } = await aCluster()
  const backup = await backUp(store)
  await controller.deleteTopics([...controller.image.topicsById.keys()])
  await controller.close()
  await restore(store, backup)
  const again = await openController({ store, env: manualEnv(2) })
  t.equal(again.image.topicsByName.size, 5)
  await again.close()
  await restore(store, backup)
  const third = await openController({ store, env: manualEnv(3) })
  t.match(third.image.partition('a', 0), { leaderEpoch: 1000 })
  t.ok(third.image.offset > again.image.offset, 'offsets never come back')
  t.ok(third.image.controllerEpoch > again.image.controllerEpoch)
})

t.test('restore: without a backup raises what is there', async (t) => {
  const { store, controller } = await aCluster()
  await controller.close()
  t.match(await restore(store), { epoch: 1001 })
  const again = await openController({ store, env: manualEnv(2) })
  t.match(again.image.partition('e', 1), { leaderEpoch: 1000 })
  t.same([...again.image.topicsByName.keys()], [...controller.image.topicsByName.keys()])
})

t.test(
  'restore: a controller that runs on the store is fenced, and told to start anew',
  async (t) => {
    const { store } = await aCluster()
    const reasons: string[] = []
    const running = await openController({
      store,
      env: manualEnv(3),
      onFenced: (reason) => reasons.push(reason),
    })
    const backup = await backUp(store)
    await restore(store, backup)
    t.match(await running.createTopics([newTopic('lost')], forReal), [{ ok: false }])
    t.equal(reasons.length, 1)
  },
)

t.test('restore: is refused when a controller writes meanwhile', async (t) => {
  const { store, controller } = await aCluster()
  const backup = await backUp(store)
  let isFirst = true
  const shared: MetadataStore = {
    limits: store.limits,
    get: (key) => store.get(key),
    range: (from, to, limit) => store.range(from, to, limit),
    transact: async (comparisons, operations) => {
      if (isFirst) {
        isFirst = false
        await controller.createTopics([newTopic('meanwhile')], forReal)
      }
      return store.transact(comparisons, operations)
    },
    close: () => store.close(),
  }
  await t.rejects(restore(shared, backup), { message: /A controller runs on this/ })
  t.match(await controller.createTopics([newTopic('later')], forReal), [{ ok: true }])
  t.ok(controller.image.topicsByName.has('meanwhile'))
})

t.test('restore: a damaged store is replaced by a backup that is whole', async (t) => {
  const { store, controller } = await aCluster()
  const backup = await backUp(store)
  await controller.createTopics([newTopic('later')], forReal)
  await controller.close()
  const { offset } = controller.image
  for (const key of [keys.batch(offset), keys.snapshotHead, keys.leader])
    await store.transact([], [{ kind: 'put', key, value: Buffer.from('x') }])
  await t.rejects(restore(store), { name: 'MetadataFormatError' })
  await restore(store, backup)
  const again = await openController({ store, env: manualEnv(2) })
  t.same([...again.image.topicsByName.keys()], ['a', 'b', 'c', 'd', 'e'])
  t.ok(again.image.offset > offset, 'beyond what was damaged')
  t.equal(again.generation, 1)
})

t.test('restore: what the store did not answer is repeated', async (t) => {
  const { store } = await aCluster()
  const backup = await backUp(store)
  const target = new MemoryStore()
  let transactions = 0
  target.setFate(() => (++transactions % 2 === 1 ? 'answerLost' : 'applied'))
  t.match(await restore(target, backup), { epoch: 1001, topicCount: 5 })
  target.setFate(() => 'applied')
  const again = await openController({ store: target, env: manualEnv(2) })
  t.equal(again.image.topicsByName.size, 5)
})

t.test('restore: refuses other files, damage, other clusters and an empty store', async (t) => {
  const { store } = await aCluster()
  const backup = await backUp(store)
  const { store: other } = await aCluster(99)
  await t.rejects(restore(other, backup), { message: /holds cluster .* empty store/ })
  await t.rejects(restore(new MemoryStore()), { message: /is empty/ })
  await t.rejects(restore(new MemoryStore(), Buffer.from('text')), { name: 'MetadataFormatError' })
  for (const position of [backup.length - 5, backup.length >> 1, 25]) {
    const damaged = Buffer.from(backup)
    damaged[position]! ^= 0x40
    await t.rejects(restore(new MemoryStore(), damaged), { name: 'MetadataFormatError' })
  }
  await t.rejects(restore(new MemoryStore(), backup.subarray(0, 99)), {
    name: 'MetadataFormatError',
  })
})

t.test(
  'backup: of an LMDB file in use, into a file, and back into another LMDB file',
  async (t) => {
    const env = createRealEnv()
    const store = LmdbStore.open(join(folder, 'one.mdb'), env.disk)
    const controller = await openController({ store, env })
    await register(controller)
    await controller.createTopics([newTopic('kept', { partitionCount: 2 })], forReal)
    const path = join(folder, 'backup')
    const second = LmdbStore.open(join(folder, 'one.mdb'), env.disk)
    const { bytes } = await backUpTo(path, { store: second, disk: env.disk })
    await second.close()
    t.equal(readFileSync(path).length, bytes)
    await backUpTo(path, { store, disk: env.disk })
    const target = LmdbStore.open(join(folder, 'two.mdb'), env.disk)
    await restore(target, readFileSync(path))
    const again = await openController({ store: target, env })
    t.ok(again.image.topicsByName.has('kept'))
    t.match(contents(again.image), { partitionCount: 2 })
    await again.close()
    await controller.close()
  },
)
