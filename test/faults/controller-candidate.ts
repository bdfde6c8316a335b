/**
 * A controller, started by `controller-etcd.ts` and `controller-lmdb.ts`: while it reigns it commits one record after another,
 * each with a name of its own, and tells which were acknowledged. Arguments: node id, endpoints of etcd or lmdb:PATH.
 */
import { silentLogger } from '../../base/logger.ts'
import { createRealEnv } from '../../base/real/real-env.ts'
import { MetadataWriter } from '../../controller/metadata-writer.ts'
import { EtcdStore } from '../../controller/store/etcd.ts'
import { LmdbStore } from '../../controller/store/lmdb.ts'

const [nodeIdText = '', place = ''] = process.argv.slice(2)
const env = createRealEnv()
const nodeId = Number(nodeIdText)
const isLmdb = place.startsWith('lmdb:')
const writer = await MetadataWriter.open({
  env,
  store: isLmdb
    ? LmdbStore.open(place.slice('lmdb:'.length), env.disk)
    : new EtcdStore({ env, endpoints: place.split(',') }),
  logger: silentLogger,
  nodeId,
  ...(isLmdb ? {} : { candidacy: { silenceMs: 4000, pollMs: 300 } }),
  // The checker reads the whole log.
  snapshotBatches: 1e9,
  snapshotBytes: 1e12,
  onFenced: (reason) => {
    process.send?.({ fatal: reason })
  },
})
const tell = (): void =>
  void process.send?.({ state: writer.state, epoch: writer.image.controllerEpoch })
writer.subscribeState(tell)
tell()
let stopping = false
process.on('SIGTERM', () => {
  stopping = true
  void writer.close().then(() => process.exit(0))
})
process.on('disconnect', () => process.exit(0))

for (let count = 0; !stopping; count++) {
  if (writer.state === 'reigning') {
    const name = `${nodeId}-${process.pid}-${count}`
    const answer = await writer.commit({
      records: [{ type: 'feature', name, level: 1 }],
      answer: { ok: true },
    })
    if (answer.ok) process.send?.({ acknowledged: name })
  }
  await new Promise((resolve) => setTimeout(resolve, isLmdb ? 0 : 10))
}
