/** Registration, heartbeats and departure of brokers, in the order of Kafka's checks. Pure functions of the tip and of what sessions tell. */
import type { Uuid } from '../base/uuid.ts'
import type { BrokerImage } from '../broker/metadata/image.ts'
import { errors } from '../protocol/errors.ts'
import type {
  ListenerAddress,
  MetadataRecord,
  PartitionState,
  RegisterBrokerRecord,
} from '../protocol/metadata-records/records.ts'
import type { BrokerHeartbeat, HeartbeatAnswer } from './controller-link.ts'
import {
  activityWith,
  fencing,
  hasLeaderships,
  planTransitions,
  settlePartitions,
  shuttingDown,
  unfencing,
  type FencingPlanner,
} from './fencing.ts'
import { planOfflineReplicas } from './offline-replicas.ts'
import { refuse, type Outcome, type Plan, type Refusal } from './outcome.ts'
import { isActive } from './placement.ts'

export interface BrokerRegistration {
  readonly brokerId: number
  /** New with each start of the broker. */
  readonly incarnation: Uuid
  /** The cluster that its data belongs to; absent: it is in the controller's own process. */
  readonly clusterId?: string
  readonly listeners: readonly ListenerAddress[]
  readonly rack: string | null
  /** The machine. */
  readonly host: string
  /**
   * Epoch of its last registration, if everything that was acknowledged since is still in its logs; absent or -1:
   * something may be lost, or it does not know. It is also the proof that it has the data directory of that registration.
   */
  readonly previousEpoch?: number
  /** Nothing at all is lost, whether it was acknowledged or not. Absent: the end of its logs may be. */
  readonly stoppedCleanly?: boolean
}

export interface RegistrationPlanner extends FencingPlanner {
  /** A broker that registers serves at once: nobody could lead in its place meanwhile, and nobody watches it. */
  readonly servesAtOnce: boolean
  /** Its last incarnation has a session. */
  readonly isLive: boolean
  readonly sessionTimeoutMs: number
}

export interface PlannedRegistration {
  /** What becomes of its partitions. They come before the registration, unless that makes it active. */
  readonly partitions: readonly MetadataRecord[]
  /** The record, given the offset at which it will be stored, which is the new broker epoch. */
  readonly record: (offset: number) => RegisterBrokerRecord
  readonly isNewIncarnation: boolean
  readonly fenced: boolean
}

export function planRegistration(
  planner: RegistrationPlanner,
  registration: BrokerRegistration,
): Outcome<PlannedRegistration> {
  const { image, servesAtOnce } = planner
  const refusal = refuseRegistration(planner, registration)
  if (refusal !== undefined) return refusal
  const { brokerId, incarnation, listeners, rack, host } = registration
  const before = image.brokers.get(brokerId)
  const addresses = {
    type: 'registerBroker',
    brokerId,
    incarnation,
    listeners,
    rack,
    host,
  } as const
  if (before?.incarnation === incarnation) {
    const { epoch: brokerEpoch, fenced, inControlledShutdown } = before
    const record = { ...addresses, brokerEpoch, fenced, inControlledShutdown }
    return { ok: true, partitions: [], record: () => record, isNewIncarnation: false, fenced }
  }
  const fenced = !servesAtOnce
  const broker = new Set([brokerId])
  const { previousEpoch = -1, stoppedCleanly = false } = registration
  const isLossy = before?.epoch !== previousEpoch
  const partitions = settlePartitions(
    planner,
    activityWith(image, new Map([[brokerId, servesAtOnce]])),
    {
      ...(isLossy ? { lossy: broker } : {}),
      ...(isLossy || !stoppedCleanly ? { lostTail: broker } : {}),
    },
  )
  return {
    ok: true,
    partitions: [...partitions],
    record: (brokerEpoch) => ({ ...addresses, brokerEpoch, fenced, inControlledShutdown: false }),
    isNewIncarnation: true,
    fenced,
  }
}

function refuseRegistration(
  planner: RegistrationPlanner,
  registration: BrokerRegistration,
): Refusal | undefined {
  const { image } = planner
  const { brokerId, incarnation, clusterId = image.clusterId, previousEpoch = -1 } = registration
  if (clusterId !== image.clusterId) {
    return refuse(
      errors.inconsistentClusterId,
      `Expected cluster ID ${image.clusterId}, but got cluster ID ${clusterId}: the data directory of broker ` +
        `${brokerId} belongs to another cluster. Connect it to that one, or give it an empty directory`,
    )
  }
  const before = image.brokers.get(brokerId)
  if (before === undefined || before.incarnation === incarnation) return undefined
  if (!planner.isLive || before.epoch === previousEpoch) return undefined
  return refuse(errors.duplicateBrokerRegistration, duplicateText(before, planner.sessionTimeoutMs))
}

function duplicateText(before: BrokerImage, sessionTimeoutMs: number): string {
  return (
    `Another broker is registered with that broker id: broker ${before.id} runs on ${before.machine}, at ` +
    `${before.host}:${before.port}. Give this one a node.id of its own. If it is the same broker after a ` +
    `crash, its last session ends within ${sessionTimeoutMs} ms`
  )
}

