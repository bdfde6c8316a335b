// A steady load for a long time: what grows.
import { readdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { descendants } from '../harness/process-group.ts'
import type { RunningPeer } from '../harness/peer.ts'
import type { Cell, OpenCell, Place, Sample, Scenario, Scope } from '../harness/scenario.ts'
import { Filling } from '../load/filling.ts'
import { Generator } from '../load/generator.ts'
import { makeTopic, uniqueName } from '../load/topics.ts'
import { residentBytesOf } from './connections.ts'
import { boundBy } from './produce.ts'
import { merged } from './start.ts'

const mebibyte = 2 ** 20
const batch = { batchBytes: 65_536, recordBytes: 1024 }
/** 20 MB/s: what two cores that also carry the clients sustain without being full. */
const bytesPerSecond = 20 * mebibyte
const partitions = 4
/** At scale 1; 90 times that, half an hour, with `--secs 90`. */
const seconds = 20
const secondsMax = 3_600
const retention = { 'segment.bytes': `${16 * mebibyte}`, 'retention.bytes': `${32 * mebibyte}` }

export const soak: Scenario = {
  name: 'soak',
  summary:
    'A steady 20 MB/s in 64 KiB batches to 4 partitions that keep 32 MiB each, every second read back at once by raw fetches with all CRCs computed; the slope of the resident memory over the second half, and open files.',
  cells: (scope, scale) => (hasSoak(scope) ? [cellOf(Math.min(seconds * scale, secondsMax))] : []),
}

function hasSoak(scope: Scope): boolean {
  return scope === 'full'
}

function cellOf(lasting: number): Cell {
  return {
    name: `rate=20MB/s seconds=${Math.round(lasting)}`,
    terms: {
      brokers: 1,
      durability: 'os',
      properties: {
        'log.retention.check.interval.ms': 1_000,
        'log.segment.delete.delay.ms': 1_000,
      },
    },
    figures: [
      { name: 'memory grows', unit: 'MB/min', key: 'residentMbPerMinute', better: 'less' },
      { name: 'memory at most', unit: 'MB', key: 'residentMbMax', better: 'less' },
      { name: 'open files at the end', unit: '', key: 'openFiles', better: 'less' },
      { name: 'CPU', unit: 'cores', key: 'cores', better: 'less' },
      { name: 'rate that was kept', unit: 'MB/s', key: 'mbPerSecond', better: 'more' },
    ],
    expectedSeconds: lasting + 5,
    openSeconds: 2,
    diskBytes: 2 * partitions * 64 * mebibyte,
    roundsMax: 1,
    warmUps: 0,
    refuses: (peer) => (peer.protocol === 'kafka' ? undefined : `it speaks ${peer.protocol}`),
    open: (place) => {
      const generator = new Generator(place.processes)
      const opened: OpenCell = { sample: () => sample(place, generator, lasting) }
      return Promise.resolve(opened)
    },
  }
}

interface Look {
  readonly atMs: number
  readonly residentMb: number
}

async function sample(place: Place, generator: Generator, lasting: number): Promise<Sample> {
  const running = await place.running()
  const topic = await makeTopic(running, {
    name: uniqueName('soak'),
    partitions,
    configs: retention,
  })
  const filling = new Filling(topic, batch)
  const { value, interval } = await place.measure(running, [generator.processId], () =>
    steady({ place, running, generator, filling, lasting }),
  )
  const { looks, verified, bytes } = value
  return {
    figures: {
      residentMbPerMinute: slopePerMinute(looks.slice(looks.length >> 1)),
      residentMbMax: Math.max(...looks.map(({ residentMb }) => residentMb)),
      openFiles: openFilesOf(running),
      cores: interval.servers.cpuMs / interval.wallMs,
      mbPerSecond: bytes / 1e3 / interval.wallMs,
    },
    interval,
    verified,
    notes: boundBy(interval),
  }
}

async function steady(options: {
  readonly place: Place
  readonly running: RunningPeer
  readonly generator: Generator
  readonly filling: Filling
  readonly lasting: number
}): Promise<{ looks: Look[]; verified: Sample['verified']; bytes: number }> {
  const { place, running, generator, filling, lasting } = options
  const batchesEach = Math.round(bytesPerSecond / partitions / batch.batchBytes)
  const looks: Look[] = []
  const parts: Sample['verified'][] = []
  const beganMs = performance.now()
  for (let second = 0; second < lasting; second++) {
    place.signal.throwIfAborted()
    await filling.run(generator, { batchesEach, depth: 5 })
    parts.push(await filling.verifyNew(generator))
    looks.push({ atMs: performance.now(), residentMb: residentBytesOf(running) / 1e6 })
    const nextMs = beganMs + (second + 1) * 1_000
    await pause(Math.max(nextMs - performance.now(), 0))
  }
  const bytes = looks.length * batchesEach * partitions * batch.batchBytes
  return { looks, verified: merged(parts), bytes }
}

/** By least squares. */
function slopePerMinute(looks: readonly Look[]): number {
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length
  const [atMs, residentMb] = [
    mean(looks.map((look) => look.atMs)),
    mean(looks.map((look) => look.residentMb)),
  ]
  let [covariance, variance] = [0, 0]
  for (const look of looks) {
    covariance += (look.atMs - atMs) * (look.residentMb - residentMb)
    variance += (look.atMs - atMs) ** 2
  }
  return variance === 0 ? 0 : (covariance / variance) * 60_000
}

function openFilesOf(running: RunningPeer): number {
  return descendants(running.processIds())
    .map((processId) => readdirSync(`/proc/${processId}/fd`).length)
    .reduce((sum, count) => sum + count, 0)
}
