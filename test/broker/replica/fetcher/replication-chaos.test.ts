// Goal: no acknowledged record is lost and all replicas are equal, whatever stops: one machine at a time,
// or with flush.policy=ack the power of all.
// Method: simulated clusters of three, whose seed decides what happens when; MILLRACE_SEEDS says how many.
import t from 'tap'
import type { Prng } from '../../../../base/simulated/prng.ts'
import { SimulatedCluster } from '../../../support/cluster.ts'
import { batch, readAll } from '../../log/log-support.ts'
import { testSeed } from '../../../support/seeded-random.ts'
import { checkEqual, inSync, caughtUp, topic } from './replicas.ts'

const seedCount = Number(process.env['MILLRACE_SEEDS'] ?? 6)
const stepCount = 60

class Chaos {
  readonly cluster: SimulatedCluster
  readonly acknowledged = new Set<string>()
  readonly #random: Prng
  /** Whether records are on disk before they are acknowledged. */
  readonly #survivesBlackouts: boolean
  #next = 0
  #down: readonly number[] = []
  #paused = 0
  #isCut = false

  constructor(cluster: SimulatedCluster, policy: string) {
    this.cluster = cluster
    this.#survivesBlackouts = policy === 'ack'
    this.#random = cluster.simulation.random
  }

  async run(): Promise<void> {
    for (let step = 0; step < stepCount; step++) {
      if (this.#random.chance(0.2)) await this.#harm()
      else this.#produce()
      await this.cluster.sleep(this.#random.fraction() * (this.#random.chance(0.2) ? 3000 : 20))
    }
    await this.#mend()
  }

  #produce(): void {
    const { leader } = this.cluster.stateOf(topic)
    if (!this.cluster.brokers.has(leader)) return
    const hosted = this.cluster.broker(leader).parts.partitions.hosted(topic, 0)
    if (hosted?.leads !== true || hosted.isUnderMinIsr) return
    const values = Array.from({ length: 3 }, () => `value ${this.#next++}`)
    const appended = hosted.append(batch(values), 'client')
    if (!appended.ok) return
    void Promise.resolve(hosted.whenCommitted(appended.nextOffset)).then(
      (error) => {
        if (error === undefined) for (const value of values) this.acknowledged.add(value)
      },
      () => undefined,
    )
  }

  async #harm(): Promise<void> {
    if (this.#down.length > 0 || this.#paused > 0 || this.#isCut) {
      await this.#mend()
      return
    }
    const { cluster } = this
    // Something is under way: between a write, its sync, its copies and its acknowledgement.
    for (let count = 0; count < 4; count++) {
      this.#produce()
      await cluster.sleep(this.#random.fraction() * 1.5)
    }
    const nodeId = 1 + Math.floor(this.#random.fraction() * 3)
    const kind = this.#random.fraction()
    if (kind < 0.2) {
      cluster.envOf(nodeId).pause()
      this.#paused = nodeId
      return
    }
    if (kind < 0.4) {
      const others = [1, 2, 3].filter((other) => other !== nodeId).map((other) => `broker${other}`)
      for (const other of this.#random.chance(0.5) ? others : [...others, 'controller'])
        this.#disconnect(`broker${nodeId}`, other)
      this.#isCut = true
      return
    }
    if (kind > 0.85 && this.#survivesBlackouts) {
      for (const each of [1, 2, 3]) cluster.cutPower(each)
      this.#down = [1, 2, 3]
      return
    }
    if (kind < 0.6) cluster.kill(nodeId)
    else if (kind < 0.8) cluster.cutPower(nodeId)
    else await cluster.stopBroker(nodeId)
    this.#down = [nodeId]
  }

  /** In one direction at least. */
  #disconnect(one: string, other: string): void {
    const { network } = this.cluster.simulation
    const direction = this.#random.fraction()
    if (direction < 0.7) network.cut(one, other)
    if (direction > 0.3) network.cut(other, one)
  }

  async #mend(): Promise<void> {
    const { cluster } = this
    cluster.simulation.network.heal()
    this.#isCut = false
    if (this.#paused > 0) cluster.envOf(this.#paused).resume()
    this.#paused = 0
    const starting = this.#down.map((nodeId) => cluster.beginBroker(nodeId))
    this.#down = []
    await cluster.until(Promise.all(starting))
    if (this.#random.chance(0.7)) await inSync(cluster, 3)
  }
}

/** What runs without having been tried says nothing. */
const acknowledgedMin = 20

for (let index = 0; index < seedCount; index++) {
  const seed = testSeed(100 + index)
  const policy = index % 2 === 0 ? 'ack' : 'os'
  t.test(`replication: nothing acknowledged is lost, seed ${seed}, ${policy}`, async (t) => {
    const cluster = await SimulatedCluster.create(seed, {
      properties: {
        'flush.policy': policy,
        'min.insync.replicas': '2',
        'replica.lag.time.max.ms': '2000',
      },
    })
    await cluster.createTopic(topic)
    await inSync(cluster, 3)
    const chaos = new Chaos(cluster, policy)
    await chaos.run()
    await inSync(cluster, 3)
    await caughtUp(cluster)
    checkEqual(t, cluster)
    const { leader } = cluster.stateOf(topic)
    const present = new Set(readAll(cluster.partition(leader, topic).log).map(({ value }) => value))
    const lost = [...chaos.acknowledged].filter((value) => !present.has(value))
    t.strictSame(lost, [], `${chaos.acknowledged.size} were acknowledged`)
    t.ok(chaos.acknowledged.size > acknowledgedMin, `${chaos.acknowledged.size} were acknowledged`)
    await cluster.stopAll()
  })
}
