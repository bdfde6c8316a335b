import type { Test } from 'tap'
import type {
  MetadataStore,
  StoreComparison,
  StoreOperation,
} from '../../../controller/store/metadata-store.ts'
import { SeededRandom, testSeed } from '../../support/seeded-random.ts'

const bytes = (text: string): Buffer => Buffer.from(text)
const put = (key: string, value: string): StoreOperation => ({
  kind: 'put',
  key,
  value: bytes(value),
})

/** What every store must do. `open` gives an empty one. */
export function storeConformance(
  t: Test,
  open: () => MetadataStore | Promise<MetadataStore>,
): void {
  const withStore = (
    title: string,
    body: (t: Test, store: MetadataStore) => Promise<void>,
  ): void => {
    t.test(`store: ${title}`, async (t) => {
      const store = await open()
      t.teardown(() => store.close())
      await body(t, store)
    })
  }

  withStore('an absent key has no value, and revision 0 in a comparison', async (t, store) => {
    t.equal(await store.get('/a'), undefined)
    const created = await store.transact([{ key: '/a', revision: '0' }], [put('/a', 'one')])
    t.ok(created.ok)
    const stored = await store.get('/a')
    t.equal(stored?.revision, created.revision)
    t.equal(Buffer.from(stored?.value ?? []).toString(), 'one')
    const again = await store.transact([{ key: '/a', revision: '0' }], [put('/a', 'two')])
    t.same(again, { ok: false, revision: '0' })
    t.equal(Buffer.from((await store.get('/a'))?.value ?? []).toString(), 'one')
  })

  withStore('a comparison fails after any write, also of the same value', async (t, store) => {
    const first = await store.transact([], [put('/a', 'same')])
    await store.transact([], [put('/a', 'same')])
    const late = await store.transact([{ key: '/a', revision: first.revision }], [put('/b', 'x')])
    t.notOk(late.ok)
    t.equal(await store.get('/b'), undefined, 'nothing of a failed transaction is applied')
  })

  withStore('revisions are of transactions, and never come back', async (t, store) => {
    const one = await store.transact([], [put('/a', '1'), put('/b', '1')])
    t.equal((await store.get('/a'))?.revision, (await store.get('/b'))?.revision)
    await store.transact([], [{ kind: 'remove', key: '/a' }])
    t.equal(await store.get('/a'), undefined)
    const two = await store.transact([], [put('/a', '2')])
    t.not(two.revision, one.revision)
    t.notOk((await store.transact([{ key: '/a', revision: one.revision }], [])).ok)
  })

  withStore('a range is ascending, half open and limited', async (t, store) => {
    const keys = ['/p/3', '/p/1', '/p/2', '/q/1', '/o/9']
    for (const key of keys) await store.transact([], [put(key, key)])
    const range = await store.range('/p/', '/q/', 10)
    t.same(
      range.entries.map(({ key }) => key),
      ['/p/1', '/p/2', '/p/3'],
    )
    t.equal(range.more, false)
    const page = await store.range('/p/', '/q/', 2)
    t.same(
      page.entries.map(({ key, value }) => [key, Buffer.from(value).toString()]),
      [
        ['/p/1', '/p/1'],
        ['/p/2', '/p/2'],
      ],
    )
    t.equal(page.more, true)
    t.same(await store.range('/p/1', '/p/1', 10), { entries: [], more: false })
  })

  withStore('operations apply in their order, a removed range included', async (t, store) => {
    await store.transact([], [put('/l/1', 'a'), put('/l/2', 'b'), put('/l/3', 'c')])
    await store.transact(
      [],
      [{ kind: 'removeRange', from: '/l/1', to: '/l/3' }, put('/l/2', 'again')],
    )
    const { entries } = await store.range('/l/', '/l0', 10)
    t.same(
      entries.map(({ key, value }) => `${key}=${Buffer.from(value).toString()}`),
      ['/l/2=again', '/l/3=c'],
    )
  })

  withStore('a value read is not changed by a later write', async (t, store) => {
    await store.transact([], [put('/a', 'first')])
    const before = await store.get('/a')
    const ranged = await store.range('/a', '/b', 1)
    await store.transact([], [put('/a', 'later')])
    await store.get('/a')
    t.equal(Buffer.from(before?.value ?? []).toString(), 'first')
    t.equal(Buffer.from(ranged.entries[0]?.value ?? []).toString(), 'first')
  })

  withStore('values up to 400 KiB, and 100 operations at once', async (t, store) => {
    const large = Buffer.alloc(400 * 1024, 7)
    await store.transact([], [{ kind: 'put', key: '/large', value: large }])
    t.ok(large.equals(Buffer.from((await store.get('/large'))?.value ?? [])))
    const many = Array.from({ length: 100 }, (_, index) => put(`/m/${index}`, `${index}`))
    t.ok((await store.transact([], many)).ok)
    t.equal((await store.range('/m/', '/m0', 1000)).entries.length, 100)
  })

  withStore('of concurrent compare-and-swaps exactly one wins', async (t, store) => {
    const { revision } = await store.transact([], [put('/epoch', '0')])
    const attempts = Array.from({ length: 20 }, (_, index) =>
      store.transact([{ key: '/epoch', revision }], [put('/epoch', `${index}`)]),
    )
    const results = await Promise.all(attempts)
    t.equal(results.filter(({ ok }) => ok).length, 1)
  })

  withStore('1000 random transactions give what a model gives', async (t, store) => {
    const seed = testSeed(20_261_120)
    t.comment(`seed ${seed}`)
    await againstModel(t, store, new SeededRandom(seed))
  })
}

