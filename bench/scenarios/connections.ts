// What a connection costs that does little, and what others notice of ten thousand of them.
import { mkdirSync, rmSync } from 'node:fs'
import { LatencyHistogram } from '../harness/histogram.ts'
import { descendants, memoryOf } from '../harness/process-group.ts'
import type { RunningPeer } from '../harness/peer.ts'
import type { Cell, Place, Sample, Scenario, Scope } from '../harness/scenario.ts'
import { Bystander } from '../load/bystander.ts'
import { fenceFrame } from '../load/frames.ts'
import { Generator } from '../load/generator.ts'

interface Setting {
  readonly connections: number
  readonly expectedSeconds: number
  readonly scopes: readonly Scope[]
}

const settings: readonly Setting[] = [
  { connections: 1_000, expectedSeconds: 9, scopes: ['normal'] },
  { connections: 10_000, expectedSeconds: 15, scopes: ['full'] },
]

const bystanderPerSecond = 1_000
const bystanderSeconds = 2
const bytesPerConnectionWanted = 8_192

export const connections: Scenario = {
  name: 'connections',
  summary:
    'So many connections, 100 dialled at a time, one ApiVersions request on each; the memory that the server gained, divided by their number. Then one request a second on each of them, while another client sends 1,000 single records a second (acks=all); its records are read back. A fresh server for every sample.',
  cells: (scope) => settings.filter(({ scopes }) => scopes.includes(scope)).map(cellOf),
}

function cellOf({ connections: count, expectedSeconds }: Setting): Cell {
  const less = { better: 'less' } as const
  return {
    name: `connections=${count}`,
    // Ours takes 10,000 unless it is told otherwise, Kafka any number.
    terms: { brokers: 1, durability: 'os', properties: { 'max.connections': 2 * count + 100 } },
    figures: [
      {
        name: 'memory per connection',
        unit: 'B',
        key: 'bytesPerConnection',
        ...less,
        limit: bytesPerConnectionWanted,
      },
      { name: 'accepted and answered', unit: '1/s', key: 'acceptedPerSecond', better: 'more' },
      { name: 'CPU per connection', unit: 'us', key: 'cpuMicrosPerConnection', ...less },
      { name: 'p99 of others meanwhile', unit: 'ms', key: 'bystanderP99Ms', ...less },
    ],
    expectedSeconds,
    diskBytes: 50e6,
    roundsMax: 3,
    warmUps: 0,
    refuses: (peer) => (peer.protocol === 'kafka' ? undefined : `it speaks ${peer.protocol}`),
    open: (place) => Promise.resolve({ sample: () => sample(place, count) }),
  }
}

async function sample(place: Place, count: number): Promise<Sample> {
  rmSync(place.folder, { recursive: true, force: true })
  mkdirSync(place.folder, { recursive: true })
  const running = await place.start()
  const holder = new Generator(place.processes)
  const bystander = await Bystander.create(running, place.processes)
  try {
    // It has served before.
    await bystander.run(bystanderPerSecond, 1)
    return await held(place, { running, holder, bystander, count })
  } finally {
    await holder.close()
    await bystander.close()
    await running.kill()
  }
}

async function held(
  place: Place,
  options: {
    readonly running: RunningPeer
    readonly holder: Generator
    readonly bystander: Bystander
    readonly count: number
  },
): Promise<Sample> {
  const { running, holder, bystander, count } = options
  const [{ host, port }] = running.nodes
  const prepared = await holder.prepare({
    kind: 'hold',
    host,
    port,
    count,
    frame: fenceFrame(),
    requestsPerSecond: count,
  })
  const residentBefore = residentBytesOf(running)
  const { value, interval } = await place.measure(running, [holder.processId], () => prepared.go())
  const gained = interval.servers.residentBytes - residentBefore
  const acknowledged = await bystander.run(bystanderPerSecond, bystanderSeconds)
  if (holder.hasEnded()) throw new Error('The connections were not held: one was closed')
  return {
    figures: {
      bytesPerConnection: Math.max(gained, 0) / count,
      acceptedPerSecond: (count * 1000) / value.elapsedMs,
      cpuMicrosPerConnection: (interval.servers.cpuMs * 1000) / count,
      bystanderP99Ms: LatencyHistogram.decode(acknowledged).percentile(99) / 1000,
      residentMb: interval.servers.residentBytes / 1e6,
    },
    interval,
    histograms: { 'produce ack of the bystander': acknowledged },
    verified: await bystander.verify(),
  }
}

export function residentBytesOf(running: RunningPeer): number {
  return memoryOf(descendants(running.processIds())).residentBytes
}
