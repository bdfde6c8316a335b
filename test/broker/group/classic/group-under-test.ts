import type { Deferred } from '../../../../base/deferred.ts'
import { deferred } from '../../../../base/deferred.ts'
import { silentLogger } from '../../../../base/logger.ts'
import { createSimulatedEnv, type SimulatedEnv } from '../../../../base/simulated/simulated-env.ts'
import type {
  JoinAnswer,
  JoinRequest,
  Later,
  SyncAnswer,
} from '../../../../broker/group/classic/classic-api.ts'
import { ClassicGroup } from '../../../../broker/group/classic/classic-group.ts'
import type { GroupConfig } from '../../../../broker/group/group-properties.ts'
import type { ClassicGroupRecord, GroupRecord } from '../../../../broker/group/group-record.ts'
import type { GroupHost, Write } from '../../../../broker/group/group.ts'
import type { ErrorInfo } from '../../../../protocol/errors.ts'

/** A connection that the test closes. */
export class TestConnection {
  closed = false
  readonly #callbacks = new Set<() => void>()

  get waiting(): number {
    return this.#callbacks.size
  }

  onClosed(callback: () => void): () => void {
    this.#callbacks.add(callback)
    return () => this.#callbacks.delete(callback)
  }

  close(): void {
    this.closed = true
    for (const callback of this.#callbacks) callback()
  }
}

/** An answer that may still be to come. */
export class Pending<Answer> {
  answer: Answer | undefined
  settled = false

  constructor(later: Later<Answer>) {
    void Promise.resolve(later).then((answer) => {
      this.answer = answer
      this.settled = true
    })
  }

  get now(): Answer {
    if (this.answer === undefined) throw new Error('not answered yet')
    return this.answer
  }
}

/** A subscription of Kafka's consumers, version 0. */
export function subscription(...topics: string[]): Buffer {
  const parts = [Buffer.from([0, 0, 0, 0, 0, topics.length])]
  for (const topic of topics) parts.push(Buffer.from([0, topic.length]), Buffer.from(topic))
  parts.push(Buffer.from([0xff, 0xff, 0xff, 0xff]))
  return Buffer.concat(parts)
}

export interface JoinOptions {
  memberId?: string
  instance?: string
  version?: number
  protocols?: readonly string[]
  topics?: readonly string[]
  metadata?: Buffer
  sessionTimeoutMs?: number
  rebalanceTimeoutMs?: number
  protocolType?: string
  connection?: TestConnection
  clientId?: string
}

export function joinRequest(options: JoinOptions = {}): JoinRequest {
  const metadata = options.metadata ?? subscription(...(options.topics ?? ['topic']))
  return {
    apiVersion: options.version ?? 9,
    memberId: options.memberId ?? '',
    groupInstanceId: options.instance ?? null,
    clientId: options.clientId ?? 'client',
    clientHost: '/127.0.0.1',
    sessionTimeoutMs: options.sessionTimeoutMs ?? 10_000,
    rebalanceTimeoutMs: options.rebalanceTimeoutMs ?? 60_000,
    protocolType: options.protocolType ?? 'consumer',
    protocols: (options.protocols ?? ['range']).map((name) => ({ name, metadata })),
    reason: 'test',
    connection: options.connection ?? new TestConnection(),
  }
}

/** One classic group in simulated time, on a log that the test controls. */
export class GroupUnderTest {
  readonly env: SimulatedEnv = createSimulatedEnv(1)
  readonly written: ClassicGroupRecord[] = []
  /** Commits wait while this is set. */
  holds: Deferred<ErrorInfo | undefined> | undefined
  /** What the next writes fail with. */
  failure: ErrorInfo | undefined
  readonly config: { -readonly [K in keyof GroupConfig]?: GroupConfig[K] }
  group: ClassicGroup

  constructor(config: { [K in keyof GroupConfig]?: GroupConfig[K] } = {}) {
    this.config = { groupMaxSize: 1000, groupInitialRebalanceDelayMs: 3000, ...config }
    this.group = new ClassicGroup(this.host, 'group')
  }