const keySpace = Array.from({ length: 30 }, (_, index) => `/k/${String(index).padStart(2, '0')}`)

/** The model is a map; stale revisions are as likely as fresh ones. */
async function againstModel(t: Test, store: MetadataStore, random: SeededRandom): Promise<void> {
  const model = new Map<string, { value: string; revision: string }>()
  const old = new Map<string, string>()
  let mismatches = 0
  for (let round = 0; round < 1000; round++) {
    const comparisons: StoreComparison[] = Array.from({ length: random.below(3) }, () => {
      const key = random.pick(keySpace)
      const fresh = model.get(key)?.revision ?? '0'
      return { key, revision: random.chance(0.3) ? (old.get(key) ?? '0') : fresh }
    })
    const operations = Array.from({ length: 1 + random.below(4) }, () => anyOperation(random))
    const expected = comparisons.every(
      ({ key, revision }) => (model.get(key)?.revision ?? '0') === revision,
    )
    const result = await store.transact(comparisons, operations)
    if (result.ok !== expected) mismatches++
    if (result.ok) {
      for (const [key, { revision }] of model) old.set(key, revision)
      for (const operation of operations) applyTo(model, operation, result.revision)
    }
    if (round % 50 === 49) {
      const { entries } = await store.range('/k/', '/k0', 100)
      const got = entries.map(({ key, value, revision }) => [
        key,
        { value: Buffer.from(value).toString(), revision },
      ])
      t.same(
        got,
        [...model].toSorted(([one], [other]) => (one < other ? -1 : 1)),
      )
    }
  }
  t.equal(mismatches, 0)
}

function anyOperation(random: SeededRandom): StoreOperation {
  const key = random.pick(keySpace)
  const kind = random.below(10)
  if (kind < 6) return put(key, `value ${random.below(1000)}`)
  if (kind < 9) return { kind: 'remove', key }
  const other = random.pick(keySpace)
  return { kind: 'removeRange', from: key < other ? key : other, to: key < other ? other : key }
}

function applyTo(
  model: Map<string, { value: string; revision: string }>,
  operation: StoreOperation,
  revision: string,
): void {
  if (operation.kind === 'put') {
    model.set(operation.key, { value: Buffer.from(operation.value).toString(), revision })
  } else if (operation.kind === 'remove') {
    model.delete(operation.key)
  } else {
    for (const key of model.keys()) {
      if (key >= operation.from && key < operation.to) model.delete(key)
    }
  }
}
