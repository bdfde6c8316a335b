// Durability, fencing and recovery of the controller on a store that fails when told to.
import t from 'tap'
import { Controller } from '../../controller/controller.ts'
import { MemoryStore, type TransactionFate } from '../../controller/store/memory.ts'
import { errors } from '../../protocol/errors.ts'
import {
  contents,
  forReal,
  newTopic,
  onlyValidate,
  openController,
  register,
} from '../support/controllers.ts'
import { manualEnv } from '../support/manual-env.ts'
import { SeededRandom, testSeed } from '../support/seeded-random.ts'

/** Lets `fates` happen in turn, then everything succeeds. */
function withFates(store: MemoryStore, fates: readonly TransactionFate[]): void {
  const left = [...fates]
  store.setFate(() => left.shift() ?? 'applied')
}

t.test('controller: a restart gives the same cluster', async (t) => {
  const store = new MemoryStore()
  const first = await openController({ store })
  await register(first)
  await first.createTopics(
    [
      newTopic('one', { partitionCount: 3, configs: [{ name: 'retention.ms', value: '1' }] }),
      newTopic('two.dots'),
    ],
    forReal,
  )
  await first.createPartitions([{ topic: 'two.dots', count: 4, assignments: null }], forReal)
  await first.allocateProducerIds(1)
  const set = { name: 'message.max.bytes', operation: 0, value: '5000' }
  await first.incrementalAlterConfigs(
    [{ resourceType: 4, resource: '', operations: [set] }],
    forReal,
  )
  const before = contents(first.image)
  await first.close()
  const second = await openController({ store, env: manualEnv(2) })
  t.same(contents(second.image), before)
  t.equal(second.image.clusterId, first.image.clusterId)
  t.equal(second.image.controllerEpoch, first.image.controllerEpoch + 1)
  t.equal(second.image.collidingTopic('two_dots'), 'two.dots')
})

t.test('controller: the id of a cluster is given, or made once', async (t) => {
  const store = new MemoryStore()
  const given = await openController({ store, clusterId: 'AAAAAAAAAAAAAAAAAAAAAA' })
  t.equal(given.image.clusterId, 'AAAAAAAAAAAAAAAAAAAAAA')
  const again = await openController({ store, clusterId: 'BBBBBBBBBBBBBBBBBBBBBB' })
  t.equal(again.image.clusterId, 'AAAAAAAAAAAAAAAAAAAAAA')
  const made = await openController()
  t.match(made.image.clusterId, /^[A-Za-z0-9_-]{22}$/)
})

t.test('controller: whatever a store refuses at the start is its own error', async (t) => {
  for (const refused of [0, 1, 2]) {
    const store = new MemoryStore()
    let count = 0
    store.setFate(() => (count++ === refused ? 'refused' : 'applied'))
    await t.rejects(openController({ store }), { name: 'StoreError' }, `transaction ${refused}`)
  }
})

t.test('controller: nothing is answered or told before the store has it', async (t) => {
  const store = new MemoryStore()
  const controller = await openController({ store })
  await register(controller)
  let release = (): void => undefined
  const held = new Promise<void>((resolve) => (release = resolve))
  const transact = store.transact.bind(store)
  store.transact = async (...request) => {
    await held
    return transact(...request)
  }
  let answered = false
  let told = 0
  controller.subscribe(() => told++)
  const creation = controller
    .createTopics([newTopic('slow')], forReal)
    .then(() => (answered = true))
  await new Promise((resolve) => setImmediate(resolve))
  t.notOk(answered)
  t.equal(told, 0)
  t.notOk(controller.image.topicsByName.has('slow'))
  release()
  await creation
  t.equal(told, 1)
  t.ok(controller.image.topicsByName.has('slow'))
})

t.test('controller: an answer that saw uncommitted state waits for it', async (t) => {
  const controller = await openController()
  await register(controller)
  const order: string[] = []
  const first = controller.createTopics([newTopic('same')], forReal).then(([outcome]) => {
    order.push('created')
    return outcome
  })
  const second = controller.createTopics([newTopic('same')], forReal).then(([outcome]) => {
    order.push('refused')
    return outcome
  })
  t.match(await first, { ok: true })
  t.match(await second, { ok: false, error: errors.topicAlreadyExists })
  t.same(order, ['created', 'refused'])
})

t.test('controller: a refusal that saw what was never committed is none', async (t) => {
  const store = new MemoryStore()
  const controller = await openController({ store })
  await register(controller)
  store.setFate(() => 'refused')
  const answers = await Promise.all([
    controller.createTopics([newTopic('same')], forReal),
    controller.createTopics([newTopic('same')], forReal),
  ])
  const refused = { ok: false, error: errors.notController }
  t.match(answers, [[refused], [refused]], 'the topic does not exist')
  t.match(await controller.createTopics([newTopic('same')], forReal), [refused])
})

