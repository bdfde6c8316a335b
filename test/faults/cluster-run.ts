/**
 * A cluster of real processes under one fault after another, real producers and readers beside them, and the judgement:
 * nothing acknowledged is lost, doubled, reordered or changed, all replicas hold the same bytes, and every partition
 * takes records again soon after each fault.
 */
import { createTopics } from '../clients/admin.ts'
import type { ClusterProcess } from '../clients/cluster-process.ts'
import { eventually, pause } from '../clients/processes.ts'
import { Acknowledgements } from './acknowledgements.ts'
import type { Fault, Stage } from './cluster-faults.ts'
import { ClusterGroup } from './cluster-group.ts'
import { ClusterReaders } from './cluster-readers.ts'
import { readCluster } from './cluster-reading.ts'
import { History, violationCount } from './history.ts'
import type { Findings } from './history.ts'
import { LoadClient } from './load.ts'
import type { LoadClientName } from './load.ts'
import { compareReplicas } from './replica-logs.ts'

export interface ClusterRunOptions {
  readonly stage: Stage
  readonly faults: readonly Fault[]
  /** Ends after so many, or after `forMs`. */
  readonly count: number
  readonly forMs?: number
  readonly log: (text: string) => void
}

export interface ClusterReport {
  readonly faults: number
  /** Faults that the cluster or its clients noticed. */
  readonly effective: number
  readonly acknowledgedCount: number
  readonly acknowledgedByClient: Readonly<Record<string, number>>
  readonly readByReader: Readonly<Record<string, number>>
  readonly findings: Findings
  /** Records that no member of the group processed, or commits that went back. */
  readonly groupFaults: readonly string[]
  readonly replicaFaults: readonly string[]
  readonly replicaByteCount: number
  /** Partitions that took no records, or processes that ended on their own. */
  readonly livenessFaults: readonly string[]
  /** After the end of a fault, until each client had an acknowledgement from each partition: median, 99 %, longest. */
  readonly recoveredMs: readonly number[]
  /** Everything that must be 0, together. */
  readonly violations: number
}

export const topic = 'load'
export const partitionCount = 6
const clientNames: readonly LoadClientName[] = ['java', 'librdkafka', 'sdk']

/** How long every partition may take no records after a fault is over. LIVENESS_MS is for slow machines. */
const livenessMs = Number(process.env['LIVENESS_MS'] ?? 15_000)
/** When nothing comes for so long, the run ends. */
const patienceMs = 120_000
/** How long the cluster lives between two faults, at most. */
const lifeMsMax = 1000
/** How often the next fault waits until all replicas are in sync. */
const settledChance = 0.5
const readEvery = 5
/** After each 20 records a client rests. */
const pauseMs = 20
/** A pause of acknowledgements that tells a fault from the usual. */
const noticedMs = 300

const loadTopic = {
  topic,
  numPartitions: partitionCount,
  replicationFactor: 3,
  configEntries: [
    { name: 'min.insync.replicas', value: '2' },
    { name: 'segment.bytes', value: '1048576' },
    { name: 'segment.ms', value: '30000' },
    { name: 'index.interval.bytes', value: '1024' },
  ],
}

/** The cluster runs already, and is stopped when this resolves. */
export async function clusterRun(options: ClusterRunOptions): Promise<ClusterReport> {
  const run = new ClusterRun(options)
  try {
    return await run.all()
  } finally {
    await run.end()
  }
}

class ClusterRun {
  readonly #options: ClusterRunOptions
  readonly #cluster: ClusterProcess
  readonly #history = new History(clientNames, partitionCount)
  readonly #acknowledgements = new Acknowledgements(this.#history, clientNames)
  readonly #livenessFaults: string[] = []
  readonly #recoveredMs: number[] = []
  #clients: LoadClient[] = []
  #readers: ClusterReaders | undefined
  #group: ClusterGroup | undefined
  #groupFaults: readonly string[] = []
  #faultCount = 0
  #effectiveCount = 0

  constructor(options: ClusterRunOptions) {
    this.#options = options
    this.#cluster = options.stage.cluster
  }

