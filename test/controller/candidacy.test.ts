// Several controllers on one store, on virtual time: who reigns, when another takes over, and what the others may still do.
import t from 'tap'
import { MetadataWriter, type MetadataWriterOptions } from '../../controller/metadata-writer.ts'
import { silentLogger } from '../../base/logger.ts'
import { readSeat, SilenceObserver, type Seat } from '../../controller/election.ts'
import { clusterKeys } from '../../controller/keys.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import { AmbiguousError, StoreError } from '../../controller/store/metadata-store.ts'
import { errors } from '../../protocol/errors.ts'
import type { MetadataRecord } from '../../protocol/metadata-records/records.ts'
import { manualEnv, type ManualEnv } from '../support/manual-env.ts'

const candidacy = { silenceMs: 4000, pollMs: 300 }
const feature = (name: string, level = 1): MetadataRecord => ({ type: 'feature', name, level })

function open(
  env: ManualEnv,
  store: MemoryStore,
  options: Partial<MetadataWriterOptions> & { nodeId: number },
): Promise<MetadataWriter> {
  return MetadataWriter.open({
    env,
    store,
    logger: silentLogger,
    candidacy,
    endpoints: [`machine${options.nodeId}:9093`],
    ...options,
  })
}

function write(writer: MetadataWriter, record: MetadataRecord): Promise<{ readonly ok: boolean }> {
  return writer.commit({ records: [record], answer: { ok: true } })
}

