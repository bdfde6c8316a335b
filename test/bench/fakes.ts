// Peers, cells and results that need no server.
import type { Interval } from '../../bench/harness/interval.ts'
import type { Peer, RunningPeer, StartOptions, Terms } from '../../bench/harness/peer.ts'
import type { CellResult, RawSample, RunResult } from '../../bench/harness/result.ts'
import type { Cell, Figure, Sample } from '../../bench/harness/scenario.ts'

export const terms: Terms = { brokers: 1, durability: 'os' }

export const speed: Figure = {
  name: 'speed',
  unit: 'MB/s',
  key: 'speed',
  better: 'more',
  wanted: { against: 'kafka', ratio: 2 },
}

export function goodSample(value: number): Sample {
  return {
    figures: { speed: value },
    verified: { expectedRecords: 5, foundRecords: 5, expectedChecksum: 'a', foundChecksum: 'a' },
  }
}

export class FakePeer implements Peer {
  readonly name: string
  readonly protocol = 'kafka'
  started = 0
  stopped = 0
  death: string | undefined
  readonly #starts: (options: StartOptions) => void

  constructor(name: string, starts: (options: StartOptions) => void = () => undefined) {
    this.name = name
    this.#starts = starts
  }

  memoryBytes(): number {
    return 1e6
  }

  prepare(): Promise<{ version: string; remarks: string[] }> {
    return Promise.resolve({ version: '1.0', remarks: [] })
  }

  async start(options: StartOptions): Promise<RunningPeer> {
    this.#starts(options)
    this.started += 1
    const node = {
      id: 1,
      host: '127.0.0.1',
      port: 1,
      dataFolder: options.folder,
      processId: -1,
      kill: () => Promise.resolve(),
      restart: () => Promise.resolve(),
    }
    return {
      peer: this,
      terms: options.terms,
      nodes: [node],
      commands: [`run ${this.name}`],
      readyMs: 1,
      processIds: () => [],
      failure: () => this.death,
      stop: async () => {
        this.stopped += 1
      },
      kill: async () => undefined,
    }
  }
}

export function cellWith(changes: Partial<Cell>): Cell {
  return {
    name: 'cell',
    terms,
    figures: [speed],
    expectedSeconds: 0.01,
    diskBytes: 1000,
    open: () => Promise.resolve({ sample: () => Promise.resolve(goodSample(1)) }),
    ...changes,
  }
}

const group = {
  cpuMs: 100,
  residentBytes: 1e6,
  anonymousBytes: 1e6,
  proportionalBytes: 1e6,
  voluntarySwitches: 0,
  involuntarySwitches: 0,
  minorFaults: 0,
  majorFaults: 0,
  writtenBytes: 0,
}

export function intervalWith(foreignCores: number): Interval {
  return {
    wallMs: 1000,
    servers: group,
    clients: group,
    foreignCores,
    kernelCores: 0,
    interruptCores: 0,
    stealCores: 0,
    gateMs: 1000,
  }
}

/** Rounds of values by peer; a round is noisy where it is said. */
export function cellResult(
  values: Readonly<Record<string, readonly number[]>>,
  options: { readonly noisy?: readonly number[]; readonly warmUps?: number } = {},
): CellResult {
  const { noisy = [], warmUps = 0 } = options
  const samples = Object.entries(values).flatMap(([peer, own], place) =>
    own.map((value, round): RawSample => ({
      ...goodSample(value),
      peer,
      round,
      place,
      atSeconds: round,
      isNoisy: noisy.includes(round),
    })),
  )
  const entries = Object.keys(values).map((peer) => ({ peer, commands: [`run ${peer} <fast>`] }))
  return {
    scenario: 'produce',
    name: 'request=64K & more',
    terms,
    figures: [speed],
    warmUps,
    seconds: 1,
    plannedSeconds: 1,
    entries,
    samples,
  }
}

export function runResult(cells: readonly CellResult[]): RunResult {
  return {
    format: 1,
    startedAt: '2026-11-21T20:00:00.000Z',
    endedAt: '2026-11-21T20:30:00.000Z',
    scope: 'full',
    flags: ['--full'],
    roundsWanted: 3,
    scale: 1,
    machine: {
      cpu: 'A CPU',
      cores: 2,
      memoryBytes: 2 ** 34,
      kernel: 'Linux 6',
      node: 'v20.20.2',
      fileSystem: 'ext4 /dev/vda rw',
      freeDiskBytes: 1e11,
      dirtyBackgroundRatio: '10',
    },
    commit: 'abc',
    peers: [
      { name: 'self', protocol: 'kafka', description: { version: '0.1', remarks: [] } },
      { name: 'kafka', protocol: 'kafka', description: { version: '4.1', remarks: ['-Xmx1G'] } },
      { name: 'redis', protocol: 'redis', skipped: 'no redis-server' },
    ],
    scenarios: [{ name: 'produce', summary: 'Sends <much>.' }],
    cells,
    log: [{ atSeconds: 1.5, text: 'not idle' }],
    isInterrupted: false,
  }
}
