/**
 * Crash, restart, compare; again and again. kill.ts and power.ts differ only in the crash.
 *
 * While two real producers send without a pause, each cycle also creates a topic, and sometimes
 * deletes one, whose acknowledgement must survive like that of a record.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { createTopics, deleteTopics, listTopics } from '../clients/admin.ts'
import { freePort } from '../clients/places.ts'
import { eventually, pause } from '../clients/processes.ts'
import { startServer } from '../clients/server.ts'
import type { Server } from '../clients/server.ts'
import { History, violationCount } from './history.ts'
import type { Findings } from './history.ts'
import { indexFaults } from './indexes.ts'
import { LoadClient } from './load.ts'
import type { LoadClientName } from './load.ts'
import { Random } from '../clients/random.ts'
import { rebuiltIndexDifferences } from './rebuild.ts'
import { readLogs } from './verification.ts'

export interface CycleOptions {
  readonly cycles: number
  readonly seed: number
  readonly dataDirectory: string
  /** A folder that survives every crash, for the check of rebuilt indexes. */
  readonly scratchDirectory: string
  readonly properties?: Readonly<Record<string, string>>
  /**
   * Whether index files must equal a rebuild at the end. Not after power cuts: they are caches that nobody
   * syncs, checked against their summary at the first use and only then rebuilt. A segment that was rolled
   * before the last cut and not looked up since has whatever the disk kept.
   */
  readonly checkIndexes: boolean
  /** Ends the broker's process the hard way, and makes the data directory usable again. */
  readonly crash: (server: Server) => Promise<void>
  /** Called after each cycle. */
  readonly onCycle?: (cycle: number, acknowledgedCount: number) => void
}

export interface CycleReport {
  readonly cycles: number
  readonly acknowledgedCount: number
  readonly acknowledgedByClient: Record<string, number>
  readonly findings: Findings
  readonly topicFaults: string[]
  readonly topicsAcknowledged: number
  readonly indexFaults: string[]
  readonly indexEntryCount: number
  /** Everything that must be 0, together. */
  readonly violations: number
}

const topic = 'load'
const partitionCount = 4
const clientNames: readonly LoadClientName[] = ['java', 'librdkafka']

/** How long the broker lives after both clients got through to it. */
const lifeMsMax = 400

export async function crashCycles(options: CycleOptions): Promise<CycleReport> {
  const run = new Run(options)
  try {
    return await run.all()
  } finally {
    await run.end()
  }
}

class Run {
  readonly #options: CycleOptions
  readonly #random: Random
  readonly #history = new History(clientNames, partitionCount)
  readonly #topics = new TopicHistory()
  #clients: LoadClient[] = []
  #server: Server | undefined
  #cycles = 0

  constructor(options: CycleOptions) {
    this.#options = options
    this.#random = new Random(options.seed)
  }

