import type { Prng } from '../../base/simulated/prng.ts'
import type { PartitionImage } from '../../broker/metadata/image.ts'
import { topic } from './oracle.ts'
import { brokerCount, type World } from './world.ts'

interface Waiting {
  readonly holds: () => boolean
  readonly resolve: (isSo: boolean) => void
}

/** What schemes are made of: time, conditions, and harms that end where they say. */
export class Stage {
  readonly world: World
  readonly random: Prng
  readonly #waiting = new Set<Waiting>()
  readonly #cuts = new Set<readonly [from: number, to: number]>()
  /** All is to be mended: a scheme that waits is never continued. */
  #isOver = false

  constructor(world: World, random: Prng) {
    this.world = world
    this.random = random
  }

  end(): void {
    this.#isOver = true
    this.#waiting.clear()
  }

  /** After each event. */
  look(): void {
    for (const waiting of this.#waiting) {
      if (!waiting.holds()) continue
      this.#waiting.delete(waiting)
      waiting.resolve(true)
    }
  }

  /** For a while between these. */
  pause(msMin: number, msMax: number): Promise<void> {
    return new Promise((resolve) => this.#after(this.random.between(msMin, msMax), resolve))
  }

  /** False: it did not become so in time. */
  until(limitMs: number, holds: () => boolean): Promise<boolean> {
    return new Promise((resolve) => {
      const waiting = { holds, resolve }
      this.#waiting.add(waiting)
      this.#after(limitMs, () => {
        if (this.#waiting.delete(waiting)) resolve(false)
      })
    })
  }

  #after(delayMs: number, then: () => void): void {
    const run = (): void => {
      if (!this.#isOver) then()
    }
    this.world.simulation.scheduler.schedule({ delayMs, label: 'scheme', run })
  }

  /** Nothing gets through from one to the other until `mend`. */
  cut(from: number, to: number): void {
    this.world.simulation.network.cut(this.world.hostOf(from), this.world.hostOf(to))
    this.#cuts.add([from, to])
  }

  mend(from: number, to: number): void {
    this.world.simulation.network.mend(this.world.hostOf(from), this.world.hostOf(to))
  }

  mendCuts(): void {
    for (const [from, to] of this.#cuts) this.mend(from, to)
    this.#cuts.clear()
  }

  /** What the scheme has left harmed. */
  tidy(): void {
    this.mendCuts()
    for (const nodeId of this.world.nodeIds) this.start(nodeId)
  }

  /** Unless somebody else has. */
  start(nodeId: number): void {
    if (this.world.down.has(nodeId)) this.world.startNode(nodeId)
  }

  shuffled(values: readonly number[]): number[] {
    const left = [...values]
    return values.map(() => left.splice(this.random.below(left.length), 1)[0] ?? 0)
  }

  state(index: number): PartitionImage | undefined {
    return this.world.reigning?.image.topicsByName.get(topic)?.partitions[index]
  }

  /** Of all topics. Empty: nobody reigns. */
  states(): PartitionImage[] {
    const topics = this.world.reigning?.image.topicsByName.values() ?? []
    return [...topics].flatMap(({ partitions }) => partitions)
  }

  /** Everybody serves, and all replicas are in sync. */
  isInOrder(): boolean {
    const { brokers, reigning } = this.world
    if (reigning === undefined || brokers.size < brokerCount) return false
    if ([...reigning.image.brokers.values()].some(({ fenced }) => fenced)) return false
    return this.states().every(({ isr, leader }) => isr.length === brokerCount && leader > 0)
  }

  /** Elsewhere there is everything that was acknowledged, and the controller knows it. */
  mayLoseDisk(nodeId: number): boolean {
    const states = this.states()
    return states.length > 0 && states.every(({ isr }) => isr.some((id) => id !== nodeId))
  }

  /** An operator makes the first of them the leader, and the others the next ones. Whether it comes to it is seen in `leads`. */
  prefer(index: number, replicas: readonly number[]): void {
    const { reigning } = this.world
    const partitions = [{ topic, index, replicas }]
    void reigning
      ?.alterReassignments({ allowReplicationFactorChange: false, partitions })
      .then(() => reigning.electLeaders({ type: 'preferred', partitions }))
  }

  leads(nodeId: number, index: number, epochMin: number): boolean {
    const { leader, leaderEpoch = -1 } = this.state(index) ?? {}
    return leader === nodeId && leaderEpoch >= epochMin
  }
}
