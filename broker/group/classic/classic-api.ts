import type { ErrorInfo } from '../../../protocol/errors.ts'

/** The connection of a request that may have to wait for its answer. */
export interface WaitingConnection {
  readonly closed: boolean
  /** Calls back once when the connection closes; the function returned takes that back. */
  onClosed(callback: () => void): () => void
}

/** An assignor that a member offers, with its subscription in that assignor's format. */
export interface ClassicProtocol {
  readonly name: string
  readonly metadata: Buffer
}

/** JoinGroup. Buffers belong to the receiver, names in `protocols` are distinct. */
export interface JoinRequest {
  readonly apiVersion: number
  /** Empty: a new member, or a static one that has forgotten its id. */
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  readonly protocolType: string
  /** The preferred one first. */
  readonly protocols: readonly ClassicProtocol[]
  /** For the log. */
  readonly reason: string
  readonly connection: WaitingConnection
}

export interface JoinAnswer {
  readonly error: ErrorInfo
  readonly memberId: string
  readonly generation: number
  readonly protocolType: string | null
  readonly protocol: string | null
  readonly leader: string
  readonly skipAssignment: boolean
  /** For the leader only. */
  readonly members: readonly JoinedMember[]
}

export interface JoinedMember {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly metadata: Buffer
}

/** SyncGroup. Buffers belong to the receiver. */
export interface SyncRequest {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly generation: number
  /** Null: not checked. */
  readonly protocolType: string | null
  readonly protocol: string | null
  /** By member id; from the leader only. */
  readonly assignments: ReadonlyMap<string, Buffer>
  readonly connection: WaitingConnection
}

export interface SyncAnswer {
  readonly error: ErrorInfo
  readonly protocolType: string | null
  readonly protocol: string | null
  readonly assignment: Buffer
}

export interface HeartbeatRequest {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly generation: number
}

export interface LeavingMember {
  /** Empty: an administrator removes the static member `groupInstanceId`. */
  readonly memberId: string
  readonly groupInstanceId: string | null
  /** For the log. */
  readonly reason: string
}

export interface LeaveAnswer {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly error: ErrorInfo
}

/** Undefined: the client has gone, nobody waits for an answer. */
export type Later<Answer> = Answer | Promise<Answer | undefined>

/** What members of the classic protocol ask of their group; KIP-848 groups have such members too while they migrate. */
export interface ClassicMembership {
  joinClassic(request: JoinRequest): Later<JoinAnswer>
  syncClassic(request: SyncRequest): Later<SyncAnswer>
  /** `errors.none`: go on. */
  heartbeatClassic(request: HeartbeatRequest): ErrorInfo
  /** The answers stand in the order of the members, or the whole request fails. */
  leaveClassic(members: readonly LeavingMember[]): Later<readonly LeaveAnswer[] | ErrorInfo>
}