  async all(): Promise<CycleReport> {
    const { dataDirectory, properties = {}, crash, onCycle } = this.#options
    const start = { dataDirectory, properties, port: await freePort() }
    let server = await this.#start(start)
    await createTopics(server.address, [loadTopic])
    const target = { brokers: server.address, topic, history: this.#history }
    this.#clients = clientNames.map((name) => new LoadClient(name, target))
    while (this.#cycles < this.#options.cycles && this.#violations() === 0) {
      this.#cycles++
      await everyClientGotThrough(this.#clients, server)
      await this.#topics.change(server, this.#cycles, this.#random)
      await pause(this.#random.below(lifeMsMax))
      const unanswered = this.#topics.beginUnanswered(server, this.#cycles)
      await crash(server)
      await unanswered
      server = await this.#start(start)
      await readLogs(server, topic, this.#history)
      await this.#topics.check(server)
      onCycle?.(this.#cycles, this.#history.acknowledgedCount)
    }
    if (this.#violations() === 0) {
      await Promise.all(this.#clients.map((client) => client.finish()))
      await readLogs(server, topic, this.#history)
      this.#history.checkPlaceless()
    }
    await server.stop()
    return this.#report()
  }

  async end(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.kill()))
    if (this.#server !== undefined && this.#server.exitCode() === undefined) {
      await this.#server.kill()
    }
  }

  async #start(start: Parameters<typeof startServer>[0]): Promise<Server> {
    this.#server = await startServer(start)
    return this.#server
  }

  #violations(): number {
    return violationCount(this.#history.findings) + this.#topics.faults.length
  }

  async #report(): Promise<CycleReport> {
    const { dataDirectory, scratchDirectory } = this.#options
    const count = this.#options.checkIndexes ? partitionCount : 0
    const checked = Array.from({ length: count }, (_, partition) =>
      indexFaults(join(dataDirectory, `${topic}-${partition}`)),
    )
    const faults = checked.flatMap((each) => each.faults)
    if (!existsSync(join(dataDirectory, '.kafka_cleanshutdown'))) {
      faults.push('the broker stopped without marking its logs as clean')
    }
    if (this.#options.checkIndexes) {
      const data = { dataDirectory, scratchDirectory, topic, partitionCount }
      faults.push(...(await rebuiltIndexDifferences(data)))
    }
    return {
      cycles: this.#cycles,
      acknowledgedCount: this.#history.acknowledgedCount,
      acknowledgedByClient: Object.fromEntries(
        this.#clients.map((client) => [client.name, client.acknowledgedCount]),
      ),
      findings: this.#history.findings,
      topicFaults: this.#topics.faults,
      topicsAcknowledged: this.#topics.acknowledgedCount,
      indexFaults: faults,
      indexEntryCount: checked.reduce((sum, each) => sum + each.entryCount, 0),
      violations: this.#violations() + faults.length,
    }
  }
}

/** Small segments by size and by age, so that crashes meet segments of every kind. */
const loadTopic = {
  topic,
  numPartitions: partitionCount,
  configEntries: [
    { name: 'segment.bytes', value: '1048576' },
    { name: 'segment.ms', value: '5000' },
    { name: 'index.interval.bytes', value: '1024' },
  ],
}

/** Which topics were acknowledged as created or deleted. */
class TopicHistory {
  readonly faults: string[] = []
  acknowledgedCount = 0
  readonly #existing = new Set<string>([topic])
  readonly #deleted = new Set<string>()

  async change(server: Server, cycle: number, random: Random): Promise<void> {
    const name = `made-${cycle}`
    await createTopics(server.address, [{ topic: name, numPartitions: 1 }])
    this.#existing.add(name)
    this.acknowledgedCount++
    const old = `made-${cycle - 3}`
    if (random.chance(0.5) && this.#existing.has(old)) {
      await deleteTopics(server.address, [old])
      this.#existing.delete(old)
      this.#deleted.add(old)
      this.acknowledgedCount++
    }
  }

  /** A creation that the crash may interrupt: the topic may or may not be there afterwards. */
  async beginUnanswered(server: Server, cycle: number): Promise<void> {
    const creation = { topic: `maybe-${cycle}`, numPartitions: 3 }
    await createTopics(server.address, [creation], { retries: 0 }).catch(() => {})
  }

  async check(server: Server): Promise<void> {
    const names = new Set(await listTopics(server.address))
    for (const name of this.#existing) {
      if (!names.has(name)) this.faults.push(`${name} was created and is gone`)
    }
    for (const name of this.#deleted) {
      if (names.has(name)) this.faults.push(`${name} was deleted and is there`)
    }
  }
}

/** A cycle counts only when both clients had acknowledgements from this life of the broker. */
async function everyClientGotThrough(clients: readonly LoadClient[], server: Server) {
  const before = clients.map((client) => client.acknowledgedCount)
  await eventually(
    () => clients.every((client, i) => client.acknowledgedCount > before[i]!) || undefined,
    {
      timeoutMs: 60_000,
      everyMs: 5,
      describe: () =>
        `acknowledgements (${clients.map(({ acknowledgedCount }) => acknowledgedCount).join()})\n` +
        server.errorOutput().slice(-3000),
    },
  )
}

/** Prints a run's progress and result, for the two programs. */
export async function printedRun(
  title: string,
  options: Omit<CycleOptions, 'onCycle'>,
): Promise<CycleReport> {
  console.log(`${title}: ${options.cycles} cycles, SEED=${options.seed}`)
  const began = performance.now()
  const report = await crashCycles({
    ...options,
    onCycle(cycle, acknowledgedCount) {
      if (cycle % 10 === 0) console.log(`${cycle} cycles, ${acknowledgedCount} acknowledged`)
    },
  })
  console.log(JSON.stringify(report, undefined, 2))
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  console.log(
    `${title}: ${report.cycles} cycles in ${seconds} s, ${report.acknowledgedCount} records and ` +
      `${report.topicsAcknowledged} topic changes acknowledged, ${report.violations} violations`,
  )
  return report
}