  get host(): GroupHost {
    return {
      env: this.env,
      config: this.config as GroupConfig,
      image: undefined as never,
      logger: silentLogger,
      write: (records, options) => this.#write(records, options),
    }
  }

  get state(): string {
    return this.group.state
  }

  holdCommits(): Deferred<ErrorInfo | undefined> {
    this.holds = deferred()
    return this.holds
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    const { scheduler } = this.env.simulation
    await scheduler.run(scheduler.nowMs + ms)
  }

  async join(options: JoinOptions = {}): Promise<Pending<JoinAnswer>> {
    const pending = new Pending(this.group.joinClassic(joinRequest(options)))
    await this.pass(0)
    return pending
  }

  /** A dynamic member as clients since 2.2 join: they are given an id, and come again. */
  async enter(options: JoinOptions = {}): Promise<{ id: string; joined: Pending<JoinAnswer> }> {
    const first = await this.join(options)
    const id = first.now.memberId
    return { id, joined: await this.join({ ...options, memberId: id }) }
  }

  async sync(
    memberId: string,
    options: {
      assignments?: Record<string, string>
      generation?: number
      instance?: string
      connection?: TestConnection
      protocol?: string
      protocolType?: string
    } = {},
  ): Promise<Pending<SyncAnswer>> {
    const assignments = Object.entries(options.assignments ?? {})
    const pending = new Pending(
      this.group.syncClassic({
        memberId,
        groupInstanceId: options.instance ?? null,
        generation: options.generation ?? this.group.generation,
        protocolType: options.protocolType ?? null,
        protocol: options.protocol ?? null,
        assignments: new Map(assignments.map(([id, text]) => [id, Buffer.from(text)])),
        connection: options.connection ?? new TestConnection(),
      }),
    )
    await this.pass(0)
    return pending
  }

  /** Kafka's name of the error. */
  heartbeat(memberId: string, options: { generation?: number; instance?: string } = {}): string {
    return this.group.heartbeatClassic({
      memberId,
      groupInstanceId: options.instance ?? null,
      generation: options.generation ?? this.group.generation,
    }).name
  }

  commit(memberId: string, options: { generation?: number; instance?: string } = {}): string {
    const error = this.group.validateOffsetCommit({
      memberId,
      instanceId: options.instance ?? null,
      generation: options.generation ?? this.group.generation,
      apiVersion: 9,
      partitions: [{ topic: 'topic', partition: 0 }],
    })
    return error?.name ?? 'NONE'
  }

  leave(memberId: string, instance?: string): string[] {
    const answers = this.group.leaveClassic([
      { memberId, groupInstanceId: instance ?? null, reason: 'test' },
    ])
    return 'code' in answers ? [answers.name] : answers.map(({ error }) => error.name)
  }

  /** A stable group; the first member leads, each is assigned its own id. */
  async stable(...members: JoinOptions[]): Promise<string[]> {
    const entered: Pending<JoinAnswer>[] = []
    for (const options of members) {
      const newcomer =
        options.instance === undefined
          ? (await this.enter(options)).joined
          : await this.join(options)
      entered.push(newcomer)
    }
    while (!entered.every(({ settled }) => settled)) await this.pass(100)
    const ids = entered.map(({ now }) => now.memberId)
    const assignments = Object.fromEntries(ids.map((id) => [id, id]))
    for (const [index, id] of ids.entries()) {
      const instance = members[index]?.instance
      await this.sync(id, {
        ...(instance === undefined ? {} : { instance }),
        ...(index === 0 ? { assignments } : {}),
      })
    }
    return ids
  }

  #write(records: readonly GroupRecord[], options?: { readonly replay?: boolean }): Write {
    if (records.length > 0 && options?.replay !== false)
      throw new Error('memory is ahead of the log')
    if (this.failure !== undefined) return { ok: false, error: this.failure }
    for (const record of records) this.written.push(record as ClassicGroupRecord)
    return { ok: true, committed: this.holds?.promise ?? Promise.resolve(undefined) }
  }
}
