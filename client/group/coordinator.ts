import { errors } from '../../protocol/errors.ts'
import { FindCoordinator } from '../../protocol/messages/find-coordinator.ts'
import type { AnyApi, RequestInputOf, ResponseOf } from '../../protocol/schema/api.ts'
import type { Cluster, Owner, Purpose } from '../cluster.ts'
import type { Connection } from '../connection.ts'
import { KafkaError, throwIfRefused } from '../errors.ts'

const groupKey = 0

export interface CoordinatorOptions {
  readonly cluster: Cluster
  readonly groupId: string
}

export interface CallOptions<A extends AnyApi> {
  /**
   * A join may wait at the coordinator for minutes, and requests of one connection are answered in order: what
   * must not wait for it travels as 'requests'.
   */
  readonly purpose: Purpose
  /** In versions that the fields need; the highest unless given. */
  readonly highest?: number
  readonly timeoutMs?: number
  readonly request: (version: number) => RequestInputOf<A>
}

/** The broker that coordinates one group, found when it is needed and forgotten when it is not the one any more. */
export class Coordinator {
  readonly #cluster: Cluster
  readonly #groupId: string
  /** Another member's join would keep ours waiting. */
  readonly #owner: Owner
  #nodeId: Promise<number> | undefined

  constructor({ cluster, groupId }: CoordinatorOptions) {
    this.#cluster = cluster
    this.#groupId = groupId
    this.#owner = cluster.newOwner()
  }

  /** Rejects with `KafkaError`. */
  async connection(purpose: Purpose): Promise<Connection> {
    this.#nodeId ??= this.#find()
    const nodeId = this.#nodeId
    try {
      const own = purpose === 'group' ? (`${this.#owner}/group` as const) : purpose
      return await this.#cluster.broker(await nodeId, own)
    } catch (error) {
      this.#forget(nodeId)
      throw error
    }
  }

  /** Closes the connection for joins. */
  close(): void {
    this.#cluster.release(this.#owner)
  }

  /** One request, one attempt. A coordinator that can't be reached is forgotten; what it answers is for the caller. */
  async call<A extends AnyApi>(
    api: A,
    options: CallOptions<A>,
  ): Promise<{ readonly response: ResponseOf<A>; readonly version: number }> {
    const connection = await this.connection(options.purpose)
    const nodeId = this.#nodeId
    const version = connection.versionOf(api, options.highest)
    const { timeoutMs } = options
    try {
      const request = options.request(version)
      const response = await connection.send(
        api,
        version,
        request,
        timeoutMs === undefined ? {} : { timeoutMs },
      )
      return { response, version }
    } catch (error) {
      if (error instanceof KafkaError && error.retriable) this.#forget(nodeId)
      throw error
    }
  }

  /** Call it with what the coordinator answered: an error that says that it is another one makes us look for it. */
  heed(errorCode: number): void {
    if (
      errorCode === errors.notCoordinator.code ||
      errorCode === errors.coordinatorNotAvailable.code
    )
      this.#nodeId = undefined
  }

  #forget(nodeId: Promise<number> | undefined): void {
    if (this.#nodeId === nodeId) this.#nodeId = undefined
  }

  async #find(): Promise<number> {
    const connection = await this.#cluster.any()
    const version = connection.versionOf(FindCoordinator, 5)
    const key = this.#groupId
    const what = `The coordinator of group ${key}`
    const response = await connection.send(
      FindCoordinator,
      version,
      version >= 4 ? { keyType: groupKey, coordinatorKeys: [key] } : { keyType: groupKey, key },
    )
    const found = version >= 4 ? response.coordinators[0] : response
    throwIfRefused(
      what,
      found?.errorCode ?? errors.coordinatorNotAvailable.code,
      found?.errorMessage,
    )
    const nodeId = found?.nodeId ?? -1
    // Its address comes with the metadata; after a move ours may be old.
    await this.#cluster.metadata([])
    return nodeId
  }
}
