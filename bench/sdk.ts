// The SDK beside other clients for Node: records per second, CPU per record, what it takes to load it.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { createTopic } from './lib/admin.ts'
import { startBroker, type BrokerProcess } from './lib/broker-process.ts'
import { countsInLog } from './lib/log-counts.ts'
import { publish, type Row } from './lib/report.ts'
import { measureLoading } from './lib/sdk-loading.ts'
import { median, spread } from './lib/statistics.ts'
import { withFolder } from './lib/work-folder.ts'

const run = promisify(execFile)

const compiledRoot = fileURLToPath(new URL('..', import.meta.url))
const repositoryRoot = compiledRoot.replace(/\/(dist|\.build\/[^/]+)\/$/, '/')
const peersFolder = join(repositoryRoot, 'bench', 'peers', 'javascript')
const partitionCount = 4

interface Client {
  readonly name: string
  readonly runtime: string
}

const ourClient: Client = { name: 'millrace', runtime: process.execPath }

interface Workload {
  readonly name: string
  readonly kind: 'batch' | 'each' | 'sequential' | 'batches' | 'records'
  readonly valueBytes: number
  /** Records of one round: ours, theirs. The first round of each run does not count. */
  readonly ring: readonly [number, number]
  readonly rounds: number
  /** Records per second. */
  readonly wanted: number
  /** Of the best of the others. */
  readonly timesWanted: number | undefined
  readonly p50UsWanted?: number
}

interface Figures {
  readonly records: number
  readonly elapsedMs: number
  readonly cpuMs: number
  readonly rssBytes: number
  readonly p50Us?: number
  readonly p99Us?: number
}

const produce = { timesWanted: 5, rounds: 11 } as const
const consume = { timesWanted: 3, rounds: 11 } as const
const workloads: readonly Workload[] = [
  {
    name: 'produce 100 B, batches',
    kind: 'batch',
    valueBytes: 100,
    ring: [200_000, 20_000],
    wanted: 2e6,
    ...produce,
  },
  {
    name: 'produce 100 B, send() each',
    kind: 'each',
    valueBytes: 100,
    ring: [100_000, 2_000],
    wanted: 1e6,
    ...produce,
  },
  {
    name: 'produce 1 KiB, batches',
    kind: 'batch',
    valueBytes: 1024,
    ring: [50_000, 10_000],
    wanted: 6e5,
    ...produce,
  },
  {
    name: 'await send() one by one',
    kind: 'sequential',
    valueBytes: 100,
    ring: [5000, 1000],
    rounds: 5,
    wanted: 15_000,
    timesWanted: undefined,
    p50UsWanted: 80,
  },
  {
    name: 'consume 100 B, batches',
    kind: 'batches',
    valueBytes: 100,
    ring: [200_000, 50_000],
    wanted: 2.5e6,
    ...consume,
  },
  {
    name: 'consume 100 B, records',
    kind: 'records',
    valueBytes: 100,
    ring: [200_000, 50_000],
    wanted: 1.5e6,
    ...consume,
  },
  {
    name: 'consume 1 KiB, batches',
    kind: 'batches',
    valueBytes: 1024,
    ring: [50_000, 10_000],
    wanted: 8e5,
    ...consume,
  },
  {
    name: 'consume 1 KiB, records',
    kind: 'records',
    valueBytes: 1024,
    ring: [50_000, 10_000],
    wanted: 6e5,
    ...consume,
  },
]

/** RSS of our own process, at most, while it works. */
const rssBytesWanted = 150e6

export async function benchSdk(options: { rounds: number; quick: boolean }): Promise<void> {
  const clients = await clientsHere()
  const repeats = options.quick ? 1 : Math.min(options.rounds, 5)
  let rssBytesMost = 0
  for (const workload of workloads) {
    const found = await compareClients(workload, clients, repeats)
    rssBytesMost = Math.max(
      rssBytesMost,
      ...(found.get('millrace') ?? []).map((each) => each.rssBytes),
    )
    publish({
      name: `sdk ${workload.name}`,
      setting: {
        partitions: partitionCount,
        acks: 'all',
        flush: 'os',
        valueBytes: workload.valueBytes,
      },
      rows: rowsOf(workload, found),
    })
  }
  const loading = await measureLoading({ compiledRoot, repositoryRoot, quick: options.quick })
  const target = { text: '< 150 MB', met: rssBytesMost < rssBytesWanted }
  const memory: Row = {
    name: 'RSS at full speed',
    unit: 'MB',
    figures: spread([rssBytesMost / 1e6]),
    target,
  }
  publish({ name: 'sdk loading', setting: {}, rows: [...loading, memory] })
}

/** Ours first; of the others those that can be loaded. */
async function clientsHere(): Promise<Client[]> {
  if (!existsSync(join(peersFolder, 'node_modules'))) {
    try {
      await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: peersFolder })
    } catch (error) {
      console.log(`Other clients are left out: they can't be installed. ${reasonOf(error)}`)
      return [ourClient]
    }
  }
  const carried = join(peersFolder, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node')
  const newer = existsSync(carried) ? carried : process.execPath
  const candidates: Client[] = [
    { name: 'kafkajs', runtime: newer },
    { name: 'platformatic', runtime: newer },
    { name: 'confluent', runtime: process.execPath },
  ]
  const clients = [ourClient]
  for (const client of candidates) {
    try {
      await run(client.runtime, ['-e', `import('./${client.name}.mjs')`], { cwd: peersFolder })
      clients.push(client)
    } catch (error) {
      console.log(
        `${client.name} is left out: ${String(error).split('\n')[1]?.slice(0, 200) ?? ''}`,
      )
    }
  }
  return clients
}

