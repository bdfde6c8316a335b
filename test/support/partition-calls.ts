import { silentLogger } from '../../base/logger.ts'
import { StorageError } from '../../base/env.ts'
import type { BrokerServices, Handler } from '../../broker/handlers/handler.ts'
import type { LogConfig } from '../../broker/log/log-config.ts'
import type { LogDirectories } from '../../broker/log/log-directories.ts'
import { Partition } from '../../broker/replica/partition.ts'
import type { Partitions } from '../../broker/replica/partitions.ts'
import { Reader } from '../../protocol/bytes/reader.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { decodeResponse, encodeRequest, encodeResponse } from '../../protocol/headers.ts'
import { decodeRequestHeader } from '../../protocol/request-header.ts'
import type { AnyApi, RequestInputOf, ResponseOf } from '../../protocol/schema/api.ts'
import { partitionHost, partitionState } from './partition-host.ts'
import { machine, open, topicId, type Machine } from '../broker/log/log-support.ts'

/** Partitions with real logs on a simulated disk, and nothing else of a broker: for the handlers that ask them. */
export class PartitionCalls {
  readonly machine: Machine
  readonly logs: LogDirectories
  /** What `whyMissing` says of a partition that there is not. */
  missing: ErrorInfo = errors.unknownTopicOrPartition
  readonly #partitions = new Map<string, Partition>()

  private constructor(parts: { machine: Machine; logs: LogDirectories }) {
    this.machine = parts.machine
    this.logs = parts.logs
  }

  static async open(
    options: { config?: Partial<LogConfig>; directories?: string[] } = {},
  ): Promise<PartitionCalls> {
    const where = machine()
    return new PartitionCalls({
      machine: where,
      logs: await open(where, { flushPolicy: 'os', ...options }),
    })
  }

  /** Led in `leaderEpoch`. */
  add(topic: string, index = 0, leaderEpoch = 0): Partition {
    const log = this.logs.create(topic, topicId, index)
    const partition = new Partition(log, { host: partitionHost(), highWatermark: 0 })
    partition.apply(partitionState({ index, leaderEpoch }))
    this.#partitions.set(`${topic}-${index}`, partition)
    return partition
  }

  /** From now on every look into the partition's log fails. */
  break(partition: Partition): void {
    const fail = (): never => {
      throw new StorageError('Input/output error', { code: 'EIO', path: partition.log.path })
    }
    const broken = Object.create(partition) as Partition
    Object.defineProperty(broken, 'log', { value: new Proxy({}, { get: fail }) })
    Object.defineProperty(broken, 'leaderEpoch', { value: partition.leaderEpoch })
    Object.defineProperty(broken, 'highWatermark', { value: partition.highWatermark })
    Object.defineProperty(broken, 'leads', { value: true })
    Object.defineProperty(broken, 'mayBeDeposed', { value: false })
    broken.checkLeaderEpoch = () => undefined
    this.#partitions.set(`${partition.topic}-${partition.index}`, broken)
  }

  #find(
    topic: string,
    index: number,
    { currentLeaderEpoch, leaderOnly }: Parameters<Partitions['find']>[2],
  ): Partition | ErrorInfo {
    const partition = this.#partitions.get(`${topic}-${index}`)
    if (partition === undefined) return this.missing
    const error = partition.checkLeaderEpoch(currentLeaderEpoch)
    if (error !== undefined) return error
    return leaderOnly && !partition.leads ? errors.notLeaderOrFollower : partition
  }

  /** The request and the answer travel as bytes of that version. */
  async call<A extends AnyApi>(
    handler: Handler<A>,
    version: number,
    request: RequestInputOf<A>,
  ): Promise<ResponseOf<A>> {
    const { api } = handler
    const frame = encodeRequest(api, version, 1, 'test', request).finish().subarray(4)
    const reader = new Reader(frame)
    decodeRequestHeader(reader)
    const broker = {
      env: this.machine.env,
      nodeId: 1,
      logs: this.logs,
      logger: silentLogger,
      partitions: {
        get: (topic: string, index: number) => this.#partitions.get(`${topic}-${index}`),
        hosted: (topic: string, index: number) => this.#partitions.get(`${topic}-${index}`),
        find: (topic: string, index: number, asked: Parameters<Partitions['find']>[2]) =>
          this.#find(topic, index, asked),
        whyMissing: () => this.missing,
      },
    }
    const response = await handler.handle(api.request.codec(version).decode(reader) as never, {
      // The handlers under test look at nothing else.
      broker: broker as unknown as BrokerServices,
      version,
      clientId: 'test',
      connection: {
        id: 1,
        remoteAddress: '127.0.0.1',
        listenerName: 'PLAINTEXT',
        closed: false,
        onClosed: () => () => undefined,
        close: () => undefined,
      },
    })
    if (response === undefined) throw new Error('no answer')
    const bytes = encodeResponse(api, version, 1, response).finish().subarray(4)
    return decodeResponse(api, version, bytes).response
  }
}
