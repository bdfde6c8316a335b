// How long a start takes after a clean stop, and what a broker holds that has nothing to do.
import { setTimeout as pause } from 'node:timers/promises'
import type { RunningPeer } from '../harness/peer.ts'
import type {
  Cell,
  OpenCell,
  Place,
  Sample,
  Scenario,
  Scope,
  Verified,
} from '../harness/scenario.ts'
import { Checksum } from '../load/checksum.ts'
import { Filling } from '../load/filling.ts'
import { Generator } from '../load/generator.ts'
import { makeTopic, uniqueName } from '../load/topics.ts'

interface Setting {
  readonly partitions: number
  /** Of so many topics; a request creates one. */
  readonly topics: number
  readonly expectedSeconds: number
  readonly openSeconds: number
  readonly readyRatio: number
  readonly scopes: readonly Scope[]
}

const settings: readonly Setting[] = [
  {
    partitions: 100,
    topics: 1,
    expectedSeconds: 4,
    openSeconds: 2,
    readyRatio: 0.07,
    scopes: ['quick', 'normal', 'full'],
  },
  {
    partitions: 10_000,
    topics: 10,
    expectedSeconds: 26,
    openSeconds: 40,
    readyRatio: 0.05,
    scopes: ['full'],
  },
]

const batch = { batchBytes: 1024, recordBytes: 512 }
/** Partitions that hold something, spread over all topics. */
const filledMax = 100
/** Memory is looked at when the start is over, not in the middle of its last turn. */
const settleMs = 1_000

export const start: Scenario = {
  name: 'start',
  summary:
    'Process start to the first Metadata answer after a clean stop, asked for every 5 ms; memory a second later; then the clean stop. A hundred partitions hold a batch, read back after every start.',
  cells: (scope) =>
    settings
      .filter(({ scopes }) => scopes.includes(scope))
      .map((setting) => cellOf(setting, scope)),
}

function cellOf(setting: Setting, scope: Scope): Cell {
  const { partitions, readyRatio, expectedSeconds, openSeconds } = setting
  const less = { better: 'less' } as const
  return {
    name: `partitions=${partitions}`,
    terms: { brokers: 1, durability: 'os' },
    figures: [
      {
        name: 'ready',
        unit: 'ms',
        key: 'readyMs',
        ...less,
        wanted: { against: 'kafka', ratio: readyRatio },
      },
      {
        name: 'memory when idle',
        unit: 'MB',
        key: 'residentMb',
        ...less,
        wanted: { against: 'kafka', ratio: 0.2 },
      },
      { name: 'CPU of the start', unit: 'ms', key: 'cpuMs', ...less },
      { name: 'clean stop', unit: 'ms', key: 'stopMs', ...less },
    ],
    expectedSeconds,
    openSeconds,
    // Kafka has 20 MB of sparse index files for each partition that is written to; few blocks of them are real.
    diskBytes: 50e6 + partitions * 20e3,
    roundsMax: partitions > 1000 ? 3 : 5,
    warmUps: partitions > 1000 || scope === 'quick' ? 0 : 1,
    refuses: (peer) => (peer.protocol === 'kafka' ? undefined : `it speaks ${peer.protocol}`),
    open: (place) => open(place, setting),
  }
}

async function open(place: Place, { partitions, topics }: Setting): Promise<OpenCell> {
  const running = await place.start()
  const generator = new Generator(place.processes)
  const fillings: Filling[] = []
  for (let count = 0; count < topics; count++) {
    const wanted = { name: uniqueName('start'), partitions: partitions / topics }
    const filling = new Filling(await makeTopic(running, wanted), batch)
    const filled = Math.min(filledMax, partitions) / topics
    const own = Array.from({ length: filled }, (_, partition) => partition)
    await filling.run(generator, { batchesEach: 1, partitions: own, depth: 5 })
    fillings.push(filling)
  }
  await running.stop()
  return { sample: () => sample({ place, running, generator, fillings }) }
}

interface Work {
  readonly place: Place
  readonly running: RunningPeer
  readonly generator: Generator
  readonly fillings: readonly Filling[]
}

async function sample({ place, running, generator, fillings }: Work): Promise<Sample> {
  const [node] = running.nodes
  const { value, interval } = await place.measure(running, [], async () => {
    const beganMs = performance.now()
    await node.restart()
    const readyMs = performance.now() - beganMs
    await pause(settleMs)
    return readyMs
  })
  const verified = merged(await verifyAll(generator, fillings))
  const stopMs = performance.now()
  await running.stop()
  return {
    figures: {
      readyMs: value,
      residentMb: interval.servers.residentBytes / 1e6,
      cpuMs: interval.servers.cpuMs,
      stopMs: performance.now() - stopMs,
    },
    interval,
    verified,
  }
}

async function verifyAll(generator: Generator, fillings: readonly Filling[]): Promise<Verified[]> {
  const results: Verified[] = []
  for (const filling of fillings) results.push(await filling.verify(generator))
  return results
}

export function merged(parts: readonly Verified[]): Verified {
  const sum = (of: (part: Verified) => number): number =>
    parts.reduce((total, part) => total + of(part), 0)
  return {
    expectedRecords: sum(({ expectedRecords }) => expectedRecords),
    foundRecords: sum(({ foundRecords }) => foundRecords),
    expectedChecksum: Checksum.of(parts.map(({ expectedChecksum }) => expectedChecksum)),
    foundChecksum: Checksum.of(parts.map(({ foundChecksum }) => foundChecksum)),
  }
}