/** A store of one process, which can be cut off or slowed down for it alone. */
class Path extends MemoryStore {
  readonly #inner: MemoryStore
  cut = false
  #held: { transactions: number; reads: number; until: Promise<void> } | undefined
  constructor(inner: MemoryStore) {
    super()
    this.#inner = inner
  }
  /** Answers late: the transaction that takes the seat, the read after it, or the one that begins the reign. */
  hold(what: 'take' | 'load' | 'begin', until: Promise<void>): void {
    const [transactions, reads] = { take: [1, 0], load: [0, 1], begin: [2, 0] }[what] as [
      number,
      number,
    ]
    this.#held = { transactions, reads, until }
  }
  override async get(...request: Parameters<MemoryStore['get']>) {
    if (this.cut) throw new StoreError('cut', { code: 'UNREACHABLE' })
    return this.#inner.get(...request)
  }
  override async range(...request: Parameters<MemoryStore['range']>) {
    if (this.cut) throw new StoreError('cut', { code: 'UNREACHABLE' })
    if (this.#held !== undefined && --this.#held.reads === 0) await this.#held.until
    return this.#inner.range(...request)
  }
  override async transact(...request: Parameters<MemoryStore['transact']>) {
    if (this.cut) {
      throw new AmbiguousError('cut')
    }
    const result = await this.#inner.transact(...request)
    if (this.#held !== undefined && --this.#held.transactions === 0) await this.#held.until
    return result
  }
}

t.test('founding: a new store that answers late is asked again', async (t) => {
  const env = manualEnv(1)
  let tries = 0
  class LateStore extends MemoryStore {
    override async transact(...request: Parameters<MemoryStore['transact']>) {
      tries += 1
      if (tries === 1) throw new AmbiguousError('late')
      return super.transact(...request)
    }
  }
  const opening = open(env, new LateStore(), { nodeId: 1, clusterId: 'mine' })
  await env.advance(1000)
  const writer = await opening
  t.equal(writer.image.clusterId, 'mine')
  await writer.close()
})

t.test('candidacy: the first takes the seat at once, the second stands by', async (t) => {
  const env = manualEnv(1)
  const store = new MemoryStore()
  const first = await open(env, store, { nodeId: 1 })
  const second = await open(env, store, { nodeId: 2 })
  t.equal(first.state, 'reigning')
  t.equal(second.state, 'standby')
  t.match(second.leader, { nodeId: 1, endpoints: ['machine1:9093'] })
  t.match(await write(second, feature('a')), { ok: false, error: errors.notController })
  await env.advance(60_000)
  t.equal(first.state, 'reigning', 'an idle one shows itself')
  t.equal(second.state, 'standby')
  t.equal(first.image.offset, 0, 'and writes no batch for that')
})

t.test('candidacy: one that left is followed within a poll', async (t) => {
  const env = manualEnv(1)
  const store = new MemoryStore()
  const first = await open(env, store, { nodeId: 1 })
  const second = await open(env, store, { nodeId: 2 })
  const pending = write(first, feature('last'))
  await first.close()
  t.match(await pending, { ok: true }, 'what it had is written')
  await env.advance(500)
  t.equal(second.state, 'reigning')
  t.ok(second.image.features.has('last'))
  t.match(second.leader, { nodeId: 2 })
})

t.test('candidacy: one that is stopped while it takes the seat leaves it', async (t) => {
  for (const request of ['take', 'load', 'begin'] as const) {
    const env = manualEnv(1)
    const store = new MemoryStore()
    const path = new Path(store)
    const first = await open(env, store, { nodeId: 1 })
    const second = await open(env, path, { nodeId: 2 })
    let release = (): void => undefined
    path.hold(request, new Promise((resolve) => (release = resolve)))
    await first.close()
    await env.advance(500)
    t.equal(second.state, 'standby', `it is held up: ${request}`)
    const closing = second.close()
    release()
    await closing
    const third = await open(env, store, { nodeId: 3 })
    t.equal(third.state, 'reigning', `nobody waits for a silence: ${request}`)
    await third.close()
  }
})

t.test('candidacy: one that is silent is followed after the silence', async (t) => {
  const env = manualEnv(1)
  const store = new MemoryStore()
  const path = new Path(store)
  const first = await open(env, path, { nodeId: 1 })
  const second = await open(env, store, { nodeId: 2 })
  t.match(await write(first, feature('before')), { ok: true })
  path.cut = true
  await env.advance(3900)
  t.equal(second.state, 'standby')
  await env.advance(1500)
  t.equal(second.state, 'reigning')
  t.match(await write(second, feature('after')), { ok: true })
  t.equal(first.state, 'suspended', 'it knows that it can write nothing')
  t.match(await write(first, feature('lost')), { ok: false, error: errors.notController })
  path.cut = false
  await env.advance(1000)
  t.equal(first.state, 'standby')
  t.match(first.leader, { nodeId: 2 })
  t.notOk(second.image.features.has('lost'))
  await second.close()
  await env.advance(1000)
  t.equal(first.state, 'reigning', 'the image of its first reign goes on')
  t.same([...first.image.features.keys()], ['before', 'after'])
})

t.test('candidacy: the store is away for all, and comes back', async (t) => {
  const env = manualEnv(1)
  const store = new MemoryStore()
  const paths = [new Path(store), new Path(store)]
  const first = await open(env, paths[0]!, { nodeId: 1 })
  const second = await open(env, paths[1]!, { nodeId: 2 })
  const states: string[] = []
  first.subscribeState((state) => states.push(state))
  await write(first, feature('before'))
  for (const path of paths) path.cut = true
  await env.advance(60_000)
  t.same(states, ['suspended'])
  for (const path of paths) path.cut = false
  await env.advance(900)
  t.same(states, ['suspended', 'reigning'], 'it takes its own seat back without a wait')
  t.equal(second.state, 'standby', 'the blind time counted for nothing')
  t.match(await write(first, feature('again')), { ok: true })
})

t.test('candidacy: one whose batch was lost on the way repeats it, once in the log', async (t) => {
  const env = manualEnv(1)
  const store = new MemoryStore()
  const first = await open(env, store, { nodeId: 1 })
  const fates = ['answerLost', 'answerLost', 'applied'] as const
  let index = 0
  store.setFate(() => fates[index++] ?? 'applied')
  const written = write(first, feature('once'))
  await env.advance(1000)
  t.match(await written, { ok: true })
  t.equal(first.image.offset, 1)
})

t.test('candidacy: a refusal of the store suspends, until it takes again', async (t) => {
  const env = manualEnv(1)
  const store = new MemoryStore()
  const first = await open(env, store, { nodeId: 1 })
  store.setFate(() => 'refused')
  t.match(await write(first, feature('full')), { ok: false })
  t.equal(first.state, 'suspended')
  await env.advance(20_000)
  t.equal(first.state, 'suspended')
  store.setFate(() => 'applied')
  await env.advance(1000)
  t.equal(first.state, 'reigning')
  t.match(await write(first, feature('room')), { ok: true })
})

t.test('candidacy: an image too old for the log begins anew with the snapshot', async (t) => {
  const env = manualEnv(1)
  const store = new MemoryStore()
  const path = new Path(store)
  const first = await open(env, path, { nodeId: 1 })
  let reloads = 0
  first.subscribe(
    () => undefined,
    () => reloads++,
  )
  const second = await open(env, store, { nodeId: 2, snapshotBatches: 5 })
  await write(first, feature('before'))
  path.cut = true
  await env.advance(6000)
  for (let level = 1; level <= 30; level++) await write(second, feature('counted', level))
  path.cut = false
  await second.close()
  await env.advance(1000)
  t.equal(first.state, 'reigning')
  t.equal(reloads, 1)
  t.same([...first.image.features], [...second.image.features])
})

t.test('candidacy: a store that went back stops the controller with advice', async (t) => {
  const env = manualEnv(1)
  const store = new MemoryStore()
  const reasons: string[] = []
  const first = await open(env, store, { nodeId: 1, onFenced: (reason) => reasons.push(reason) })
  const old = await store.range('/', '0', 100)
  for (let level = 1; level <= 5; level++) await write(first, feature('counted', level))
  store.setFate(() => 'refused')
  await write(first, feature('refused'))
  store.setFate(() => 'applied')
  const puts = old.entries.map(({ key, value }) => ({ kind: 'put' as const, key, value }))
  await store.transact([], [{ kind: 'removeRange', from: '/', to: '0' }, ...puts])
  await env.advance(10_000)
  t.equal(first.state, 'fenced')
  t.match(reasons, [/restored from a backup/])
})

t.test('candidacy: of three exactly one reigns, whoever dies', async (t) => {
  const env = manualEnv(7)
  const store = new MemoryStore()
  const paths = [new Path(store), new Path(store), new Path(store)]
  const writers = await Promise.all(
    paths.map((path, index) => open(env, path, { nodeId: index + 1 })),
  )
  let acknowledged = 0
  let epoch = 0
  for (let round = 0; round < 20; round++) {
    await env.advance(6000)
    const reigning = writers.findIndex((writer, i) => writer.state === 'reigning' && !paths[i]!.cut)
    t.ok(reigning >= 0)
    const writer = writers[reigning]!
    if ((await write(writer, feature('count', ++acknowledged))).ok === false) t.fail('refused')
    t.ok(writer.image.controllerEpoch > epoch)
    epoch = writer.image.controllerEpoch
    for (const path of paths) path.cut = false
    paths[reigning]!.cut = true
  }
})

const seat = (revision: string, resigned = false): Seat => ({
  epoch: 1,
  epochRevision: '1',
  leaderRevision: revision,
  leader: { nodeId: 1, incarnation: 'x', epoch: 1, offset: 1, endpoints: [], resigned },
})

t.test('silence: counts while it is observed, and anew after each sign of life', async (t) => {
  const observer = new SilenceObserver(4000)
  const at = (nowMs: number, revision: string): boolean =>
    observer.observe(seat(revision), { nowMs, self: 'me' })
  for (let nowMs = 0; nowMs <= 3600; nowMs += 400) t.notOk(at(nowMs, '1'))
  t.notOk(at(3900, '2'), 'a sign of life')
  for (let nowMs = 4300; nowMs < 7900; nowMs += 400) t.notOk(at(nowMs, '2'))
  t.ok(at(7901, '2'))
})

t.test('silence: blind time does not count, and costs a second more', async (t) => {
  const observer = new SilenceObserver(4000)
  const at = (nowMs: number): boolean => observer.observe(seat('1'), { nowMs, self: 'me' })
  for (let nowMs = 0; nowMs <= 3600; nowMs += 400) t.notOk(at(nowMs))
  t.notOk(at(60_000))
  t.notOk(at(60_900))
  t.ok(at(61_001))
})

t.test('silence: a seat that was left, never held, or our own is free', async (t) => {
  const observer = new SilenceObserver(4000)
  const options = { nowMs: 0, self: 'me' }
  t.ok(observer.observe(seat('1', true), options))
  t.ok(observer.observe({ ...seat('2'), leader: undefined }, options))
  t.ok(observer.observe(seat('3'), { nowMs: 0, self: 'x' }))
  const store = new MemoryStore()
  t.match(await readSeat({ store, keys: clusterKeys }), { epoch: 0, leader: undefined })
})
