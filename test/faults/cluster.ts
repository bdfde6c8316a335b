/**
 * A cluster of real processes under faults: `node cluster.js FAULT [COUNT] [SECONDS]`.
 *
 * FAULT is kill, crash (several at once), stop, cut, power, power-all, full, eio or mixed; it ends after COUNT faults (default
 * 5) or SECONDS. SEED=n explores; FLUSH=ack or os; VERBOSE=1 tells of every fault; KEEP=1 leaves folders behind.
 * Exit code 1 when anything acknowledged was lost, doubled, reordered or changed, replicas differ, or a partition
 * took no records for too long. All but kill, crash and stop need root.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { ClusterProcess, controllerId } from '../clients/cluster-process.ts'
import type { NodePlace } from '../clients/cluster-process.ts'
import { temporaryDirectory } from '../clients/places.ts'
import { Random } from '../clients/random.ts'
import { ClusterDisks } from './cluster-disks.ts'
import { faults, isFaultName, needsDisks, needsNetwork, needsSync } from './cluster-faults.ts'
import type { FaultName } from './cluster-faults.ts'
import { offsetsPartitionCount } from './cluster-group.ts'
import { ClusterNetwork } from './cluster-network.ts'
import { clusterRun } from './cluster-run.ts'
import type { ClusterReport } from './cluster-run.ts'

/** Characters of what each process wrote last, for a run that could not go on. */
const outputTailLength = 20_000
const nodeIds = [1, 2, 3, controllerId]
const [name = 'kill', count = '5', seconds = 'Infinity'] = process.argv.slice(2)
if (!isFaultName(name)) throw new Error(`${name} is none of ${Object.keys(faults).join(', ')}`)
const seed = Number(process.env['SEED'] ?? 1)
console.log(`${name}: ${count} faults, SEED=${seed}`)
const began = performance.now()
const report = await run(name)
console.log(JSON.stringify(report, undefined, 2))
const tookSeconds = ((performance.now() - began) / 1000).toFixed(0)
console.log(
  `${name}: ${report.faults} faults (${report.effective} effective) in ${tookSeconds} s, ` +
    `${report.acknowledgedCount} records acknowledged, ${report.violations} violations`,
)
process.exit(report.violations === 0 && report.effective >= report.faults * 0.8 ? 0 : 1)

async function run(fault: FaultName): Promise<ClusterReport> {
  const folder = temporaryDirectory(`cluster-${fault}`)
  const network = needsNetwork(fault) ? await ClusterNetwork.create(nodeIds) : undefined
  const disks = needsDisks(fault) ? await ClusterDisks.create(folder.path, nodeIds) : undefined
  const place = (id: number): NodePlace => ({
    host: network?.hostOf(id) ?? '127.0.0.1',
    dataDirectory: disks?.dataDirectory(id) ?? join(folder.path, `node-${id}`),
    prefix: [...(network?.prefixOf(id) ?? []), ...(disks?.prefixOf(id) ?? [])],
  })
  const flushPolicy = process.env['FLUSH'] ?? (needsSync(fault) ? 'ack' : 'os')
  const properties = {
    'flush.policy': flushPolicy,
    'offsets.topic.num.partitions': `${offsetsPartitionCount}`,
    // Else a connection that was cut waits for TCP's next retransmission, for as long as the cut lasted.
    'replica.lag.time.max.ms': '10000',
    'replica.socket.timeout.ms': '5000',
  }
  const cluster = await ClusterProcess.create({ directory: folder.path, properties, place })
  process.once('exit', () => cluster.killAtOnce())
  try {
    await cluster.startAll()
    return await clusterRun({
      stage: { cluster, random: new Random(seed), network, disks },
      faults: faults[fault],
      count: Number(count),
      forMs: Number(seconds) * 1000,
      log(text) {
        if (process.env['VERBOSE'] === '1') console.log(text)
      },
    })
  } catch (error) {
    for (const node of cluster.nodes) {
      console.log(`process ${node.id}:\n${node.errorOutput().slice(-outputTailLength)}`)
    }
    throw error
  } finally {
    await cluster.kill()
    if (process.env['KEEP'] === '1') {
      for (const node of cluster.nodes) {
        writeFileSync(join(folder.path, `node-${node.id}.log`), node.errorOutput())
      }
    } else {
      await disks?.remove()
    }
    await network?.remove()
    folder.remove()
  }
}
