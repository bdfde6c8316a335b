// Three brokers on this machine: what they take with acks=all, and how long a partition is without a leader.
import { setTimeout as pause } from 'node:timers/promises'
import type { PeerNode } from '../harness/peer.ts'
import type { Cell, Figure, Place, Sample, Scenario } from '../harness/scenario.ts'
import { Filling } from '../load/filling.ts'
import { Generator } from '../load/generator.ts'
import {
  deleteTopic,
  leadersKnownTo,
  makeTopic,
  uniqueName,
  type Leader,
  type Topic,
} from '../load/topics.ts'
import { boundBy } from './produce.ts'
import { merged } from './start.ts'

const replicas = 3
const partitions = 3
const mebibyte = 2 ** 20
const small = { batchBytes: 65_536, recordBytes: 1024 }
const large = { batchBytes: mebibyte, recordBytes: 1024 }
const probeBatch = { batchBytes: 1024, recordBytes: 512 }
const floodBytes = 128 * mebibyte
const behindBytes = 128 * mebibyte
const pollMs = 10
const withinMs = 120_000

export const replication: Scenario = {
  name: 'replication',
  summary:
    'Three brokers and a controller, four processes; replication factor 3, acks=all, 64 KiB batches to three partitions with a leader each. Then kill -9 of a leader under single requests: the time to the first acknowledgement by another; and its return, 128 MiB behind. Everything acknowledged is read back.',
  cells: (scope, scale) =>
    scope === 'quick' ? [] : [flooded(scale), ...(scope === 'full' ? [failedOver()] : [])],
}

const common = {
  refuses: (peer: Place['peer']): string | undefined =>
    peer.protocol === 'kafka' ? undefined : `it speaks ${peer.protocol}`,
}

function flooded(scale: number): Cell {
  const bytes = Math.round(floodBytes * scale)
  return {
    ...common,
    name: 'brokers=3 replicas=3 acks=all request=64K partitions=3 depth=5',
    terms: {
      brokers: 3,
      durability: 'os',
      properties: { 'log.segment.delete.delay.ms': 1_000 },
    },
    figures: [
      {
        name: 'throughput',
        unit: 'MB/s',
        key: 'mbPerSecond',
        better: 'more',
        wanted: { against: 'kafka', ratio: 1.5 },
      },
      { name: 'per core of all brokers', unit: 'MB/s', key: 'mbPerCpuSecond', better: 'more' },
      { name: 'memory of all', unit: 'MB', key: 'residentMb', better: 'less' },
    ],
    expectedSeconds: 12 * Math.max(scale, 1),
    openSeconds: 5,
    diskBytes: 3 * 3 * bytes,
    roundsMax: 5,
    open: (place) => {
      const generators = Array.from({ length: partitions }, () => new Generator(place.processes))
      return Promise.resolve({ sample: () => flood(place, generators, bytes) })
    },
  }
}

async function flood(
  place: Place,
  generators: readonly Generator[],
  bytes: number,
): Promise<Sample> {
  const running = await place.running()
  const topic = await makeTopic(running, { name: uniqueName('flood'), partitions, replicas })
  const filling = new Filling(topic, small)
  const batchesEach = Math.max(Math.round(bytes / partitions / small.batchBytes), 1)
  const prepared = await Promise.all(
    generators.map((generator, partition) =>
      generator.prepare(filling.job({ batchesEach, partitions: [partition], depth: 5 })),
    ),
  )
  const clients = generators.map(({ processId }) => processId)
  const { value, interval } = await place.measure(running, clients, async () => {
    const beganMs = performance.now()
    await Promise.all(prepared.map((each) => each.go()))
    return performance.now() - beganMs
  })
  const [generator] = generators
  if (generator === undefined) throw new Error('There is no generator')
  const verified = await filling.verify(generator)
  await deleteTopic(running, topic.name)
  const megabytes = (batchesEach * partitions * small.batchBytes) / 1e6
  return {
    figures: {
      mbPerSecond: (megabytes * 1000) / value,
      mbPerCpuSecond: (megabytes * 1000) / interval.servers.cpuMs,
      residentMb: interval.servers.residentBytes / 1e6,
    },
    interval,
    verified,
    notes: boundBy(interval),
  }
}