export interface HeartbeatPlanner extends FencingPlanner {
  /** Other brokers must have applied this before it may stop; undefined: not known yet. */
  readonly shutdownOffset: number | undefined
  /** What all that serve have applied. */
  readonly lowestActiveOffset: number
}

/** Where the broker stands after the heartbeat: BrokerControlState of Kafka. */
export type BrokerControlState = 'fenced' | 'unfenced' | 'controlled shutdown' | 'shutdown now'

export interface PlannedHeartbeat {
  readonly state: BrokerControlState
  /** Its state is another one from now on. */
  readonly moves: boolean
  readonly answer: HeartbeatAnswer
}

export function planHeartbeat(
  planner: HeartbeatPlanner,
  heartbeat: BrokerHeartbeat,
): Outcome<PlannedHeartbeat & { readonly records: readonly MetadataRecord[] }> {
  const { image } = planner
  const { brokerId, brokerEpoch, appliedOffset, offline = [] } = heartbeat
  const broker = image.brokers.get(brokerId)
  if (broker === undefined) {
    return refuse(errors.staleBrokerEpoch, `No broker registration found for broker id ${brokerId}`)
  }
  if (broker.epoch !== brokerEpoch) {
    return refuse(
      errors.staleBrokerEpoch,
      `Expected broker epoch ${broker.epoch}, but got broker epoch ${brokerEpoch}`,
    )
  }
  const current = stateOf(broker)
  const { state, quietly } = nextState(planner, broker, heartbeat)
  const moves = state !== current && quietly !== true
  // A broker that comes or goes is settled first, and tells again with its next heartbeat.
  const records = moves
    ? planTransitions(planner, [{ brokerId, ...transitionTo[state] }])
    : planOfflineReplicas(planner, brokerId, state === 'unfenced' ? offline : [])
  const answer = {
    isFenced: quietly === true ? broker.fenced : state === 'fenced' || state === 'shutdown now',
    isCaughtUp: appliedOffset >= brokerEpoch,
    shouldShutdown: state === 'shutdown now',
    suspended: false,
  }
  return { ok: true, records, moves, state, answer }
}

const transitionTo = {
  fenced: fencing,
  unfenced: unfencing,
  'controlled shutdown': shuttingDown,
  'shutdown now': fencing,
} as const

function stateOf(broker: BrokerImage): BrokerControlState {
  if (broker.fenced) return 'fenced'
  return broker.inControlledShutdown ? 'controlled shutdown' : 'unfenced'
}

interface NextState {
  readonly state: BrokerControlState
  /** Nothing needs to be written. */
  readonly quietly?: true
}

function nextState(
  planner: HeartbeatPlanner,
  broker: BrokerImage,
  { wantFence, wantShutdown, appliedOffset }: BrokerHeartbeat,
): NextState {
  const { image, shutdownOffset, lowestActiveOffset } = planner
  if (broker.fenced) {
    if (wantShutdown) return { state: 'shutdown now', quietly: true }
    return { state: !wantFence && appliedOffset >= broker.epoch ? 'unfenced' : 'fenced' }
  }
  if (broker.inControlledShutdown) {
    const known = shutdownOffset !== undefined && shutdownOffset <= lowestActiveOffset
    const done = known && !hasLeaderships(image, broker.id)
    return { state: done ? 'shutdown now' : 'controlled shutdown' }
  }
  if (wantFence) return { state: wantShutdown ? 'shutdown now' : 'fenced' }
  if (!wantShutdown) return { state: 'unfenced' }
  // Nobody could take its partitions over: they wait for its return, as they are.
  if (!hasActiveBesides(image.brokers.values(), broker.id)) {
    return { state: 'shutdown now', quietly: true }
  }
  return { state: 'controlled shutdown' }
}

function hasActiveBesides(brokers: Iterable<BrokerImage>, brokerId: number): boolean {
  for (const broker of brokers) {
    if (broker.id !== brokerId && isActive(broker)) return true
  }
  return false
}

/** The broker is gone for good: it must have stopped, and no partition may have it as a replica. */
export function planUnregistration(
  planner: FencingPlanner,
  brokerId: number,
): Plan<Outcome<object>> {
  const { image } = planner
  const broker = image.brokers.get(brokerId)
  const refused = (refusal: Refusal): Plan<Outcome<object>> => ({ records: [], answer: refusal })
  if (broker === undefined) {
    const text = `Broker ID ${brokerId} is not currently registered`
    return refused(refuse(errors.brokerIdNotRegistered, text))
  }
  if (!broker.fenced) {
    const text = `Broker ${brokerId} is running or its session has not ended yet: stop it first`
    return refused(refuse(errors.invalidRequest, text))
  }
  for (const topic of image.topicsById.values()) {
    const replica = topic.partitions.find((partition) => hasReplica(partition, brokerId))
    if (replica === undefined) continue
    const text =
      `Broker ${brokerId} has replicas, one of them of partition ${topic.name}-${replica.index}: ` +
      'reassign them to other brokers first'
    return refused(refuse(errors.invalidRequest, text))
  }
  const { epoch: brokerEpoch } = broker
  return { records: [{ type: 'unregisterBroker', brokerId, brokerEpoch }], answer: { ok: true } }
}

function hasReplica({ replicas }: PartitionState, brokerId: number): boolean {
  return replicas.includes(brokerId)
}
