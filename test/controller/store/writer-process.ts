/** Writes numbers one by one and tells each that the store answered, until it is killed. */
import { createRealEnv } from '../../../base/real/real-env.ts'
import { LmdbStore } from '../../../controller/store/lmdb.ts'

const store = LmdbStore.open(process.argv[2] ?? '', createRealEnv().disk)
for (let index = 0; ; index++) {
  const value = Buffer.from(String(index))
  await store.transact([], [{ kind: 'put', key: '/n', value }])
  process.send?.(index)
}
