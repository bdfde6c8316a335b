import { silentLogger } from '../../base/logger.ts'
import { randomUuid } from '../../base/uuid.ts'
import { loadBrokerConfig, type BrokerConfig } from '../../broker/config.ts'
import { GroupCoordinator } from '../../broker/group/group-coordinator.ts'
import { GroupShard } from '../../broker/group/group-shard.ts'
import type { TopicToCreate } from '../../broker/group/offsets-topic.ts'
import type { BrokerServices, Handler, RequestConnection } from '../../broker/handlers/handler.ts'
import type { LogConfig } from '../../broker/log/log-config.ts'
import type { LogDirectories } from '../../broker/log/log-directories.ts'
import { ClusterImage } from '../../broker/metadata/image.ts'
import { Partitions } from '../../broker/replica/partitions.ts'
import { Reader } from '../../protocol/bytes/reader.ts'
import type { ErrorInfo } from '../../protocol/errors.ts'
import { decodeResponse, encodeRequest, encodeResponse } from '../../protocol/headers.ts'
import { decodeRequestHeader } from '../../protocol/request-header.ts'
import type { MetadataRecord } from '../../protocol/metadata-records/records.ts'
import type { AnyApi, RequestInputOf, ResponseOf } from '../../protocol/schema/api.ts'
import { defaultLogConfig } from '../../broker/log/log-config.ts'
import { logOptions, machine, open, type Machine } from '../broker/log/log-support.ts'

export interface GroupCallsOptions {
  readonly seed?: number | string
  readonly properties?: Record<string, string>
  readonly flushPolicy?: 'ack' | 'os'
  readonly logConfig?: Partial<LogConfig>
}

const listenerName = 'PLAINTEXT'

/**
 * A group coordinator on real logs and a simulated machine, its metadata in an image that the test writes.
 * It may die and start again: the image outlives it, as the controller's store would.
 */
export class GroupCalls {
  readonly machine: Machine
  readonly image = new ClusterImage('cluster')
  config: BrokerConfig
  readonly #options: GroupCallsOptions
  #logs!: LogDirectories
  partitions!: Partitions
  groups!: GroupCoordinator
  /** How often the coordinator wanted its topic. */
  creations = 0
  /** What the creation of the topic answers; undefined: it works. */
  creationError: ErrorInfo | undefined

