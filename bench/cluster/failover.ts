// What a producer and a consumer with default settings notice of a broker's death, freeze and planned end, and of the
// controller's death.
import { setTimeout as pause } from 'node:timers/promises'
import { CreateTopics } from '../../protocol/messages/create-topics.ts'
import { ElectLeaders } from '../../protocol/messages/elect-leaders.ts'
import { createTopic, send } from '../lib/admin.ts'
import { ClusterProcess, type ClusterNode } from '../lib/cluster-process.ts'
import type { Row } from '../lib/report.ts'
import { spread } from '../lib/statistics.ts'
import { eventually } from '../lib/waiting.ts'
import { Clients, type Outage } from './clients.ts'

const topic = 'failover'
const partitionCount = 6
/** Longer than a session. */
const frozenMs = 13_000
/** Everything moves again. */
const flowingMs = 200
const settleMs = 500
const wantedMs = { killed: 3000, frozen: 11_000, planned: 500, metadata: 5000 }
const preferredElection = 0

export async function benchFailover(options: {
  folder: string
  rounds: number
  frozenRounds: number
}): Promise<Row[]> {
  const { folder, rounds, frozenRounds } = options
  return ClusterProcess.with({ folder }, async (cluster) => {
    const configs = { 'min.insync.replicas': '2' }
    const partitions = partitionCount
    await createTopic(cluster.broker(1), { name: topic, partitions, replicas: 3, configs })
    await cluster.inSync(topic)
    const bench = new Failover(cluster)
    try {
      await bench.settle()
      return [
        ...(await bench.brokerKilled(rounds)),
        ...(await bench.brokerFrozen(frozenRounds)),
        ...(await bench.brokerStopped(rounds)),
        ...(await bench.controllerKilled(rounds)),
      ]
    } finally {
      await bench.close()
    }
  })
}

class Failover {
  readonly #cluster: ClusterProcess
  readonly #clients: Clients
  #created = 0

  constructor(cluster: ClusterProcess) {
    this.#cluster = cluster
    const place = { topic, partitions: partitionCount }
    this.#clients = new Clients(cluster.bootstrap, place)
  }

  async close(): Promise<void> {
    await this.#clients.close()
  }

  /** Everything is as it should be: replicas in sync, preferred leaders, clients at work. */
  async settle(): Promise<void> {
    await this.#cluster.inSync(topic)
    await this.#elect()
    await pause(settleMs)
    await eventually('clients are at work', () => this.#clients.flows(flowingMs))
  }

  async brokerKilled(rounds: number): Promise<Row[]> {
    const outages: Outage[] = []
    for (let round = 0; round < rounds; round++) {
      const victim = this.#victim(round)
      outages.push(await this.#outageOf(() => victim.kill()))
      await victim.start()
      await this.settle()
    }
    return rowsOf('kill -9 of a broker', outages, wantedMs.killed)
  }

  async brokerFrozen(rounds: number): Promise<Row[]> {
    const outages: Outage[] = []
    for (let round = 0; round < rounds; round++) {
      const victim = this.#victim(round)
      outages.push(
        await this.#outageOf(async () => {
          victim.signal('SIGSTOP')
          await pause(frozenMs)
        }),
      )
      victim.signal('SIGCONT')
      await this.settle()
    }
    return rowsOf('frozen broker (SIGSTOP)', outages, wantedMs.frozen)
  }

  /** And what it led goes back to it when it is there again. */
  async brokerStopped(rounds: number): Promise<Row[]> {
    const [stops, elections]: Outage[][] = [[], []]
    for (let round = 0; round < rounds; round++) {
      const victim = this.#victim(round)
      stops?.push(await this.#outageOf(() => victim.stop()))
      await victim.start()
      await this.#cluster.inSync(topic)
      elections?.push(await this.#outageOf(() => this.#elect()))
      await this.settle()
    }
    return [
      ...rowsOf('planned move, broker stops', stops ?? [], wantedMs.planned),
      ...rowsOf('planned move, preferred election', elections ?? [], wantedMs.planned),
    ]
  }

  /** It is started again at once, as `millrace cluster start` and systemd do. */
  async controllerKilled(rounds: number): Promise<Row[]> {
    const outages: Outage[] = []
    const changesMs: number[] = []
    const { controller } = this.#cluster
    for (let round = 0; round < rounds; round++) {
      outages.push(
        await this.#outageOf(async () => {
          const beganMs = performance.now()
          await controller.kill()
          const starting = controller.start()
          await this.#change()
          changesMs.push(performance.now() - beganMs)
          await starting
        }),
      )
      await this.settle()
    }
    const change = {
      name: 'kill -9 of the controller: next metadata change',
      unit: 'ms',
      figures: spread(changesMs),
      target: {
        text: `<= ${wantedMs.metadata}`,
        met: spread(changesMs).median <= wantedMs.metadata,
      },
    }
    return [change, ...rowsOf('kill -9 of the controller', outages, undefined)]
  }

  #victim(round: number): ClusterNode {
    return this.#cluster.broker(1 + (round % this.#cluster.brokers.length))
  }

  /** Of what happens from now until all partitions move again. */
  async #outageOf(strike: () => Promise<void>): Promise<Outage> {
    const before = this.#clients.outage().errors
    this.#clients.watch()
    await strike()
    await eventually('clients are at work again', () => this.#clients.flows(flowingMs))
    await pause(settleMs)
    const outage = this.#clients.outage()
    return { ...outage, errors: outage.errors - before }
  }

  async #elect(): Promise<void> {
    const request = { electionType: preferredElection, topicPartitions: null, timeoutMs: 10_000 }
    await send(this.#cluster.broker(1), ElectLeaders, 2, request)
    await eventually('preferred leaders lead', async () => {
      const partitions = (await this.#cluster.partitions(topic)) ?? []
      const count = partitions.filter(({ leaderId }) => leaderId === 1).length
      return count === partitionCount / this.#cluster.brokers.length
    })
  }

  /** Tried until a topic is there. */
  async #change(): Promise<void> {
    const name = `change-${this.#created++}`
    const wanted = { name, numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }
    const request = { topics: [wanted], timeoutMs: 10_000, validateOnly: false }
    await eventually('a topic is created', async () => {
      const { topics } = await send(this.#cluster.broker(1), CreateTopics, 7, request)
      return topics[0]?.errorCode === 0
    })
  }
}

function rowsOf(name: string, outages: readonly Outage[], limitMs: number | undefined): Row[] {
  const errors = outages.reduce((sum, outage) => sum + outage.errors, 0)
  const row = (what: string, values: readonly number[]): Row => {
    const figures = spread(values)
    const limit = limitMs === undefined ? '' : `<= ${limitMs}, `
    const met = errors === 0 && (limitMs === undefined || figures.median <= limitMs)
    const target = { text: `${limit}no errors (${errors})`, met }
    return { name: `${name}: ${what}`, unit: 'ms', figures, target }
  }
  return [
    row(
      'not produced',
      outages.map(({ producedMs }) => producedMs),
    ),
    row(
      'not consumed',
      outages.map(({ consumedMs }) => consumedMs),
    ),
  ]
}