t.test('controller: operations that come together share a transaction', async (t) => {
  const controller = await openController()
  await register(controller)
  const before = controller.image.offset
  const names = Array.from({ length: 200 }, (_, index) => `topic${index}`)
  await Promise.all(names.map((name) => controller.createTopics([newTopic(name)], forReal)))
  t.equal(controller.image.topicsByName.size, 200)
  t.ok(controller.image.offset - before <= 3, `${controller.image.offset - before} batches`)
})

t.test('controller: a lost answer is repeated, and applied once', async (t) => {
  const store = new MemoryStore()
  const env = manualEnv(1)
  const controller = await openController({ store, env })
  await register(controller)
  withFates(store, ['answerLost', 'answerLost'])
  const creation = controller.createTopics([newTopic('once')], forReal)
  await env.advance(1000)
  t.match(await creation, [{ ok: true }])
  const reloaded = await openController({ store, env: manualEnv(2) })
  t.same(contents(reloaded.image), contents(controller.image))
})

t.test('controller: killed between commit and answer, the change is there once', async (t) => {
  // The process dies while the answer of the store is on its way: a new one finds what was applied.
  const store = new MemoryStore()
  const killed = await openController({ store, env: manualEnv(1) })
  await register(killed)
  withFates(store, ['answerLost'])
  void killed.createTopics([newTopic('durable')], forReal)
  await new Promise((resolve) => setImmediate(resolve))
  const next = await openController({ store, env: manualEnv(2) })
  t.ok(next.image.topicsByName.has('durable'))
  const [again] = await next.createTopics([newTopic('durable')], forReal)
  t.match(again, { ok: false, error: errors.topicAlreadyExists })
})

t.test(
  'controller: while the store refuses nothing is acknowledged, then it goes on',
  async (t) => {
    const store = new MemoryStore()
    const env = manualEnv(1)
    const controller = await openController({ store, env })
    await register(controller)
    await controller.createTopics([newTopic('before')], forReal)
    store.setFate(() => 'refused')
    const refused = await Promise.all([
      controller.createTopics([newTopic('lost1')], forReal),
      controller.createTopics([newTopic('lost2'), newTopic('a b')], forReal),
    ])
    t.match(refused, [
      [{ ok: false, error: errors.notController }],
      [
        { ok: false, error: errors.notController },
        { ok: false, error: errors.notController },
      ],
    ])
    t.match(await controller.createTopics([newTopic('lost3')], forReal), [{ ok: false }])
    await env.advance(10_000)
    t.match(await controller.allocateProducerIds(1), { ok: false })
    store.setFate(() => 'applied')
    await env.advance(10_000)
    const image = controller.image
    t.match(await controller.createTopics([newTopic('lost1')], forReal), [{ ok: true }])
    t.same([...image.topicsByName.keys()], ['before', 'lost1'])
    const reloaded = await openController({ store, env: manualEnv(2) })
    t.same(contents(reloaded.image), contents(image))
  },
)

t.test('controller: what was applied before a failure reaches those who listen', async (t) => {
  const store = new MemoryStore()
  const env = manualEnv(1)
  const controller = await openController({ store, env })
  await register(controller)
  const told: string[] = []
  controller.subscribe((records) => {
    for (const record of records) if (record.type === 'topic') told.push(record.name)
  })
  // Applied, its answer lost, and then the repetition refused: the fate is unknown to the controller.
  withFates(store, ['answerLost', 'refused'])
  const creation = controller.createTopics([newTopic('unknown')], forReal)
  await env.advance(20_000)
  t.match(await creation, [{ ok: false }])
  t.same(told, ['unknown'])
  t.ok(controller.image.topicsByName.has('unknown'))
})

t.test('controller: a second one on the same store fences the first', async (t) => {
  const store = new MemoryStore()
  const fenced: string[] = []
  const older = await openController({ store, onFenced: (reason) => fenced.push(reason) })
  await register(older)
  const newer = await openController({ store, env: manualEnv(2) })
  const late = await older.createTopics([newTopic('late')], forReal)
  t.match(late, [{ ok: false, error: errors.notController }])
  t.equal(fenced.length, 1)
  t.match(await newer.createTopics([newTopic('good')], forReal), [{ ok: true }])
  t.match(await older.createTopics([newTopic('later')], forReal), [{ ok: false }])
  const reloaded = await openController({ store, env: manualEnv(3) })
  t.same([...reloaded.image.topicsByName.keys()], ['good'])
})

