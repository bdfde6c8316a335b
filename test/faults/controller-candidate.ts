/**
 * A candidate for the controller's seat on etcd, started by `controller-etcd.ts`: while it reigns it commits one record
 * after another, each with a name of its own, and tells which were acknowledged. Arguments: node id, endpoints.
 */
import { silentLogger } from '../../base/logger.ts'
import { createRealEnv } from '../../base/real/real-env.ts'
import { MetadataWriter } from '../../controller/metadata-writer.ts'
import { EtcdStore } from '../../controller/store/etcd.ts'

const [nodeIdText = '', endpoints = '', silenceText = '4000'] = process.argv.slice(2)
const env = createRealEnv()
const nodeId = Number(nodeIdText)
const writer = await MetadataWriter.open({
  env,
  store: new EtcdStore({ env, endpoints: endpoints.split(',') }),
  logger: silentLogger,
  nodeId,
  candidacy: { silenceMs: Number(silenceText), pollMs: 300 },
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
  await new Promise((resolve) => setTimeout(resolve, 10))
}
