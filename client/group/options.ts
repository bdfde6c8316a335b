import type { ClientEnv } from '../../base/env.ts'
import { nearestOf } from '../../base/nearest.ts'
import type { Cluster } from '../cluster.ts'
import { assignorNames, type AssignorName } from './assignors/names.ts'

export type GroupProtocol = 'auto' | 'classic' | 'consumer'

export interface MembershipOptions {
  readonly env: ClientEnv
  readonly cluster: Cluster
  readonly groupId: string
  /** Makes a static member (KIP-345). */
  readonly instanceId?: string | undefined
  /** `auto`: KIP-848 where the coordinator offers it, else classic. */
  readonly protocol?: GroupProtocol | undefined
  /** Classic only; the preferred one first. Cooperative when every one of them is. */
  readonly assignors?: readonly AssignorName[] | undefined
  /** Classic only: under KIP-848 the broker's configuration counts. */
  readonly sessionTimeoutMs?: number | undefined
  /** Classic only, as above. */
  readonly heartbeatIntervalMs?: number | undefined
  /** How long others wait for this member to give up partitions and to rejoin; `maxPollIntervalMs` unless given. */
  readonly rebalanceTimeoutMs?: number | undefined
  /** The longest time between two calls of `polled`; `Infinity` for no limit. */
  readonly maxPollIntervalMs?: number | undefined
  readonly rackId?: string | undefined
  /** KIP-848 only: "uniform" or "range"; the broker chooses unless given. */
  readonly serverAssignor?: string | undefined
  /** How often to look for new topics and partitions. */
  readonly metadataMaxAgeMs?: number | undefined
  /** How long a commit or a question for offsets goes on trying. */
  readonly callTimeoutMs?: number | undefined
}

export interface MembershipSettings {
  readonly env: ClientEnv
  readonly cluster: Cluster
  readonly groupId: string
  readonly instanceId: string | null
  readonly protocol: GroupProtocol
  readonly assignors: readonly AssignorName[]
  readonly sessionTimeoutMs: number
  readonly heartbeatIntervalMs: number
  readonly rebalanceTimeoutMs: number
  readonly maxPollIntervalMs: number
  readonly rackId: string | null
  readonly serverAssignor: string | null
  readonly metadataMaxAgeMs: number
  readonly callTimeoutMs: number
}

const int32Max = 0x7fff_ffff

/** Java's defaults, cooperative-sticky excepted. Throws RangeError. */
export function settingsOf(options: MembershipOptions): MembershipSettings {
  const maxPollIntervalMs = options.maxPollIntervalMs ?? 300_000
  const settings = {
    env: options.env,
    cluster: options.cluster,
    groupId: options.groupId,
    instanceId: options.instanceId ?? null,
    protocol: options.protocol ?? 'auto',
    assignors: options.assignors ?? (['cooperative-sticky'] as const),
    sessionTimeoutMs: options.sessionTimeoutMs ?? 45_000,
    heartbeatIntervalMs: options.heartbeatIntervalMs ?? 3000,
    rebalanceTimeoutMs: options.rebalanceTimeoutMs ?? Math.min(maxPollIntervalMs, int32Max),
    maxPollIntervalMs,
    rackId: options.rackId ?? null,
    serverAssignor: options.serverAssignor ?? null,
    metadataMaxAgeMs: options.metadataMaxAgeMs ?? 300_000,
    callTimeoutMs: options.callTimeoutMs ?? 60_000,
  }
  check(settings)
  return settings
}

function check(settings: MembershipSettings): void {
  const { groupId, instanceId, protocol, assignors, sessionTimeoutMs, heartbeatIntervalMs } =
    settings
  if (groupId === '') throw new RangeError('A group needs a name')
  if (instanceId === '') throw new RangeError('instanceId is empty: leave it out')
  oneOf('protocol', protocol, ['auto', 'classic', 'consumer'])
  if (assignors.length === 0) throw new RangeError('assignors is empty: name one at least')
  for (const name of assignors) oneOf('assignors', name, assignorNames)
  for (const name of ['sessionTimeoutMs', 'heartbeatIntervalMs', 'rebalanceTimeoutMs'] as const) {
    const value = settings[name]
    if (!Number.isInteger(value) || value < 1 || value > int32Max)
      throw new RangeError(`${name} is ${value}: give whole milliseconds from 1 to ${int32Max}`)
  }
  for (const name of ['maxPollIntervalMs', 'metadataMaxAgeMs', 'callTimeoutMs'] as const) {
    if (!(settings[name] > 0)) throw new RangeError(`${name} is ${settings[name]}: it must be > 0`)
  }
  if (heartbeatIntervalMs >= sessionTimeoutMs)
    throw new RangeError(
      `heartbeatIntervalMs (${heartbeatIntervalMs}) must be less than sessionTimeoutMs (${sessionTimeoutMs})`,
    )
}

function oneOf(option: string, value: string, allowed: readonly string[]): void {
  if (allowed.includes(value)) return
  throw new RangeError(
    `${option}: "${value}" is unknown, did you mean "${nearestOf(value, allowed)}"?`,
  )
}
