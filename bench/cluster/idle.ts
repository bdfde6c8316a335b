// What brokers cost that have partitions and no clients.
import { setTimeout as pause } from 'node:timers/promises'
import { createTopic } from '../lib/admin.ts'
import { ClusterProcess } from '../lib/cluster-process.ts'
import { cpuMsOf } from '../lib/process-figures.ts'
import type { Row } from '../lib/report.ts'
import { spread } from '../lib/statistics.ts'

const topicCount = 10
const partitionsPerTopic = 100
/** Compilers and collectors are busy for so long with what the creation left. */
const settleMs = 60_000
const wantedPercent = 1

export async function benchIdle(options: { folder: string; sampleMs: number }): Promise<Row[]> {
  const { folder, sampleMs } = options
  return ClusterProcess.with({ folder }, async (cluster) => {
    const names = Array.from({ length: topicCount }, (_, index) => `idle-${index}`)
    for (const name of names) {
      const topic = { name, partitions: partitionsPerTopic, replicas: 3 }
      await createTopic(cluster.broker(1), topic)
    }
    for (const name of names) await cluster.inSync(name)
    await pause(settleMs)
    const nodes = [...cluster.brokers, cluster.controller]
    const before = nodes.map(({ processId }) => cpuMsOf(processId))
    const beganMs = performance.now()
    await pause(sampleMs)
    const elapsedMs = performance.now() - beganMs
    const percents = nodes.map(
      ({ processId }, index) => ((cpuMsOf(processId) - (before[index] ?? NaN)) / elapsedMs) * 100,
    )
    const brokers = spread(percents.slice(0, cluster.brokers.length))
    const partitions = topicCount * partitionsPerTopic
    return [
      {
        name: `idle broker, ${partitions} partitions, 3 replicas`,
        unit: '% of a core',
        figures: brokers,
        target: { text: `<= ${wantedPercent} each`, met: brokers.most <= wantedPercent },
      },
      { name: 'idle controller', unit: '% of a core', figures: spread(percents.slice(-1)) },
    ]
  })
}
