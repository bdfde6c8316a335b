import t from 'tap'
import { MemoryStore } from '../../../controller/store/memory.ts'
import { AmbiguousError, StoreError } from '../../../controller/store/metadata-store.ts'
import { storeConformance } from './conformance.ts'

storeConformance(t, () => new MemoryStore())

t.test('memory store: a refused transaction leaves nothing behind', async (t) => {
  const store = new MemoryStore()
  store.setFate(() => 'refused')
  await t.rejects(
    store.transact([], [{ kind: 'put', key: '/a', value: Buffer.from('x') }]),
    StoreError,
  )
  t.equal(await store.get('/a'), undefined)
})

t.test('memory store: a lost answer is of a transaction that was applied', async (t) => {
  const store = new MemoryStore()
  store.setFate(() => 'answerLost')
  await t.rejects(
    store.transact([], [{ kind: 'put', key: '/a', value: Buffer.from('x') }]),
    AmbiguousError,
  )
  t.equal((await store.get('/a'))?.value.toString(), 'x')
})

t.test('memory store: has the limits of the smallest real store', async (t) => {
  const store = new MemoryStore()
  const operations = Array.from({ length: store.limits.operationsMax + 1 }, (_, index) => ({
    kind: 'remove' as const,
    key: `/${index}`,
  }))
  await t.rejects(store.transact([], operations), StoreError)
})
