// Goal: whoever believes to lead, what somebody may read at an offset never becomes something else, and what was
// acknowledged is there at the end, at its offset.
// Method: simulated clusters of three with machines that stop, lose power or are cut off, in one direction too, and a
// controller that goes away; the seed decides. Several brokers may be down at once. MILLRACE_SEEDS says how many seeds.
import t from 'tap'
import type { Prng } from '../../../base/simulated/prng.ts'
import { SimulatedCluster } from '../../support/cluster.ts'
import { testSeed } from '../../support/seeded-random.ts'
import { batch, readAll } from '../log/log-support.ts'
import { caughtUp, checkEqual, inSync, topic } from './fetcher/replicas.ts'

const seedCount = Number(process.env['MILLRACE_SEEDS'] ?? 6)
const stepCount = 80
const nodeIds = [1, 2, 3]

class Chaos {
  readonly cluster: SimulatedCluster
  readonly acknowledged = new Map<number, string>()
  readonly problems: string[] = []
  readonly #random: Prng
  /** What was below a high watermark, by offset. */
  readonly #committed: string[] = []
  /** By broker: up to where that was compared, in its present life. */
  readonly #checked = new Map<object, number>()
  #next = 0

  readonly #losesPower: boolean

  /** Without fdatasync before each answer, several machines that lose power lose records. */
  constructor(cluster: SimulatedCluster, { losesPower }: { readonly losesPower: boolean }) {
    this.cluster = cluster
    this.#losesPower = losesPower
    this.#random = cluster.simulation.random
  }

  async run(): Promise<void> {
    for (let step = 0; step < stepCount; step++) {
      if (this.#random.chance(0.25)) await this.#harm()
      else if (this.#random.chance(0.2)) await this.#mend()
      else for (const nodeId of nodeIds) this.#produce(nodeId)
      await this.cluster.sleep(this.#random.fraction() * (this.#random.chance(0.2) ? 4000 : 30))
      this.check()
    }
    await this.#mendAll()
  }

  /** To everybody who believes to lead, deposed or not. */
  #produce(nodeId: number): void {
    const partition = this.cluster.brokers.get(nodeId)?.parts.partitions.get(topic, 0)
    if (partition === undefined || partition.isUnderMinIsr) return
    const value = `value ${this.#next++}`
    const appended = partition.append(batch([value]), 'client')
    if (!appended.ok) return
    void Promise.resolve(partition.whenCommitted(appended.nextOffset)).then((error) => {
      if (error === undefined) this.acknowledged.set(appended.baseOffset, value)
    })
  }

  /** Compares what consumers could read on each broker with what they could read anywhere before. */
  check(): void {
    for (const nodeId of this.cluster.brokers.keys()) {
      const partition = this.cluster.broker(nodeId).parts.partitions.hosted(topic, 0)
      if (partition === undefined) continue
      const from = this.#checked.get(partition) ?? 0
      const { highWatermark, log } = partition
      if (highWatermark < from) this.problems.push(`${nodeId} went back to ${highWatermark}`)
      this.#checked.set(partition, highWatermark)
      if (highWatermark <= from) continue
      for (const { offset, value } of readAll(log, from)) {
        if (offset >= highWatermark) break
        const known = (this.#committed[offset] ??= value ?? '')
        if (known !== value) this.problems.push(`${nodeId} has ${value} for ${known} at ${offset}`)
      }
    }
  }

  async #harm(): Promise<void> {
    const { cluster } = this
    const nodeId = 1 + this.#random.below(3)
    const host = cluster.hostOf(nodeId)
    const other = this.#random.chance(0.5)
      ? 'controller'
      : cluster.hostOf(1 + ((nodeId + this.#random.below(2)) % 3))
    // What was just written is on nobody else.
    for (const each of nodeIds) this.#produce(each)
    await cluster.sleep(this.#random.fraction() * 3)
    switch (this.#random.below(5)) {
      case 0:
        if (cluster.brokers.has(nodeId)) cluster.kill(nodeId)
        return
      case 1:
        if (!cluster.brokers.has(nodeId)) return
        if (this.#losesPower) cluster.cutPower(nodeId)
        else cluster.kill(nodeId)
        return
      case 2:
        cluster.simulation.network.cut(host, other)
        return
      case 3:
        cluster.simulation.network.cut(host, other)
        cluster.simulation.network.cut(other, host)
        return
      default:
        if (cluster.controllerProcess !== undefined) cluster.killController()
    }
  }

  async #mend(): Promise<void> {
    const { cluster } = this
    cluster.simulation.network.heal()
    if (cluster.controllerProcess === undefined) await cluster.startController()
    const down = nodeIds.filter((nodeId) => !cluster.brokers.has(nodeId))
    const nodeId = down[this.#random.below(Math.max(down.length, 1))]
    if (nodeId !== undefined) await cluster.startBroker(nodeId)
  }

  async #mendAll(): Promise<void> {
    for (let round = 0; round < 4; round++) await this.#mend()
  }
}

/** What runs without having been tried says nothing. */
const acknowledgedMin = 20

for (let index = 0; index < seedCount; index++) {
  const seed = testSeed(500 + index)
  const flushPolicy = index % 2 === 0 ? 'ack' : 'os'
  t.test(`leaders: one offset is one value, seed ${seed}, ${flushPolicy}`, async (t) => {
    const cluster = await SimulatedCluster.create(seed, {
      properties: {
        'flush.policy': flushPolicy,
        'min.insync.replicas': '2',
        'replica.lag.time.max.ms': '1000',
        'broker.session.timeout.ms': '1500',
        'broker.heartbeat.interval.ms': '300',
      },
    })
    await cluster.createTopic(topic)
    await inSync(cluster, 3)
    const chaos = new Chaos(cluster, { losesPower: flushPolicy === 'ack' })
    await chaos.run()
    await inSync(cluster, 3)
    await caughtUp(cluster)
    await cluster.sleep(1000)
    chaos.check()
    t.strictSame(chaos.problems, [])
    checkEqual(t, cluster)
    const { leader } = cluster.stateOf(topic)
    const present = new Map(
      readAll(cluster.partition(leader, topic).log).map(({ offset, value }) => [offset, value]),
    )
    const lost = [...chaos.acknowledged].filter(([offset, value]) => present.get(offset) !== value)
    t.strictSame(lost, [], `${chaos.acknowledged.size} were acknowledged`)
    t.ok(chaos.acknowledged.size > acknowledgedMin, `${chaos.acknowledged.size} were acknowledged`)
    await cluster.stopAll()
  })
}
