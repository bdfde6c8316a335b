// A follower that was away copies what it missed, while clients produce to its leader.
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { DescribeLogDirs } from '../../protocol/messages/describe-log-dirs.ts'
import { createTopic, send } from '../lib/admin.ts'
import { Bare } from '../lib/bare.ts'
import { batchOf } from '../lib/batches.ts'
import { ClusterProcess, type ClusterNode } from '../lib/cluster-process.ts'
import { Load } from '../lib/load.ts'
import type { Row } from '../lib/report.ts'
import { quantile, spread } from '../lib/statistics.ts'
import { eventually } from '../lib/waiting.ts'
import { writeBack } from '../lib/work-folder.ts'
import { produceLoad } from './produce-load.ts'

const topic = 'behind'
const partitionCount = 4
const [leaderId, otherId, followerId] = [1, 2, 3]
const fillBatchBytes = 2 ** 18
/** What clients send meanwhile: 1.6 MB/s. */
const probe = { batchBytes: 2 ** 14, everyMs: 10, count: 50 }
/** What the bare copy asks for at a time: a megabyte of each partition, as followers do. */
const chunkBytes = partitionCount * 2 ** 20
const pollMs = 25
const quietMs = 5000
const wantedShare = 0.7
const wantedRatio = 2

interface Sample {
  readonly mbPerSecond: number
  /** Of each probe at the leader meanwhile. */
  readonly latenciesMs: readonly number[]
}

export async function benchCatchUp(options: {
  folder: string
  rounds: number
  bytes: number
}): Promise<Row[]> {
  const { folder, rounds, bytes } = options
  const properties = { 'flush.policy': 'os' }
  return ClusterProcess.with({ folder, properties }, async (cluster) => {
    const bench = new CatchUp(cluster, folder)
    try {
      await bench.fill(bytes)
      const samples: Record<'quiet' | 'bare' | 'follower', Sample[]> = {
        quiet: [],
        bare: [],
        follower: [],
      }
      for (let round = 0; round < rounds; round++) {
        samples.quiet.push(await bench.probed(() => pause(quietMs, 0)))
        samples.bare.push(await bench.probed(() => bench.bareCopy(bytes)))
        samples.follower.push(await bench.probed(() => bench.follow(bytes)))
        if (round < rounds - 1) await bench.forget()
      }
      return rowsOf(samples, bytes)
    } finally {
      bench.close()
    }
  })
}

class CatchUp {
  readonly #cluster: ClusterProcess
  readonly #folder: string
  readonly #loads = Array.from({ length: partitionCount }, () => new Load())
  readonly #probing = new Load()
  readonly #copying = new Load()

  constructor(cluster: ClusterProcess, folder: string) {
    this.#cluster = cluster
    this.#folder = folder
  }

