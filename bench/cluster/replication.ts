// How much three brokers on this machine take with acks=all, and what replication costs a single request.
import { createTopic } from '../lib/admin.ts'
import { batchOf } from '../lib/batches.ts'
import { ClusterProcess, type ClusterNode } from '../lib/cluster-process.ts'
import { Load } from '../lib/load.ts'
import { cpuMsOf } from '../lib/process-figures.ts'
import type { Row } from '../lib/report.ts'
import { pairs, quantile, spread } from '../lib/statistics.ts'
import { writeBack } from '../lib/work-folder.ts'
import { produceLoad } from './produce-load.ts'

const partitionCount = 3
const batchBytes = 65_536
const depth = 5
const requestsAlone = 500
const wantedMbPerSecond = 150
const wantedRatio = 3

interface Topic {
  readonly name: string
  /** Of each partition. */
  readonly leaders: readonly ClusterNode[]
}

export async function benchReplication(options: {
  folder: string
  rounds: number
  sampleBytes: number
}): Promise<Row[]> {
  const { folder, rounds, sampleBytes } = options
  const properties = { 'flush.policy': 'os' }
  return ClusterProcess.with({ folder, properties }, async (cluster) => {
    const [single, triple] = [await topicWith(cluster, 1), await topicWith(cluster, 3)]
    const loads = triple.leaders.map(() => new Load())
    const batch = batchOf(batchBytes, 1024)
    const count = Math.round(sampleBytes / partitionCount / batchBytes)
    const flood = async ({ name: topic, leaders }: Topic): Promise<Flood> => {
      writeBack(folder)
      const cpuMs = brokersCpuMs(cluster)
      const beganMs = performance.now()
      await Promise.all(
        loads.map((load, partition) => {
          const leader = leaders[partition] ?? cluster.broker(1)
          const request = produceLoad(leader, { topic, partition, batch })
          return load.run({ ...request, count, depth })
        }),
      )
      const megabytes = (count * partitionCount * batchBytes) / 1e6
      return {
        mbPerSecond: (megabytes * 1e3) / (performance.now() - beganMs),
        cpuMsPerGb: ((brokersCpuMs(cluster) - cpuMs) * 1e3) / megabytes,
      }
    }
    const p99 = async ({ name: topic, leaders: [leader] }: Topic): Promise<number> => {
      writeBack(folder)
      if (leader === undefined || loads[0] === undefined) throw new Error(`${topic} has no leader`)
      const target = { topic, partition: 0, batch }
      const { latenciesMs } = await loads[0].run({
        ...produceLoad(leader, target),
        count: requestsAlone,
        depth: 1,
      })
      return quantile(latenciesMs, 0.99)
    }
    try {
      const speeds = await pairs(
        rounds,
        () => flood(single),
        () => flood(triple),
      )
      const latencies = await pairs(
        rounds,
        () => p99(single),
        () => p99(triple),
      )
      return [...speedRows(speeds), ...latencyRows(latencies)]
    } finally {
      for (const load of loads) load.close()
    }
  })
}

async function topicWith(cluster: ClusterProcess, replicas: number): Promise<Topic> {
  const name = `replicas-${replicas}`
  await createTopic(cluster.broker(1), { name, partitions: partitionCount, replicas })
  await cluster.inSync(name, replicas)
  const partitions = (await cluster.partitions(name)) ?? []
  return { name, leaders: partitions.map(({ leaderId }) => cluster.broker(leaderId)) }
}

function brokersCpuMs({ brokers }: ClusterProcess): number {
  return brokers.reduce((sum, { processId }) => sum + cpuMsOf(processId), 0)
}

interface Flood {
  readonly mbPerSecond: number
  /** Of all brokers together. */
  readonly cpuMsPerGb: number
}

/** One replica, and three. */
interface Pairs<T> {
  readonly a: readonly T[]
  readonly b: readonly T[]
}

function speedRows({ a, b }: Pairs<Flood>): Row[] {
  const rowsOf = (floods: readonly Flood[], replicas: string, wanted?: number): Row[] => {
    const figures = spread(floods.map(({ mbPerSecond }) => mbPerSecond))
    const name = `64 KiB batches, acks=all, ${replicas}`
    const target =
      wanted === undefined ? undefined : { text: `>= ${wanted}`, met: figures.median >= wanted }
    const costs = spread(floods.map(({ cpuMsPerGb }) => cpuMsPerGb))
    return [
      { name, unit: 'MB/s', figures, ...(target && { target }) },
      { name: `CPU of the brokers, ${replicas}`, unit: 'ms/GB', figures: costs },
    ]
  }
  return [...rowsOf(a, '1 replica'), ...rowsOf(b, '3 replicas', wantedMbPerSecond)]
}

function latencyRows({ a, b }: Pairs<number>): Row[] {
  const [single, triple] = [spread(a), spread(b)]
  const target = {
    text: `<= ${wantedRatio} times that of 1 replica`,
    met: triple.median <= wantedRatio * single.median,
  }
  return [
    { name: 'p99 of a request alone, 1 replica', unit: 'ms', figures: single },
    { name: 'p99 of a request alone, 3 replicas', unit: 'ms', figures: triple, target },
  ]
}
