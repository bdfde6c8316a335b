import { cpuMsOf, machineBusyMs } from './process-figures.ts'
import { publish, type Row } from './report.ts'
import { pairs, ratios, spread, type Spread } from './statistics.ts'

/** A server to send requests to. */
export interface Server {
  readonly host: string
  readonly port: number
  readonly processId: number
}

export interface Comparison {
  readonly name: string
  readonly setting: Record<string, string | number>
  readonly rounds: number
  readonly broker: Server
  readonly bare: Server
  /** What the bare server does. */
  readonly bareName: string
  /** Broker over bare, in MB/s. */
  readonly wanted: number | undefined
  readonly loadProcessId: number
  /** Called before every sample. */
  readonly prepare: () => void
  /** Sends one sample's requests; gives the bytes of records that passed, and how long it took. */
  readonly run: (server: Server) => Promise<{ bytes: number; elapsedMs: number }>
}

interface Sample {
  readonly mbPerSecond: number
  readonly cpuMsPerGb: number
  /** Cores kept busy by neither the server nor the load generator: other people's work, and the kernel's for us. */
  readonly otherCores: number
}

/** Samples broker and bare server in turn, and publishes what came out. */
export async function compare(comparison: Comparison): Promise<void> {
  const { broker, bare, rounds, wanted, name, setting } = comparison
  const samples = await pairs(
    rounds,
    () => sample(comparison, broker),
    () => sample(comparison, bare),
  )
  const speeds = (list: Sample[]): number[] => list.map(({ mbPerSecond }) => mbPerSecond)
  const costs = (list: Sample[]): number[] => list.map(({ cpuMsPerGb }) => cpuMsPerGb)
  const [speed, bareSpeed] = [spread(speeds(samples.a)), spread(speeds(samples.b))]
  const [cost, bareCost] = [spread(costs(samples.a)), spread(costs(samples.b))]
  const ratio = speed.median / bareSpeed.median
  const target =
    wanted === undefined ? undefined : { text: `>= ${wanted.toFixed(2)}`, met: ratio >= wanted }
  const rows: Row[] = [
    { name: 'broker', unit: 'MB/s', figures: speed },
    { name: comparison.bareName, unit: 'MB/s', figures: bareSpeed },
    {
      name: 'speed, broker : bare, of medians',
      unit: 'ratio',
      figures: single(ratio, rounds),
      ...(target && { target }),
    },
    {
      name: 'speed, broker : bare, pair by pair',
      unit: 'ratio',
      figures: spread(ratios(speeds(samples.a), speeds(samples.b))),
    },
    { name: 'broker CPU', unit: 'ms/GB', figures: cost },
    { name: 'bare CPU', unit: 'ms/GB', figures: bareCost },
    {
      name: 'work per CPU, broker : bare',
      unit: 'ratio',
      figures: single(bareCost.median / cost.median, rounds),
    },
    {
      name: 'other work on the machine',
      unit: 'cores',
      figures: spread([...samples.a, ...samples.b].map(({ otherCores }) => otherCores)),
    },
  ]
  publish({ name, setting, rows })
}

async function sample(comparison: Comparison, server: Server): Promise<Sample> {
  const { loadProcessId } = comparison
  comparison.prepare()
  const before = {
    server: cpuMsOf(server.processId),
    load: cpuMsOf(loadProcessId),
    all: machineBusyMs(),
  }
  const { bytes, elapsedMs } = await comparison.run(server)
  const serverMs = cpuMsOf(server.processId) - before.server
  const loadMs = cpuMsOf(loadProcessId) - before.load
  return {
    mbPerSecond: bytes / 1e3 / elapsedMs,
    cpuMsPerGb: serverMs / (bytes / 1e9),
    otherCores: Math.max(machineBusyMs() - before.all - serverMs - loadMs, 0) / elapsedMs,
  }
}

function single(value: number, count: number): Spread {
  return { median: value, least: value, most: value, count }
}
