// How long a broker is away after kill -9.
import { mkdirSync, rmSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import type { RunningPeer } from '../harness/peer.ts'
import type { Cell, OpenCell, Place, Sample, Scenario, Scope } from '../harness/scenario.ts'
import { Filling } from '../load/filling.ts'
import { Generator } from '../load/generator.ts'
import { makeTopic, uniqueName, type Topic } from '../load/topics.ts'

const gibibyte = 2 ** 30
const batch = { batchBytes: 2 ** 20, recordBytes: 1024 }
/** What is sent after the return, to the last partition, behind all that is verified. */
const probeBatch = { batchBytes: 1024, recordBytes: 512 }
const attemptEveryMs = 5
const producesWithinMs = 120_000

interface Setting {
  readonly gib: number
  readonly partitions: number
  readonly expectedSeconds: number
  readonly wanted?: number
  readonly scopes: readonly Scope[]
}

const settings: readonly Setting[] = [
  { gib: 1, partitions: 1, expectedSeconds: 15, scopes: ['normal'] },
  { gib: 4, partitions: 1, expectedSeconds: 44, wanted: 0.05, scopes: ['full'] },
  { gib: 0.5, partitions: 100, expectedSeconds: 15, scopes: ['normal'] },
]

export const recovery: Scenario = {
  name: 'recovery',
  summary:
    'kill -9 after so much was produced (data in the page cache), then process start to the first acknowledged produce, tried every few ms; a fresh folder for every sample. Everything acknowledged before the kill is read back, with the CRC of every batch computed.',
  cells: (scope) => settings.filter(({ scopes }) => scopes.includes(scope)).map(cellOf),
}

function cellOf(setting: Setting): Cell {
  const { gib, partitions, expectedSeconds, wanted } = setting
  const less = { better: 'less' } as const
  return {
    name: `data=${gib}GiB partitions=${partitions}`,
    terms: { brokers: 1, durability: 'os' },
    figures: [
      {
        name: 'to the first acknowledged produce',
        unit: 'ms',
        key: 'producesMs',
        ...less,
        ...(wanted !== undefined && { wanted: { against: 'kafka', ratio: wanted } }),
      },
      { name: 'to the first Metadata answer', unit: 'ms', key: 'readyMs', ...less },
      { name: 'CPU of the recovery', unit: 'ms', key: 'cpuMs', ...less },
    ],
    expectedSeconds,
    diskBytes: gib * gibibyte * 1.1,
    roundsMax: 3,
    warmUps: 0,
    refuses: (peer) => (peer.protocol === 'kafka' ? undefined : `it speaks ${peer.protocol}`),
    open: (place) => {
      const generator = new Generator(place.processes)
      const opened: OpenCell = { sample: () => sample(place, setting, generator) }
      return Promise.resolve(opened)
    },
  }
}

async function sample(place: Place, setting: Setting, generator: Generator): Promise<Sample> {
  rmSync(place.folder, { recursive: true, force: true })
  mkdirSync(place.folder, { recursive: true })
  const running = await place.start()
  try {
    const { gib, partitions } = setting
    const topic = await makeTopic(running, { name: uniqueName('recovery'), partitions })
    const filling = new Filling(topic, batch)
    const batchesEach = Math.round((gib * gibibyte) / batch.batchBytes / partitions)
    await filling.run(generator, { batchesEach, depth: 5 })
    await running.kill()
    return await recovered({ place, running, topic, filling, generator })
  } finally {
    await running.kill()
  }
}

async function recovered(options: {
  readonly place: Place
  readonly running: RunningPeer
  readonly topic: Topic
  readonly filling: Filling
  readonly generator: Generator
}): Promise<Sample> {
  const { place, running, topic, filling, generator } = options
  const [node] = running.nodes
  const probe = new Filling(topic, probeBatch)
  const last = topic.leaders.length - 1
  const job = probe.job({ batchesEach: 1, partitions: [last], depth: 1 })
  let attempts = 0
  const { value, interval } = await place.measure(running, [generator.processId], async () => {
    const beganMs = performance.now()
    await node.restart()
    const readyMs = performance.now() - beganMs
    await untilDone(() => {
      attempts += 1
      return generator.run(job)
    })
    return { readyMs, producesMs: performance.now() - beganMs }
  })
  const behindMax = topic.leaders.map((_, partition) =>
    partition === last ? attempts * probe.recordsPerBatch : 0,
  )
  const verified = await filling.verify(generator, { behindMax })
  return { figures: { ...value, cpuMs: interval.servers.cpuMs }, interval, verified }
}

/** Again while its partition has no leader yet, or is unknown yet. */
async function untilDone(attempt: () => Promise<unknown>): Promise<void> {
  const deadlineMs = performance.now() + producesWithinMs
  for (;;) {
    try {
      await attempt()
      return
    } catch (error) {
      if (performance.now() > deadlineMs) throw error
      await pause(attemptEveryMs)
    }
  }
}