function failedOver(): Cell {
  const less: Pick<Figure, 'better'> = { better: 'less' }
  return {
    ...common,
    name: 'kill -9 of a leader and its return 128 MiB behind',
    terms: { brokers: 3, durability: 'os' },
    figures: [
      { name: 'to the first acknowledgement by another', unit: 'ms', key: 'failoverMs', ...less },
      { name: 'from its start to in sync again', unit: 'ms', key: 'inSyncMs', ...less },
      {
        name: 'catching up, start included',
        unit: 'MB/s',
        key: 'catchUpMbPerSecond',
        better: 'more',
      },
    ],
    expectedSeconds: 13,
    openSeconds: 5,
    diskBytes: 3 * 3 * 2 * behindBytes,
    roundsMax: 3,
    warmUps: 0,
    open: (place) => {
      const generator = new Generator(place.processes)
      return Promise.resolve({ sample: () => failOver(place, generator) })
    },
  }
}

async function failOver(place: Place, generator: Generator): Promise<Sample> {
  const running = await place.running()
  const [first, second, victim] = running.nodes
  if (second === undefined || victim === undefined) throw new Error('There are not three brokers')
  const make = (...brokers: readonly PeerNode[]): Promise<Topic> => {
    const brokerIds = brokers.map(({ id }) => id)
    return makeTopic(running, { name: uniqueName('failover'), partitions: 1, replicas, brokerIds })
  }
  const led = new Filling(await make(victim, first, second), large)
  const behind = new Filling(await make(first, second, victim), large)
  await led.run(generator, { batchesEach: 16, depth: 5 })
  const { name } = led.topic
  const { value, interval } = await place.measure(running, [generator.processId], async () => {
    const beganMs = performance.now()
    await victim.kill()
    const probed = await untilAcknowledged(first, name, generator)
    return { failoverMs: performance.now() - beganMs, ...probed }
  })
  const { leaders, probeRecords } = value
  const ledFound = await led.verify(generator, { leaders, behindMax: [probeRecords] })
  await behind.run(generator, { batchesEach: behindBytes / large.batchBytes, depth: 5 })
  const beganMs = performance.now()
  await victim.restart()
  await until(async () => (await leadersKnownTo(first, behind.topic.name, replicas)).length > 0)
  const inSyncMs = performance.now() - beganMs
  const verified = merged([ledFound, await behind.verify(generator)])
  for (const { topic } of [led, behind]) await deleteTopic(running, topic.name)
  const { failoverMs } = value
  return {
    figures: { failoverMs, inSyncMs, catchUpMbPerSecond: behindBytes / 1e3 / inSyncMs },
    interval,
    verified,
  }
}

/** Sends to whom a survivor names, as often as it takes; gives who took it, and how much was sent at the most. */
async function untilAcknowledged(
  survivor: PeerNode,
  name: string,
  generator: Generator,
): Promise<{ leaders: Leader[]; probeRecords: number }> {
  const probes = new Map<number, ReturnType<Filling['job']>>()
  let leaders: Leader[] = []
  let [probeRecords, recordsPerProbe] = [0, 0]
  await until(async () => {
    leaders = await leadersKnownTo(survivor, name, 1)
    const [leader] = leaders
    if (leader === undefined) return false
    let job = probes.get(leader.port)
    if (job === undefined) {
      const probe = new Filling({ name, id: '', leaders }, probeBatch)
      job = probe.job({ batchesEach: 1, depth: 1 })
      probes.set(leader.port, job)
      recordsPerProbe = probe.recordsPerBatch
    }
    probeRecords += recordsPerProbe
    await generator.run(job)
    return true
  })
  return { leaders, probeRecords }
}

/** What throws is not so yet. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + withinMs
  for (;;) {
    try {
      if (await isSo()) return
    } catch (error) {
      if (performance.now() > deadlineMs) throw error
    }
    if (performance.now() > deadlineMs) throw new Error(`Not within ${withinMs} ms`)
    await pause(pollMs)
  }
}