t.test('controller: one that was succeeded while it rested does not take back', async (t) => {
  const store = new MemoryStore()
  const env = manualEnv(1)
  const fenced: string[] = []
  const older = await openController({ store, env, onFenced: (reason) => fenced.push(reason) })
  await register(older)
  withFates(store, ['refused'])
  await older.createTopics([newTopic('a')], forReal)
  const newer = await openController({ store, env: manualEnv(2) })
  await env.advance(20_000)
  t.equal(fenced.length, 1)
  await register(newer)
  t.match(await newer.createTopics([newTopic('b')], forReal), [{ ok: true }])
})

t.test('controller: snapshots replace the log, 2,000 topics come back from one', async (t) => {
  const store = new MemoryStore()
  const controller = await openController({ store, snapshotBatches: 10 })
  await register(controller)
  for (let group = 0; group < 40; group++) {
    const topics = Array.from({ length: 50 }, (_, index) =>
      newTopic(`topic-${group}-${index}`, {
        partitionCount: 2,
        configs: [{ name: 'segment.ms', value: String(1 + group) }],
      }),
    )
    await controller.createTopics(topics, forReal)
  }
  const { entries } = await store.range('/millrace/log/', '/millrace/log0', 1000)
  t.ok(entries.length <= 30, `${entries.length} batches are left of ${controller.image.offset + 1}`)
  const reloaded = await openController({ store, env: manualEnv(2) })
  t.equal(reloaded.image.topicsByName.size, 2000)
  t.equal(reloaded.image.partitionCount, 4000)
  t.same(contents(reloaded.image), contents(controller.image))
})

t.test('controller: a damaged snapshot or log is an error, not another cluster', async (t) => {
  const store = new MemoryStore()
  const controller = await openController({ store, snapshotBatches: 3 })
  await register(controller)
  for (const name of ['a', 'b', 'c', 'd', 'e'])
    await controller.createTopics([newTopic(name)], forReal)
  await controller.close()
  const chunks = (await store.range('/millrace/snap/', '/millrace/snap0', 10)).entries
  const chunk = chunks.at(-1)
  const put = async (key: string, value: Uint8Array): Promise<void> => {
    await store.transact([], [{ kind: 'put', key, value }])
  }
  const flipped = Buffer.from(chunk?.value ?? [])
  flipped[flipped.length - 1]! ^= 1
  await put(chunk?.key ?? '', flipped)
  await t.rejects(openController({ store }), { name: 'MetadataFormatError' })
  await put(chunk?.key ?? '', chunk?.value ?? Buffer.alloc(0))
  await (await openController({ store })).close()
  const batches = (await store.range('/millrace/log/', '/millrace/log0', 100)).entries
  const middle = batches.at(-2)?.key ?? ''
  await store.transact([], [{ kind: 'remove', key: middle }])
  await t.rejects(openController({ store }), {
    message: /Batch \d+ of the metadata log is missing/,
  })
})

t.test('controller: a record of an unknown type stops the start', async (t) => {
  const store = new MemoryStore()
  const controller = await openController({ store })
  await controller.close()
  const { packValue } = await import('../../protocol/metadata-records/codec.ts')
  const key = `/millrace/log/${String(controller.image.offset + 1).padStart(16, '0')}`
  const value = packValue([0, 1, Buffer.alloc(8), 0, [[99, 0]]])
  await store.transact([], [{ kind: 'put', key, value }])
  await t.rejects(openController({ store }), { message: /unknown type 99/ })
})

t.test('controller: too large an operation is refused whole', async (t) => {
  const controller = await openController()
  await register(controller)
  const outcomes = await controller.createTopics(
    [newTopic('huge', { partitionCount: 10_001 }), newTopic('small')],
    forReal,
  )
  t.match(outcomes, [
    { ok: false, error: errors.policyViolation },
    { ok: false, error: errors.policyViolation },
  ])
  t.equal(controller.image.topicsByName.size, 0)
})

t.test('controller: validate only changes nothing', async (t) => {
  const controller = await openController()
  await register(controller)
  await controller.createTopics([newTopic('real')], forReal)
  const before = contents(controller.image)
  t.match(await controller.createTopics([newTopic('thought')], onlyValidate), [{ ok: true }])
  const growth = [{ topic: 'real', count: 5, assignments: null }]
  t.match(await controller.createPartitions(growth, onlyValidate), [{ ok: true }])
  const replacement = [
    { resourceType: 2, resource: 'real', configs: [{ name: 'retention.ms', value: '5' }] },
  ]
  t.match(await controller.alterConfigs(replacement, onlyValidate), [{ ok: true }])
  t.same(contents(controller.image), before)
  t.match(await controller.createTopics([newTopic('thought')], forReal), [{ ok: true }])
})

