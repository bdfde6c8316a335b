import type { Prng } from '../../base/simulated/prng.ts'
import { topic } from './oracle.ts'
import type { FaultKind } from './plan.ts'
import { schemes, type SchemeKind } from './schemes.ts'
import { Stage } from './stage.ts'
import { brokerCount, type World } from './world.ts'

/** Nobody is gone for longer; most are for much less. */
const longMs = 8000
const quickLatencyMs = [0.05, 0.5] as const
const slowLatencyMs = [1, 400] as const
const quickSyncMs = [0.1, 0.5] as const
const slowSyncMs = [5, 300] as const
const quickMs = 300
const lookEveryMs = 30
const noNode = -1
const clockJumpMsMax = 20 * 3600 * 1000
/** What was harmed before a scheme is mended by then. */
const orderMsMax = 15_000

/** Harms the world as the plan says, and mends each harm after a while. */
export class Nemesis {
  readonly #world: World
  readonly #random: Prng
  #isOver = false
  /** Harms that were not mended yet. */
  #openCount = 0
  /** Lost its power, and what it had not synced; the controller does not know yet. */
  #lossy: number | undefined
  /** A broker that is to lose its power while its leader asks for it, or has lost it and is not back. */
  #struck: { readonly nodeId: number; isDown: boolean } | undefined
  #awaitsExpansion = false
  /** How often each kind took effect. */
  readonly counts = new Map<FaultKind | SchemeKind, number>()
  readonly #stage: Stage
  /** Still to come. */
  readonly #schemes: SchemeKind[]
  /** Nothing else happens. */
  #isScheming = false

  constructor(world: World) {
    this.#world = world
    this.#random = world.simulation.random.split('nemesis')
    this.#stage = new Stage(world, world.simulation.random.split('schemes'))
    this.#schemes = [...world.plan.schemes]
  }

  /** Nothing that the plan names is still to come. */
  get isDone(): boolean {
    return this.#schemes.length === 0 && !this.#isScheming
  }

