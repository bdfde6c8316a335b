import { silentLogger, type Logger } from '../../base/logger.ts'
import { Nemesis } from './nemesis.ts'
import { Oracle, topic } from './oracle.ts'
import { planOf, type Plan } from './plan.ts'
import { Committer, Reader } from './reader.ts'
import { WireClient } from './wire.ts'
import { brokerCount, World } from './world.ts'
import { Writer } from './writer.ts'

export interface SeedResult {
  readonly plan: Plan
  readonly problems: readonly string[]
  /** Equal for two runs that did the same. */
  readonly hash: string
  readonly acknowledgedCount: number
  readonly commitCount: number
  readonly simulatedMs: number
  readonly faults: ReadonlyMap<string, number>
}

export interface SeedOptions {
  readonly logger?: (world: World, nodeId: number) => Logger
}

const foundingMsMax = 20_000
/** After everything was mended: until all partitions take records again, all replicas are in sync, and readers are done. */
const healMsMax = 60_000

/** One cluster, harmed for a while and then mended, and what its clients saw of that. */
export async function runSeed(seed: number, options: SeedOptions = {}): Promise<SeedResult> {
  const plan = planOf(seed)
  const world = new World(plan, options.logger ?? (() => silentLogger))
  const oracle = new Oracle(world)
  world.problem = (text) => oracle.problem(text)
  const unhandled = (error: unknown): void =>
    oracle.problem(`unhandled: ${error instanceof Error ? error.stack : String(error)}`)
  process.on('unhandledRejection', unhandled)
  const run = new Run(world, oracle)
  try {
    await run.run()
  } catch (error) {
    oracle.problem(error instanceof Error ? (error.stack ?? error.message) : String(error))
  } finally {
    process.off('unhandledRejection', unhandled)
  }
  return run.result()
}

class Run {
  readonly #world: World
  readonly #oracle: Oracle
  readonly #nemesis: Nemesis
  readonly #writers: Writer[] = []
  #committer: Committer | undefined
  #isOver = false
  #isLate = false

  constructor(world: World, oracle: Oracle) {
    this.#world = world
    this.#oracle = oracle
    this.#nemesis = new Nemesis(world)
  }

  async run(): Promise<void> {
    const world = this.#world
    world.start()
    await this.#until('all brokers serve', foundingMsMax, () => this.#isComplete())
    await this.#createTopic()
    const running = this.#startClients()
    let isDone = false
    void running.then(() => {
      isDone = true
    })
    const { scheduler } = world.simulation
    const endMs = scheduler.nowMs + world.plan.harmMs
    while (scheduler.nowMs < endMs || !this.#nemesis.isDone) {
      await this.#sleep(this.#nemesis.act())
      if (this.#oracle.problems.length > 0) return
    }
    this.#isOver = true
    const done = (): boolean => {
      this.#nemesis.mendAll()
      return isDone && this.#isComplete() && this.#isInSync()
    }
    const text = 'clients are done, and all replicas in sync'
    await this.#until(text, healMsMax, done, () => this.#standing())
    // The last high watermark reaches followers.
    await this.#sleep(2000)
    this.#oracle.checkLogs()
  }

  result(): SeedResult {
    const { plan, simulation } = this.#world
    return {
      plan,
      problems: this.#oracle.problems,
      hash: simulation.traceHash,
      acknowledgedCount: this.#writers.reduce((sum, { count }) => sum + count, 0),
      commitCount: this.#committer?.count ?? 0,
      simulatedMs: simulation.scheduler.nowMs,
      faults: this.#nemesis.counts,
    }
  }

  #isComplete(): boolean {
    const { brokers, reigning } = this.#world
    if (brokers.size < brokerCount || reigning === undefined) return false
    return [...reigning.image.brokers.values()].every(({ fenced }) => !fenced)
  }

  #isInSync(): boolean {
    for (const { partitions } of this.#world.reigning?.image.topicsByName.values() ?? []) {
      for (const { isr, leader } of partitions)
        if (isr.length < brokerCount || leader < 0) return false
    }
    return true
  }

  /** Why it is not done yet. */
  #standing(): string {
    const { brokers, reigning } = this.#world
    const states = [...(reigning?.image.topicsByName.values() ?? [])].flatMap(
      ({ name, partitions }) =>
        partitions.map(
          ({ index, leader, isr, leaderEpoch }) =>
            `${name}-${index}: leader ${leader} in ${leaderEpoch}, ISR ${isr.join()}`,
        ),
    )
    const open = this.#writers.map(({ unacknowledgedCount }) => unacknowledgedCount).join()
    return `brokers ${[...brokers.keys()].join()}, unacknowledged ${open}; ${states.join('; ')}`
  }

  async #createTopic(): Promise<void> {
    const { reigning, simulation, plan } = this.#world
    const wanted = { name: topic, partitionCount: plan.partitionCount, replicationFactor: 3 }
    const [outcome] = await simulation.until(
      reigning?.createTopics([{ ...wanted, assignments: [], configs: [] }], {
        validateOnly: false,
      }) ?? Promise.resolve([]),
    )
    if (outcome?.ok !== true) throw new Error(`no topic: ${outcome?.message}`)
  }

  async #startClients(): Promise<void> {
    const world = this.#world
    const { plan, simulation } = world
    const oracle = this.#oracle
    const env = simulation.createEnv('clients')
    const isLate = (): boolean => this.#isLate
    const isOver = (): boolean => this.#isOver
    const newClient = (): WireClient => new WireClient(env, brokerCount)
    const { partitionCount, inFlightMax, writePauseMsMax: pauseMsMax } = plan
    const tasks: Promise<void>[] = []
    for (let number = 0; number < plan.writerCount * partitionCount; number++) {
      const index = number % partitionCount
      const name = `writer ${number}`
      const random = simulation.random.split(name)
      const client = newClient()
      const writer = new Writer({
        name,
        index,
        client,
        oracle,
        random,
        inFlightMax,
        pauseMsMax,
        isOver,
        isLate,
      })
      this.#writers.push(writer)
      tasks.push(writer.run())
    }
    const common = { oracle, partitionCount, isLate }
    const reader = new Reader({ client: newClient(), ...common })
    this.#committer = new Committer({ client: newClient(), ...common })
    tasks.push(this.#committer.run(isOver))
    const isRead = (index: number): boolean =>
      this.#isOver && reader.offset(index) >= oracle.story(index).acknowledgedEnd
    for (let index = 0; index < partitionCount; index++)
      tasks.push(reader.run(index, () => isRead(index)))
    await Promise.all(tasks)
  }

  async #sleep(ms: number): Promise<void> {
    const { simulation } = this.#world
    let isOver = false
    const run = (): void => {
      isOver = true
    }
    simulation.scheduler.schedule({ delayMs: ms, label: 'test', run })
    while (!isOver) {
      await simulation.step()
      this.#oracle.check()
      this.#nemesis.look()
      if (this.#oracle.problems.length > 0) return
    }
  }

  async #until(
    what: string,
    limitMs: number,
    holds: () => boolean,
    why: () => string = () => '',
  ): Promise<void> {
    for (let waitedMs = 0; !holds(); waitedMs += 50) {
      if (this.#oracle.problems.length > 0) return
      if (waitedMs > limitMs) {
        this.#isLate = true
        this.#oracle.problem(`not within ${limitMs} ms: ${what} (${why()})`)
        return
      }
      await this.#sleep(50)
    }
  }
}
