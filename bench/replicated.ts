// How much three brokers on this machine take with acks=all, and what replication costs a single request.
import { createTopics } from '../test/clients/admin.ts'
import { ClusterProcess } from '../test/clients/cluster-process.ts'
import { encodeRequest } from '../protocol/headers.ts'
import { Produce } from '../protocol/messages/produce.ts'
import { batchOf } from './lib/batches.ts'
import { Load } from './lib/load.ts'
import { publish, type Row } from './lib/report.ts'
import { spread } from './lib/statistics.ts'
import { withFolder, writeBack } from './lib/work-folder.ts'

const version = 12
const batchBytes = 65_536
const depth = 5
const wantedMbPerSecond = 150
const wantedLatencyRatio = 3

export async function benchReplicated(options: { rounds: number; quick: boolean }): Promise<void> {
  await withFolder(async (directory) => {
    const properties = { 'flush.policy': 'os' }
    const cluster = await ClusterProcess.start({ directory, properties })
    try {
      for (const replicationFactor of [1, 3]) {
        const topic = nameOf(replicationFactor)
        const wanted = { topic, numPartitions: 3, replicationFactor }
        await createTopics(cluster.bootstrap, [wanted])
      }
      await cluster.inSync(nameOf(3))
      const bench = new Replicated(cluster, directory)
      await bench.throughput(options.rounds, options.quick ? 2 ** 27 : 2 ** 28)
      await bench.latency(options.rounds)
      bench.close()
    } finally {
      await cluster.kill()
    }
  })
}

function nameOf(replicationFactor: number): string {
  return `replicas-${replicationFactor}`
}

class Replicated {
  readonly #cluster: ClusterProcess
  readonly #folder: string
  /** One for each partition. */
  readonly #loads = [new Load(), new Load(), new Load()]
  readonly #batch = batchOf(batchBytes, 1024)

  constructor(cluster: ClusterProcess, folder: string) {
    this.#cluster = cluster
    this.#folder = folder
  }

  close(): void {
    for (const load of this.#loads) load.close()
  }

  async throughput(rounds: number, sampleBytes: number): Promise<void> {
    const count = Math.floor(sampleBytes / 3 / batchBytes)
    const rows: Row[] = []
    for (const replicationFactor of [1, 3]) {
      const samples: number[] = []
      for (let round = 0; round <= rounds; round++) {
        const beganMs = performance.now()
        await Promise.all(
          this.#loads.map((_, partition) => this.#run(replicationFactor, partition, count, depth)),
        )
        const seconds = (performance.now() - beganMs) / 1000
        // The first one warms up.
        if (round > 0) samples.push((count * 3 * batchBytes) / 1e6 / seconds)
        writeBack(this.#folder)
      }
      const figures = spread(samples)
      const met = figures.median >= wantedMbPerSecond
      const target = replicationFactor === 3 ? { text: `>= ${wantedMbPerSecond}`, met } : undefined
      const name = `${replicationFactor} replicas, acks=all`
      rows.push({ name, unit: 'MB/s', figures, ...(target === undefined ? {} : { target }) })
    }
    publish({ name: 'produce to three brokers', setting: { batchBytes, depth, sampleBytes }, rows })
  }

  /** One request at a time to one partition. */
  async latency(rounds: number): Promise<void> {
    const perRound = 100
    const samples = new Map<number, number[]>([
      [1, []],
      [3, []],
    ])
    for (let round = 0; round < rounds * 2; round++) {
      for (const [replicationFactor, latencies] of samples) {
        for (let request = 0; request < perRound; request++) {
          const { elapsedMs } = await this.#run(replicationFactor, 0, 1, 1)
          latencies.push(elapsedMs)
        }
      }
    }
    const rows: Row[] = []
    let single = NaN
    for (const [replicationFactor, latencies] of samples) {
      const sorted = latencies.toSorted((one, other) => one - other)
      const at = sorted[Math.floor(sorted.length * 0.99)] ?? NaN
      if (replicationFactor === 1) single = at
      const met = at <= wantedLatencyRatio * single
      const target = { text: `p99 <= ${wantedLatencyRatio} times that of 1 replica`, met }
      const figures = { ...spread(sorted), most: at }
      rows.push({ name: `${replicationFactor} replicas, p99 as max`, unit: 'ms', figures, target })
    }
    publish({ name: 'one produce request', setting: { batchBytes, depth: 1 }, rows })
  }

  async #run(
    replicationFactor: number,
    partition: number,
    count: number,
    requests: number,
  ): Promise<{ elapsedMs: number }> {
    const topic = nameOf(replicationFactor)
    const load = this.#loads[partition]
    const leaderId = (await this.#leaders(topic))[partition] ?? -1
    if (load === undefined) throw new Error(`nobody loads partition ${partition}`)
    const { host, port } = this.#cluster.broker(leaderId)
    const request = {
      transactionalId: null,
      acks: -1,
      timeoutMs: 30_000,
      topicData: [{ name: topic, partitionData: [{ index: partition, records: this.#batch }] }],
    }
    const frames = [encodeRequest(Produce, version, 1, 'bench', request).finish()]
    const check = { api: 'produce' as const, version }
    return load.run({ host, port, frames, count, depth: requests, check })
  }

  readonly #leadersByTopic = new Map<string, readonly number[]>()

  async #leaders(topic: string): Promise<readonly number[]> {
    const known = this.#leadersByTopic.get(topic)
    if (known !== undefined) return known
    const views = await this.#cluster.partitions(topic)
    const leaders = views?.map(({ leaderId }) => leaderId) ?? []
    this.#leadersByTopic.set(topic, leaders)
    return leaders
  }
}