  /** Does one thing; returns when to come again. */
  act(): number {
    const { faults, harmEveryMs } = this.#world.plan
    if (this.#isScheming) return lookEveryMs
    const scheme = this.#random.chance(0.2) ? this.#schemes.pop() : undefined
    if (scheme === undefined) {
      const kind = this.#isCalm() ? undefined : this.#pick(faults)
      if (kind !== undefined && this.#harm(kind)) this.#count(kind)
    } else void this.#scheme(scheme)
    return -Math.log(1 - this.#random.fraction()) * harmEveryMs
  }

  #count(kind: FaultKind | SchemeKind): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1)
  }

  async #scheme(kind: SchemeKind): Promise<void> {
    this.#isScheming = true
    const stage = this.#stage
    const isReady = (): boolean => this.#openCount === 0 && stage.isInOrder()
    if ((await stage.until(orderMsMax, isReady)) && (await schemes[kind](stage))) this.#count(kind)
    stage.tidy()
    this.#isScheming = false
  }

  /** After each event. */
  look(): void {
    this.#stage.look()
    this.#lookForExpansion()
  }

  /** A follower dies while its leader asks for it to be in the ISR, and is another one when that is heard (KIP-903). */
  #lookForExpansion(): void {
    if (!this.#awaitsExpansion || this.#isScheming || this.#isOver) return
    for (const [nodeId, broker] of this.#world.brokers) {
      for (let index = 0; index < this.#world.plan.partitionCount; index++) {
        const leadership = broker.parts.partitions.hosted(topic, index)?.leadership
        if (leadership?.isProposing !== true) continue
        const outside = this.#world.brokerIds.filter((id) => !leadership.isr.includes(id))
        const joining = outside.find((id) => leadership.follower(id)?.brokerEpoch !== undefined)
        if (joining !== undefined) this.#strike(nodeId, joining)
      }
    }
  }

  /** Without a sync before each answer nothing else may happen until the one that was struck is back: see `#mayLosePower`. */
  #strike(leader: number, joining: number): void {
    const world = this.#world
    this.#awaitsExpansion = false
    if (!this.#mayLosePower(joining)) return
    const struck = { nodeId: joining, isDown: false }
    if (world.plan.flushPolicy === 'os') this.#struck = struck
    for (const controller of world.controllerIds) this.#cut(leader, controller, 'both')
    this.#soon(quickMs, () => {
      // Where it counts already, it must not lose what it has not synced.
      const states = this.#stage.states()
      const counts = states.length === 0 || states.some(({ isr }) => isr.includes(joining))
      if (counts || world.down.has(joining)) {
        this.#struck = undefined
        return
      }
      world.cutPower(joining)
      struck.isDown = true
      this.#restartLater(joining)
    })
  }

  /** Everything works again, or will in a moment. Again and again: processes that were stopping have to be started too. */
  mendAll(): void {
    const world = this.#world
    this.#isOver = true
    this.#stage.end()
    world.simulation.network.heal()
    world.simulation.network.latencyMs = quickLatencyMs
    for (const trouble of world.stores.values()) trouble.kind = 'none'
    for (const nodeId of world.nodeIds) {
      const env = world.envOf(nodeId)
      env.resume()
      env.disk.syncMs = quickSyncMs
      if (world.down.has(nodeId)) world.startNode(nodeId)
    }
  }

  #pick<T>(values: readonly T[]): T | undefined {
    return values[this.#random.below(values.length)]
  }

  /** Short times are as likely as long ones. */
  #later(run: () => void, msMax = longMs): void {
    const delayMs = Math.exp(this.#random.between(0, Math.log(msMax)))
    const label = 'nemesis'
    this.#openCount += 1
    const unlessOver = (): void => {
      this.#openCount -= 1
      if (!this.#isOver) run()
    }
    this.#world.simulation.scheduler.schedule({ delayMs, label, run: unlessOver })
  }

  #restartLater(nodeId: number): void {
    this.#later(() => {
      if (this.#world.down.has(nodeId)) this.#world.startNode(nodeId)
    })
  }

  #harm(kind: FaultKind): boolean {
    const world = this.#world
    const broker = 1 + this.#random.below(brokerCount)
    const controller = this.#pick(world.controllerIds) ?? 0
    switch (kind) {
      case 'kill':
        return this.#kill(this.#random.chance(0.5) ? broker : this.#leader(broker))
      case 'succession':
        return this.#succession()
      case 'power':
        return this.#cutPower([this.#random.chance(0.5) ? broker : this.#leader(broker)])
      case 'expansion':
        this.#awaitsExpansion = true
        return true
      case 'blackout':
        return this.#cutPower(world.brokerIds)
      case 'stop':
        if (!world.brokers.has(broker)) return false
        world.stop(broker)
        this.#awaitStop(broker)
        return true
      case 'pause':
        return this.#pause(this.#random.chance(0.5) ? broker : this.#leader(broker))
      case 'cut':
        return this.#cut(broker, this.#otherThan(broker), 'both')
      case 'one-way cut':
        return this.#cut(broker, this.#otherThan(broker), 'one')
      case 'isolation':
        return this.#isolate(broker)
      case 'reset':
        world.simulation.network.reset(world.hostOf(broker), world.hostOf(this.#otherThan(broker)))
        return true
      case 'controller kill':
        return this.#kill(controller)
      case 'controller pause':
        return this.#pauseController(controller, broker)
      case 'controller cut':
        return this.#cut(controller, broker, this.#random.chance(0.5) ? 'both' : 'one')
      case 'slow network':
        return this.#slowNetwork()
      case 'slow disk':
        return this.#slowDisk(broker)
      case 'clock':
        world.envOf(broker).wallSkewMs = this.#random.between(-clockJumpMsMax, clockJumpMsMax)
        return true
      case 'store':
        return this.#troubleStore(controller)
    }
  }

  #slowNetwork(): boolean {
    const { network } = this.#world.simulation
    network.latencyMs = slowLatencyMs
    this.#later(() => {
      network.latencyMs = quickLatencyMs
    }, longMs / 4)
    return true
  }

  #slowDisk(nodeId: number): boolean {
    const { disk } = this.#world.envOf(nodeId)
    disk.syncMs = slowSyncMs
    this.#later(() => {
      disk.syncMs = quickSyncMs
    })
    return true
  }

  #troubleStore(controller: number): boolean {
    const trouble = this.#world.stores.get(controller)
    if (trouble === undefined) return false
    trouble.kind = this.#random.chance(0.5) ? 'refuses' : 'unreachable'
    this.#later(() => {
      trouble.kind = 'none'
    })
    return true
  }

  #leader(otherwise: number): number {
    const states = this.#world.reigning?.image.topicsByName.get(topic)?.partitions ?? []
    const leader = this.#pick(states)?.leader ?? -1
    return leader > 0 ? leader : otherwise
  }

  #otherThan(nodeId: number): number {
    return this.#pick(this.#world.nodeIds.filter((other) => other !== nodeId)) ?? nodeId
  }

  #kill(nodeId: number): boolean {
    if (this.#world.down.has(nodeId)) return false
    this.#world.kill(nodeId)
    this.#restartLater(nodeId)
    return true
  }

  /** A leader dies while one follower is behind, and the next one as soon as it leads: three logs that differ at their ends (KIP-279). */
  #succession(): boolean {
    const leader = this.#leader(noNode)
    if (leader === noNode || this.#world.down.has(leader)) return false
    const behind = this.#pick(this.#world.brokerIds.filter((id) => id !== leader)) ?? leader
    this.#cut(leader, behind, 'both')
    this.#soon(quickMs, () => {
      if (!this.#kill(leader)) return
      this.#whenLeads(leader, 0)
    })
    return true
  }

  #whenLeads(before: number, lookCount: number): void {
    if (lookCount > 100) return
    this.#soon(2 * lookEveryMs, () => {
      const leader = this.#leader(noNode)
      if (leader === noNode || leader === before) this.#whenLeads(before, lookCount + 1)
      else this.#soon(quickMs, () => this.#isolate(leader))
    })
  }

  /** Between now and `msMax`. */
  #soon(msMax: number, run: () => void): void {
    const delayMs = this.#random.between(0, msMax)
    this.#openCount += 1
    const unlessOver = (): void => {
      this.#openCount -= 1
      if (!this.#isOver) run()
    }
    this.#world.simulation.scheduler.schedule({ delayMs, label: 'nemesis', run: unlessOver })
  }

  /** For longer than another one waits before it takes over, and with something to decide for both. */
  #pauseController(controller: number, broker: number): boolean {
    const env = this.#world.envOf(controller)
    env.pause()
    this.#soon(longMs, () => env.resume())
    if (this.#random.chance(0.5)) {
      this.#soon(longMs, () => {
        if (this.#world.plan.faults.includes('kill')) this.#kill(broker)
      })
    }
    return true
  }

  #awaitStop(nodeId: number): void {
    this.#later(() => {
      // Some do not get the time that they want.
      if (!this.#world.down.has(nodeId)) this.#world.kill(nodeId)
      this.#world.startNode(nodeId)
    })
  }

  #cutPower(nodeIds: readonly number[]): boolean {
    const hit = nodeIds.filter((nodeId) => this.#mayLosePower(nodeId))
    for (const nodeId of hit) {
      this.#world.cutPower(nodeId)
      if (this.#world.plan.flushPolicy === 'os') this.#lossy = nodeId
      this.#restartLater(nodeId)
    }
    return hit.length > 0
  }

  /**
   * Without a sync before each answer only what others have is safe. When the controller can't tell a broker that lost
   * records from one that only went away first, they are lost, as with Kafka: so nothing else happens at that time.
   */
  #mayLosePower(nodeId: number): boolean {
    const world = this.#world
    if (world.down.has(nodeId)) return false
    if (world.plan.flushPolicy === 'ack') return true
    if (this.#openCount > 0 || world.brokers.size < brokerCount) return false
    return this.#stage.mayLoseDisk(nodeId)
  }

  #isCalm(): boolean {
    const struck = this.#struck
    if (struck?.isDown === true && this.#world.brokers.has(struck.nodeId)) this.#struck = undefined
    if (this.#struck !== undefined) return true
    const lossy = this.#lossy
    if (lossy === undefined) return false
    const states = this.#stage.states()
    const isTrusted = states.length === 0 || states.some(({ isr }) => isr.includes(lossy))
    if (!isTrusted || this.#world.brokers.has(lossy)) this.#lossy = undefined
    return this.#lossy !== undefined
  }

  #pause(nodeId: number): boolean {
    const env = this.#world.envOf(nodeId)
    env.pause()
    this.#later(() => env.resume())
    return true
  }

  #cut(one: number, other: number, ways: 'one' | 'both'): boolean {
    const { network } = this.#world.simulation
    const [from, to] = [this.#world.hostOf(one), this.#world.hostOf(other)]
    network.cut(from, to)
    if (ways === 'both') network.cut(to, from)
    this.#later(() => {
      network.mend(from, to)
      network.mend(to, from)
    })
    return true
  }

  #isolate(nodeId: number): boolean {
    for (const other of this.#world.nodeIds) {
      if (other !== nodeId) this.#cut(nodeId, other, 'both')
    }
    return true
  }
}