  async all(): Promise<ClusterReport> {
    const { count, forMs = Infinity } = this.#options
    const { bootstrap } = this.#cluster
    await createTopics(bootstrap, [loadTopic])
    await this.#cluster.inSync(topic)
    const group = new ClusterGroup(this.#cluster, topic, partitionCount)
    this.#group = group
    this.#acknowledgements.listen((partition, offset) => group.acknowledge(partition, offset))
    const target = { brokers: bootstrap, topic, history: this.#acknowledgements }
    this.#clients = clientNames.map((name) => new LoadClient(name, target, { pauseMs }))
    this.#readers = new ClusterReaders({ brokers: bootstrap, topic, partitionCount })
    await this.#everyPartitionWritable(performance.now(), patienceMs, 'the beginning')
    const deadline = performance.now() + forMs
    while (this.#faultCount < count && performance.now() < deadline && this.#isGood()) {
      await this.#strike()
    }
    if (this.#isGood()) await this.#drain()
    await this.#cluster.stop()
    return this.#report()
  }

  async end(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.kill()))
    await this.#readers?.kill()
    await this.#group?.kill()
    await this.#cluster.kill()
  }

  async #strike(): Promise<void> {
    const { stage, faults, log } = this.#options
    const { random } = stage
    if (random.chance(settledChance)) await this.#cluster.inSync(topic)
    await pause(random.below(lifeMsMax))
    const before = await this.#cluster.partitions(topic)
    const beganMs = performance.now()
    const { text, isOfController } = await random.pick(faults)(stage)
    const endedMs = performance.now()
    this.#faultCount++
    this.#noteDead(text)
    const tookMs = await this.#everyPartitionWritable(endedMs, livenessMs, text)
    this.#recoveredMs.push(tookMs)
    const after = await this.#cluster.partitions(topic)
    const gapMs = this.#acknowledgements.longestGapMs(beganMs)
    const isMoved = JSON.stringify(before) !== JSON.stringify(after)
    if (isMoved || gapMs > noticedMs || isOfController) this.#effectiveCount++
    log(
      `${this.#faultCount}: ${text}; pauses ${this.#acknowledgements.gapsByClient()}, ` +
        `all writable ${tookMs.toFixed(0)} ms later, ${this.#history.acknowledgedCount} acknowledged`,
    )
    if (this.#faultCount % readEvery === 0) await readCluster(this.#cluster, topic, this.#history)
  }

  /** Resolves with how long it took; takes note when that is more than allowed. */
  async #everyPartitionWritable(sinceMs: number, limitMs: number, what: string): Promise<number> {
    const isLate = () => performance.now() - sinceMs > patienceMs
    await eventually(
      () => this.#acknowledgements.silentSince(sinceMs).length === 0 || isLate() || undefined,
      { timeoutMs: patienceMs * 2, everyMs: 5, describe: () => 'acknowledgements' },
    )
    const tookMs = performance.now() - sinceMs
    if (tookMs > limitMs) {
      const silent = this.#acknowledgements.silentSince(sinceMs)
      this.#livenessFaults.push(`${tookMs.toFixed(0)} ms after ${what} ${silent.join()}`.trim())
    }
    return tookMs
  }

  #noteDead(text: string): void {
    for (const node of this.#cluster.nodes) {
      if (node.died === undefined) continue
      const output = node.errorOutput().slice(-3000)
      this.#livenessFaults.push(`process ${node.id} ended with ${node.died} at ${text}\n${output}`)
    }
  }

  #isGood(): boolean {
    const dead = this.#livenessFaults.some((fault) => fault.startsWith('process'))
    const silent = this.#livenessFaults.some((fault) => parseInt(fault, 10) >= patienceMs)
    return violationCount(this.#history.findings) === 0 && !dead && !silent
  }

  /** Every client finishes, every replica catches up, everybody has read everything. */
  async #drain(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.finish()))
    await this.#cluster.inSync(topic)
    await readCluster(this.#cluster, topic, this.#history)
    this.#history.checkPlaceless()
    const again = new History(clientNames, partitionCount)
    await readCluster(this.#cluster, topic, again)
    for (let partition = 0; partition < partitionCount; partition++) {
      for (let offset = 0; offset < again.nextOffset(partition); offset++) {
        const value = again.valueAt(partition, offset) ?? ''
        this.#history.compareRead('the last reading', partition, offset, value)
      }
    }
    await this.#readers?.judge(this.#history)
    this.#groupFaults = (await this.#group?.judge()) ?? []
  }

  #report(): ClusterReport {
    const { findings } = this.#history
    const folders = this.#cluster.brokers.map(({ place }) => place.dataDirectory)
    const { faults, byteCount } = compareReplicas(folders, topic, partitionCount)
    const sorted = this.#recoveredMs.toSorted((one, other) => one - other)
    const at = (share: number) => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0)
    return {
      faults: this.#faultCount,
      effective: this.#effectiveCount,
      acknowledgedCount: this.#history.acknowledgedCount,
      acknowledgedByClient: this.#acknowledgements.countByClient(),
      readByReader: { ...this.#readers?.counts(), ...this.#group?.counts() },
      findings,
      groupFaults: this.#groupFaults,
      replicaFaults: faults,
      replicaByteCount: byteCount,
      livenessFaults: this.#livenessFaults,
      recoveredMs: [at(0.5), at(0.99), at(1)],
      violations:
        violationCount(findings) +
        this.#groupFaults.length +
        faults.length +
        this.#livenessFaults.length,
    }
  }
}