async function compareClients(
  workload: Workload,
  clients: readonly Client[],
  repeats: number,
): Promise<Map<string, Figures[]>> {
  const found = new Map<string, Figures[]>(clients.map(({ name }) => [name, []]))
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const client of clients) {
      if (!found.has(client.name)) continue
      try {
        const figures = await withFolder((folder) => measureOnce(folder, workload, client))
        found.get(client.name)?.push(figures)
      } catch (error) {
        // Another client's failure is a result, too; ours ends the bench.
        if (client === ourClient) throw error
        console.log(`${client.name} failed at "${workload.name}": ${reasonOf(error)}`)
        found.delete(client.name)
      }
    }
  }
  return found
}

function reasonOf(error: unknown): string {
  return /\w*Error: (?!Command failed).*/.exec(String(error))?.[0] ?? String(error).slice(0, 200)
}

async function measureOnce(folder: string, workload: Workload, client: Client): Promise<Figures> {
  const broker = await startBroker(folder, {
    'flush.policy': 'os',
    'group.initial.rebalance.delay.ms': 0,
  })
  try {
    await createTopic(broker, { name: 'bench', partitions: partitionCount })
    const consumes = workload.kind === 'batches' || workload.kind === 'records'
    // Whoever consumes finds what our own producer wrote.
    if (consumes) await once(broker, { ...workload, kind: 'batch' }, ourClient, client)
    const figures = await once(broker, workload, client, client)
    if (!consumes) checkOnce(folder, workload, client)
    return figures
  } finally {
    await broker.stop()
  }
}

/** `counted`: whose number of records it is. */
async function once(
  broker: BrokerProcess,
  workload: Workload,
  client: Client,
  counted: Client,
): Promise<Figures> {
  const { kind, valueBytes, rounds } = workload
  const numbers = [valueBytes, ringOf(workload, counted), rounds, partitionCount].map(String)
  const address = `${broker.host}:${broker.port}`
  const args = ['--no-warnings', 'workload.mjs', client.name, kind, address, 'bench', ...numbers]
  const { stdout } = await run(client.runtime, args, {
    cwd: peersFolder,
    timeout: 180_000,
    env: { ...process.env, MILLRACE_SDK: join(compiledRoot, 'client', 'index.js') },
  })
  return JSON.parse(stdout) as Figures
}

function ringOf(workload: Workload, client: Client): number {
  return workload.ring[client.name === 'millrace' ? 0 : 1]
}

function checkOnce(folder: string, workload: Workload, client: Client): void {
  const counts = countsInLog(folder, 'bench', ringOf(workload, client))
  const wrong = counts.reduce((sum, count) => sum + (count === workload.rounds ? 0 : 1), 0)
  if (wrong > 0)
    throw new Error(`${client.name}: ${wrong} values are not in the log ${workload.rounds} times`)
}

function rowsOf(workload: Workload, found: ReadonlyMap<string, readonly Figures[]>): Row[] {
  const rateOf = ({ records, elapsedMs }: Figures): number => (records / elapsedMs) * 1000
  const rows: Row[] = []
  const medians = new Map<string, number>()
  for (const [name, all] of found) {
    const rates = spread(all.map(rateOf))
    medians.set(name, rates.median)
    const met = rates.median >= workload.wanted
    const target = name === 'millrace' ? { target: { text: `>= ${workload.wanted}`, met } } : {}
    rows.push({ name, unit: 'records/s', figures: rates, ...target })
    const costs = spread(all.map(({ records, cpuMs }) => (cpuMs * 1000) / records))
    rows.push({ name: `${name}, CPU`, unit: 'us/record', figures: costs })
    const delays = all.flatMap(({ p50Us }) => (p50Us === undefined ? [] : [p50Us]))
    if (delays.length > 0) rows.push(delayRow(workload, name, delays))
  }
  const ours = medians.get('millrace') ?? NaN
  const others = [...medians].flatMap(([name, rate]) => (name === ourClient.name ? [] : [rate]))
  if (others.length === 0) {
    console.log(`${workload.name}: no other client is here to compare with`)
    return rows
  }
  const ratio = ours / Math.max(...others)
  const times = workload.timesWanted
  const target = times === undefined ? {} : { target: { text: `>= ${times}`, met: ratio >= times } }
  rows.push({
    name: 'millrace : best of the others',
    unit: 'ratio',
    figures: spread([ratio]),
    ...target,
  })
  return rows
}

function delayRow(workload: Workload, name: string, delays: readonly number[]): Row {
  const figures = spread(delays)
  const wanted = workload.p50UsWanted
  const row: Row = { name: `${name}, p50`, unit: 'us', figures }
  if (name !== 'millrace' || wanted === undefined) return row
  return { ...row, target: { text: `<= ${wanted}`, met: median(delays) <= wanted } }
}