t.test('controller: producer ids are never given twice, over restarts too', async (t) => {
  const store = new MemoryStore()
  const seen = new Set<number>()
  for (let start = 0; start < 3; start++) {
    const controller = await openController({ store, env: manualEnv(start) })
    await register(controller)
    const blocks = await Promise.all([1, 2, 3].map(() => controller.allocateProducerIds(1)))
    for (const block of blocks) {
      if (!block.ok) throw new Error(block.message)
      t.equal(block.count, 1000)
      t.notOk(seen.has(block.first))
      seen.add(block.first)
    }
    await controller.close()
  }
  t.equal(seen.size, 9)
})

t.test('controller: a broker epoch is the offset of its registration, and grows', async (t) => {
  const controller = await openController()
  const first = await register(controller)
  t.equal(first, controller.image.offset)
  t.equal(controller.image.brokers.get(1)?.epoch, first)
  const second = await register(controller)
  t.ok(second > first)
})

t.test('controller: leader epochs grow after a stop that was not clean', async (t) => {
  const controller = await openController()
  const epoch = await register(controller)
  await controller.createTopics([newTopic('topic', { partitionCount: 700 })], forReal)
  const clean = await register(controller, 1, { previousEpoch: epoch })
  t.equal(controller.image.partition('topic', 699)?.leaderEpoch, 0)
  await register(controller, 1)
  for (const index of [0, 499, 500, 699]) {
    t.match(controller.image.partition('topic', index), { leaderEpoch: 1, partitionEpoch: 1 })
  }
  await register(controller, 1, { previousEpoch: clean })
  t.equal(controller.image.partition('topic', 0)?.leaderEpoch, 2, 'an older epoch is not clean')
})

t.test('controller: after close everything is refused', async (t) => {
  const controller = await openController()
  await register(controller)
  const pending = controller.createTopics([newTopic('pending')], forReal)
  await controller.close()
  await controller.close()
  await pending
  t.match(await controller.createTopics([newTopic('late')], forReal), [
    { ok: false, error: errors.notController },
  ])
})

t.test('controller: an image built from deltas is the image of a restart', async (t) => {
  const seed = testSeed(7)
  t.comment(`seed ${seed}`)
  const random = new SeededRandom(seed)
  const store = new MemoryStore()
  store.setFate(() => (random.chance(0.05) ? 'answerLost' : 'applied'))
  const env = manualEnv(seed)
  const opening = Controller.open({ ...(await optionsOf(store)), env, snapshotBatches: 25 })
  await env.advance(1000)
  const controller = await opening
  const registering = register(controller)
  await env.advance(1000)
  await registering
  for (let round = 0; round < 300; round++) {
    const operation = randomOperation(controller, random)
    await env.advance(200)
    await operation
  }
  store.setFate(() => 'applied')
  const reloaded = await openController({ store, env: manualEnv(seed + 1) })
  t.same(contents(reloaded.image), contents(controller.image))
})

async function optionsOf(store: MemoryStore): Promise<Parameters<typeof Controller.open>[0]> {
  const { silentLogger } = await import('../../base/logger.ts')
  const { configSchema, loadBrokerConfig } = await import('../../broker/config.ts')
  const config = loadBrokerConfig({})
  return { env: manualEnv(0), store, logger: silentLogger, nodeId: 1, config, schema: configSchema }
}

function randomOperation(controller: Controller, random: SeededRandom): Promise<unknown> {
  const name = `t${random.below(20)}`
  const topic = controller.image.topicsByName.get(name)
  switch (random.below(5)) {
    case 0:
      return controller.createTopics(
        [newTopic(name, { partitionCount: 1 + random.below(3) }), newTopic(`u${random.below(20)}`)],
        forReal,
      )
    case 1:
      return controller.deleteTopics(topic === undefined ? [] : [topic.id])
    case 2: {
      const count = (topic?.partitions.length ?? 0) + 1
      return controller.createPartitions([{ topic: name, count, assignments: null }], forReal)
    }
    case 3: {
      const set = { name: 'retention.ms', operation: random.below(2), value: `${random.below(99)}` }
      return controller.incrementalAlterConfigs(
        [{ resourceType: 2, resource: name, operations: [set] }],
        forReal,
      )
    }
    default:
      return controller.allocateProducerIds(1)
  }
}
