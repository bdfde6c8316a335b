// The store on a real etcd of one member. Skipped where there is none.
import t from 'tap'
import { createRealEnv } from '../../../base/real/real-env.ts'
import { EtcdStore } from '../../../controller/store/etcd.ts'
import { hasEtcd, startEtcd, type EtcdCluster } from '../../support/etcd.ts'
import { storeConformance } from './conformance.ts'

const env = createRealEnv()

if (!hasEtcd) {
  t.test('etcd: a store as the others', { skip: 'there is no etcd here' }, () => undefined)
} else {
  const cluster: EtcdCluster = await startEtcd()
  const { endpoints } = cluster
  const open = (): EtcdStore => new EtcdStore({ env, endpoints })
  t.teardown(() => cluster.stop())
  storeConformance(t, async () => {
    const store = open()
    await store.transact([], [{ kind: 'removeRange', from: '/', to: '0' }])
    return store
  })
}