  get #leader(): ClusterNode {
    return this.#cluster.broker(leaderId)
  }

  get #follower(): ClusterNode {
    return this.#cluster.broker(followerId)
  }

  close(): void {
    for (const load of [...this.#loads, this.#probing, this.#copying]) load.close()
  }

  /** The follower is away from before the first record. */
  async fill(bytes: number): Promise<void> {
    const brokerIds = [leaderId, otherId, followerId]
    await createTopic(this.#leader, { name: topic, partitions: partitionCount, brokerIds })
    await this.#cluster.inSync(topic)
    await this.#follower.stop()
    await this.#isAway()
    const batch = batchOf(fillBatchBytes, 1024)
    const count = Math.ceil(bytes / partitionCount / fillBatchBytes)
    await Promise.all(
      this.#loads.map((load, partition) => {
        const target = { topic, partition, batch }
        return load.run({ ...produceLoad(this.#leader, target), count, depth: 2 })
      }),
    )
  }

  /** Loses everything, and is away. */
  async forget(): Promise<void> {
    await this.#follower.kill()
    this.#follower.loseDisk()
    await this.#isAway()
  }

  /** The others wait for it no longer. */
  async #isAway(): Promise<void> {
    await eventually('the follower is out of sync', async () => {
      const partitions = (await this.#cluster.partitions(topic)) ?? []
      return partitions.every(({ inSyncIds }) => !inSyncIds.includes(followerId))
    })
  }

  /** Requests come at their times all the while that `act` takes. */
  async probed(act: () => Promise<number>): Promise<Sample> {
    writeBack(this.#folder)
    const batch = batchOf(probe.batchBytes, 1024)
    const request = produceLoad(this.#leader, { topic, partition: 0, batch })
    const { everyMs, count } = probe
    const latenciesMs: number[] = []
    const acting = { isOver: false }
    const probing = async (): Promise<void> => {
      while (!acting.isOver) {
        const result = await this.#probing.run({ ...request, count, everyMs, depth: 100 })
        latenciesMs.push(...result.latenciesMs)
      }
    }
    const probes = probing()
    try {
      return { mbPerSecond: await act(), latenciesMs }
    } finally {
      acting.isOver = true
      await probes
    }
  }

  /** A Node process writes to a file what another one sends of the leader's own: one answer after the other. */
  async bareCopy(bytes: number): Promise<number> {
    const sink = join(this.#folder, 'copy')
    const bare = await Bare.start({
      kind: 'serve',
      path: firstSegment(this.#leader.dataFolder),
      chunkBytes,
      headerBytes: 64,
    })
    try {
      const frame = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0])
      const { host, port } = bare
      const count = Math.ceil(bytes / chunkBytes)
      const load = { host, port, frames: [frame], count, depth: 1, check: undefined, sink }
      const { elapsedMs, receivedBytes } = await this.#copying.run(load)
      return receivedBytes / 1e3 / elapsedMs
    } finally {
      bare.close()
      // So that the follower does not wait for the disk in its stead.
      rmSync(sink, { force: true })
    }
  }

  /** The follower comes back: from its first byte until it has what was there then. */
  async follow(bytes: number): Promise<number> {
    const starting = this.#follower.start()
    let first: { readonly atMs: number; readonly bytes: number } | undefined
    for (;;) {
      const present = await this.#followerBytes()
      const atMs = performance.now()
      if (present > 0) first ??= { atMs, bytes: present }
      if (first !== undefined && present >= bytes) {
        await starting
        await this.#cluster.inSync(topic)
        return (present - first.bytes) / 1e3 / (atMs - first.atMs)
      }
      await pause(pollMs)
    }
  }

  async #followerBytes(): Promise<number> {
    try {
      const { results } = await send(this.#follower, DescribeLogDirs, 1, { topics: null })
      return results
        .flatMap(({ topics }) => topics.filter(({ name }) => name === topic))
        .flatMap(({ partitions }) => partitions.map(({ partitionSize }) => Number(partitionSize)))
        .reduce((sum, size) => sum + size, 0)
    } catch (error) {
      // It does not listen yet.
      if (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED') return 0
      throw error
    }
  }
}

function firstSegment(dataFolder: string): string {
  const partition = join(dataFolder, `${topic}-0`)
  const [name] = readdirSync(partition)
    .filter((file) => file.endsWith('.log'))
    .toSorted()
  return join(partition, name ?? '')
}

function rowsOf(
  samples: Readonly<Record<'quiet' | 'bare' | 'follower', readonly Sample[]>>,
  bytes: number,
): Row[] {
  const speed = (list: readonly Sample[]): Row['figures'] =>
    spread(list.map(({ mbPerSecond }) => mbPerSecond))
  const p99 = (list: readonly Sample[]): Row['figures'] =>
    spread(list.map(({ latenciesMs }) => quantile(latenciesMs, 0.99)))
  const [bare, follower] = [speed(samples.bare), speed(samples.follower)]
  const [quiet, meanwhile] = [p99(samples.quiet), p99(samples.follower)]
  const gib = bytes / 2 ** 30
  return [
    { name: `bare copy of ${gib} GiB`, unit: 'MB/s', figures: bare },
    {
      name: `follower ${gib} GiB behind catches up`,
      unit: 'MB/s',
      figures: follower,
      target: {
        text: `>= ${wantedShare} of the bare copy (${(follower.median / bare.median).toFixed(2)})`,
        met: follower.median >= wantedShare * bare.median,
      },
    },
    { name: 'produce p99 without', unit: 'ms', figures: quiet },
    { name: 'produce p99 during the bare copy', unit: 'ms', figures: p99(samples.bare) },
    {
      name: 'produce p99 while it catches up',
      unit: 'ms',
      figures: meanwhile,
      target: {
        text: `<= ${wantedRatio} times that without (${(meanwhile.median / quiet.median).toFixed(1)})`,
        met: meanwhile.median <= wantedRatio * quiet.median,
      },
    },
  ]
}
