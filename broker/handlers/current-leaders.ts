import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { endpointsOf } from '../metadata/endpoints.ts'
import type { ClusterImage } from '../metadata/image.ts'

export interface CurrentLeader {
  readonly leaderId: number
  readonly leaderEpoch: number
}

interface NodeEndpoint {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/**
 * What one answer tells clients that came to the wrong broker (KIP-951): who leads, and where, so that they need not ask
 * for metadata first.
 */
export class CurrentLeaders {
  readonly #image: ClusterImage
  readonly #listenerName: string
  readonly #told = new Set<number>()

  constructor(image: ClusterImage, listenerName: string) {
    this.#image = image
    this.#listenerName = listenerName
  }

  /** Undefined: the client has the right broker, or nobody leads. */
  of(topic: string, index: number, error: ErrorInfo): CurrentLeader | undefined {
    if (error !== errors.notLeaderOrFollower && error !== errors.fencedLeaderEpoch) return undefined
    const state = this.#image.partition(topic, index)
    if (state === undefined || state.leader < 0) return undefined
    this.#told.add(state.leader)
    return { leaderId: state.leader, leaderEpoch: state.leaderEpoch }
  }

  /** Of those that were told. */
  get endpoints(): NodeEndpoint[] {
    if (this.#told.size === 0) return []
    return endpointsOf(this.#image, this.#listenerName)
      .filter(({ id }) => this.#told.has(id))
      .map(({ id, host, port, rack }) => ({ nodeId: id, host, port, rack }))
  }
}
