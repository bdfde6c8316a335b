import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createRealEnv } from '../../../base/real/real-env.ts'
import { LmdbStore } from '../../../controller/store/lmdb.ts'
import { StoreError } from '../../../controller/store/metadata-store.ts'
import { storeConformance } from './conformance.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-lmdb-'))
const { disk } = createRealEnv()
let count = 0
const freshPath = (): string => join(folder, `store${count++}.mdb`)
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

storeConformance(t, () => LmdbStore.open(freshPath(), disk))

t.test('lmdb: what was written is there after it is opened again', async (t) => {
  const path = freshPath()
  const first = LmdbStore.open(path, disk)
  const { revision } = await first.transact(
    [],
    [{ kind: 'put', key: '/a', value: Buffer.from('x') }],
  )
  await first.close()
  const second = LmdbStore.open(path, disk)
  t.teardown(() => second.close())
  t.equal((await second.get('/a'))?.revision, revision)
  const next = await second.transact([], [{ kind: 'put', key: '/b', value: Buffer.from('y') }])
  t.equal(Number(next.revision), Number(revision) + 1)
})

t.test('lmdb: nobody but its user may read the files', async (t) => {
  const path = freshPath()
  const store = LmdbStore.open(path, disk)
  t.teardown(() => store.close())
  for (const file of [path, `${path}-lock`]) t.equal(statSync(file).mode & 0o777, 0o600, file)
})

t.test('lmdb: a file that is something else is refused with its path', async (t) => {
  const path = freshPath()
  writeFileSync(path, 'no database'.repeat(2000))
  t.throws(() => LmdbStore.open(path, disk), StoreError)
  t.throws(() => LmdbStore.open(path, disk), { message: new RegExp(path) })
})

t.test('lmdb: a file of which only the beginning is left is refused', async (t) => {
  const path = freshPath()
  await LmdbStore.open(path, disk).close()
  truncateSync(path, 4096)
  t.throws(() => LmdbStore.open(path, disk), { code: 'DAMAGED' })
  truncateSync(path, 10)
  t.throws(() => LmdbStore.open(path, disk), { code: 'DAMAGED' })
  truncateSync(path, 0)
  await LmdbStore.open(path, disk).close()
})

t.test('lmdb: after kill -9 everything that was answered is there', async (t) => {
  const path = freshPath()
  for (let cycle = 0; cycle < 5; cycle++) {
    const child = fork(new URL('writer-process.js', import.meta.url), [path])
    let answered = -1
    child.on('message', (index: number) => {
      answered = index
      if (index >= 20 + cycle) child.kill('SIGKILL')
    })
    await once(child, 'exit')
    t.equal(child.signalCode, 'SIGKILL')
    t.ok(answered >= 20 + cycle, `${answered} were answered`)
    const store = LmdbStore.open(path, disk)
    const stored = Number(Buffer.from((await store.get('/n'))?.value ?? []).toString())
    t.ok(stored >= answered, `stored ${stored}, answered ${answered}`)
    await store.close()
  }
})