  private constructor(options: GroupCallsOptions) {
    this.#options = options
    this.machine = machine(options.seed ?? 1)
    this.config = loadBrokerConfig({
      sets: { 'offsets.topic.num.partitions': '3', ...options.properties },
    })
    this.#apply([
      {
        type: 'registerBroker',
        brokerId: 1,
        brokerEpoch: 0,
        incarnation: '1'.repeat(32),
        fenced: false,
        inControlledShutdown: false,
        listeners: [
          { name: listenerName, host: 'here', port: 9092, securityProtocol: 'PLAINTEXT' },
        ],
        rack: null,
        host: 'localhost',
      },
    ])
  }

  static async open(options: GroupCallsOptions = {}): Promise<GroupCalls> {
    const calls = new GroupCalls(options)
    await calls.start()
    return calls
  }

  /** Everything that was loaded is served when this resolves. */
  async start(): Promise<void> {
    this.open(await this.#openLogs())
    await this.machine.simulation.until(this.#whenLoaded())
  }

  async #openLogs(): Promise<LogDirectories> {
    const { flushPolicy = 'os', logConfig = {} } = this.#options
    const configOf = (): LogConfig => ({ ...defaultLogConfig, ...logConfig })
    this.#logs = await open(this.machine, {
      ...logOptions(this.machine.env, { flushPolicy }),
      configOf,
    })
    return this.#logs
  }

  /** Starts what loads shards, and does not wait for them. */
  open(logs: LogDirectories = this.#logs): void {
    const { env } = this.machine
    const configOf = (): LogConfig => ({ ...defaultLogConfig, ...this.#options.logConfig })
    this.partitions = new Partitions({
      nodeId: 1,
      logs,
      image: this.image,
      configOf,
      logger: silentLogger,
    })
    this.groups = new GroupCoordinator({
      env,
      config: () => this.config,
      image: this.image,
      partitions: this.partitions,
      createTopic: (topic) => this.#create(topic),
      logger: silentLogger,
    })
    this.partitions.open()
    this.groups.open()
  }

  async #whenLoaded(): Promise<void> {
    while (this.groups.isLoading) {
      await new Promise<void>((resolve) => this.machine.env.timers.soon(resolve))
    }
  }

  /** The process dies, or the machine, and starts again. */
  async restart(how: 'kill' | 'power'): Promise<void> {
    await this.crash(how)
    await this.start()
  }

  async crash(how: 'kill' | 'power'): Promise<void> {
    // Promises that are resolved already would go on as a ghost of the dead process.
    await new Promise((resolve) => setImmediate(resolve))
    if (how === 'kill') this.machine.env.kill()
    else this.machine.env.cutPower()
    this.machine.env.boot()
  }

  async restartSlowly(): Promise<void> {
    await this.crash('kill')
    this.open(await this.#openLogs())
  }

  advance(ms: number): Promise<void> {
    return this.machine.simulation.run(this.machine.simulation.scheduler.nowMs + ms)
  }

  addTopic(name: string, partitionCount = 1): string {
    const id = randomUuid(this.machine.env.random)
    const records: MetadataRecord[] = [{ type: 'topic', id, name }]
    for (let index = 0; index < partitionCount; index++) {
      records.push({
        type: 'partition',
        topicId: id,
        index,
        replicas: [1],
        isr: [1],
        leader: 1,
        leaderEpoch: 0,
        partitionEpoch: 0,
      })
    }
    this.#apply(records)
    return id
  }

  removeTopic(name: string): void {
    this.#apply([{ type: 'removeTopic', id: this.image.topicsByName.get(name)?.id ?? '' }])
  }

  /** The shard that serves a group. */
  shard(groupId: string): GroupShard {
    const shard = this.groups.shardFor(groupId)
    if (!(shard instanceof GroupShard)) throw new Error(shard.name)
    return shard
  }

  /** The request and the answer travel as bytes of that version. */
  call<A extends AnyApi>(
    handler: Handler<A>,
    version: number,
    request: RequestInputOf<A>,
    connection: Partial<RequestConnection> = {},
  ): Promise<ResponseOf<A>> {
    return this.machine.simulation.until(this.begin(handler, version, request, connection))
  }

  /** The same, without running the simulation. */
  async begin<A extends AnyApi>(
    handler: Handler<A>,
    version: number,
    request: RequestInputOf<A>,
    connection: Partial<RequestConnection> = {},
  ): Promise<ResponseOf<A>> {
    const { api } = handler
    const frame = encodeRequest(api, version, 1, 'test', request).finish().subarray(4)
    const reader = new Reader(frame)
    decodeRequestHeader(reader)
    const broker = {
      env: this.machine.env,
      nodeId: 1,
      config: this.config,
      image: this.image,
      partitions: this.partitions,
      groups: this.groups,
      logger: silentLogger,
    }
    const response = await handler.handle(api.request.codec(version).decode(reader) as never, {
      // The handlers under test look at nothing else.
      broker: broker as unknown as BrokerServices,
      version,
      clientId: 'test',
      connection: {
        id: 1,
        remoteAddress: '127.0.0.1',
        listenerName,
        closed: false,
        onClosed: () => () => undefined,
        close: () => undefined,
        ...connection,
      },
    })
    if (response === undefined) throw new Error('no answer')
    const bytes = encodeResponse(api, version, 1, response).finish().subarray(4)
    return decodeResponse(api, version, bytes).response
  }

  async #create(topic: TopicToCreate): Promise<ErrorInfo | undefined> {
    this.creations++
    await new Promise<void>((resolve) => this.machine.env.timers.soon(resolve))
    if (this.creationError !== undefined) return this.creationError
    this.addTopic(topic.name, topic.partitionCount)
    return undefined
  }

  #apply(records: readonly MetadataRecord[]): void {
    this.image.apply(this.image.offset + 1, records)
    this.partitions?.apply(records)
    this.groups?.apply(records)
  }
}
