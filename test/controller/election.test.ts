import t from 'tap'
import { elect, type Candidate } from '../../controller/election.ts'
import { MetadataKeys } from '../../controller/keys.ts'
import { MemoryStore } from '../../controller/store/memory.ts'
import { packValue } from '../../protocol/metadata-records/codec.ts'

const keys = new MetadataKeys('test')
const candidate = (store: MemoryStore, nodeId = 1): Candidate => ({
  store,
  keys,
  nodeId,
  incarnation: nodeId.toString(16).repeat(32),
  endpoints: [`machine${nodeId}:9093`],
})

t.test('election: each reign has a greater epoch, and fences the one before', async (t) => {
  const store = new MemoryStore()
  const first = await elect(candidate(store))
  t.match(first, { epoch: 1, nodeId: 1 })
  const ok = await store.transact([{ key: keys.epoch, revision: first.fence }], [])
  t.ok(ok.ok)
  const second = await elect(candidate(store, 2))
  t.match(second, { epoch: 2, nodeId: 2 })
  t.notOk((await store.transact([{ key: keys.epoch, revision: first.fence }], [])).ok)
  t.ok((await store.transact([{ key: keys.epoch, revision: second.fence }], [])).ok)
})

t.test('election: a lost answer is not a lost election', async (t) => {
  const store = new MemoryStore()
  let lost = 2
  store.setFate(() => (lost-- > 0 ? 'answerLost' : 'applied'))
  const reign = await elect(candidate(store))
  t.equal(reign.epoch, 1)
  t.equal((await store.get(keys.epoch))?.revision, reign.fence)
})

t.test('election: of many at once each gets an epoch of its own', async (t) => {
  const store = new MemoryStore()
  const reigns = await Promise.all([1, 2, 3, 4, 5].map((id) => elect(candidate(store, id))))
  t.equal(new Set(reigns.map(({ epoch }) => epoch)).size, 5)
  const fence = (await store.get(keys.epoch))?.revision
  t.equal(reigns.filter((reign) => reign.fence === fence).length, 1, 'one of them reigns')
})

t.test('election: gives up when others take the epoch again and again', async (t) => {
  const store = new MemoryStore()
  const transact = store.transact.bind(store)
  store.transact = async () => {
    await transact([], [{ kind: 'put', key: keys.epoch, value: packValue([9, 9, 'x']) }])
    return { ok: false, revision: '0' }
  }
  await t.rejects(elect(candidate(store)), { message: /second broker/ })
})

t.test('election: a damaged epoch is an error', async (t) => {
  for (const value of [packValue('x'), packValue(['one', 1, 'x']), Buffer.from([0xc1])]) {
    const store = new MemoryStore()
    await store.transact([], [{ kind: 'put', key: keys.epoch, value }])
    await t.rejects(elect(candidate(store)), { name: 'MetadataFormatError' })
  }
})

t.test('keys: the order of keys is that of offsets', async (t) => {
  const offsets = [0, 9, 10, 99_999, 100_000, 2 ** 53 - 1]
  const names = offsets.map((offset) => keys.batch(offset))
  t.same(names.toSorted(), names)
  for (const [index, name] of names.entries()) {
    t.ok(name < keys.batchEnd)
    t.equal(keys.offsetOf(name), offsets[index])
  }
  const chunks = [keys.snapshotChunk(9, 0), keys.snapshotChunk(9, 11), keys.snapshotEnd(9)]
  t.same([...chunks, keys.snapshotChunk(10, 0)].toSorted(), [...chunks, keys.snapshotChunk(10, 0)])
})
