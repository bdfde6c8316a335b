import type { ClusterImage, PartitionImage } from '../broker/metadata/image.ts'
import { errors } from '../protocol/errors.ts'
import type {
  AlteredPartition,
  AlterPartitionsRequest,
  PartitionAlteration,
} from './controller-link.ts'
import { changePartition } from './leader-election.ts'
import { refuse, type Outcome, type Plan, type Refusal } from './outcome.ts'
import { PartitionChanges } from './partition-changes.ts'
import { electionRules, type PartitionPlanner } from './partition-planner.ts'
import { completedReassignment } from './reassignments.ts'

/** Undefined: the request is of the broker's present registration. */
export function refuseBrokerEpoch(
  image: ClusterImage,
  { brokerId, brokerEpoch }: Pick<AlterPartitionsRequest, 'brokerId' | 'brokerEpoch'>,
): Refusal | undefined {
  const broker = image.brokers.get(brokerId)
  if (broker === undefined) {
    const text = `No broker registration found for broker id ${brokerId}`
    return refuse(errors.staleBrokerEpoch, text)
  }
  if (broker.epoch === brokerEpoch) return undefined
  const text = `Expected broker epoch ${broker.epoch}, but got broker epoch ${brokerEpoch}`
  return refuse(errors.staleBrokerEpoch, text)
}

/**
 * New in-sync replicas, as leaders propose them (KIP-497, KIP-903). One outcome for each partition, in their order. A change
 * that completes a reassignment may take the leader out: it is then told NEW_LEADER_ELECTED, though the change is made.
 */
export function planAlterations(
  planner: PartitionPlanner,
  { brokerId, partitions }: AlterPartitionsRequest,
): Plan<Outcome<AlteredPartition>[]> {
  const { image } = planner
  const changes = new PartitionChanges(image)
  const answer = partitions.map((alteration): Outcome<AlteredPartition> => {
    const topic = image.topicsById.get(alteration.topicId)
    if (topic === undefined) return refuse(errors.unknownTopicId)
    const before = changes.state(topic.id, alteration.index)
    if (before === undefined) return refuse(errors.unknownTopicOrPartition)
    const refusal = refuseAlteration(image, brokerId, { before, alteration })
    if (refusal !== undefined) return refusal
    const isr = alteration.isr.map((member) => member.brokerId)
    const target = completedReassignment(before, { isr, recovering: alteration.recovering })
    const after = changePartition(before, target, electionRules(planner, topic.name))
    if (after !== undefined) changes.set(topic.id, after)
    return alteredPartition(after ?? before, brokerId)
  })
  return { records: changes.records(), answer }
}

function alteredPartition(state: PartitionImage, brokerId: number): Outcome<AlteredPartition> {
  const { leader, leaderEpoch, isr, partitionEpoch, recovering = false } = state
  if (leader !== brokerId) return refuse(errors.newLeaderElected)
  return { ok: true, leader, leaderEpoch, isr, recovering, partitionEpoch }
}

/** In the order of ReplicationControlManager.validateAlterPartitionData: clients act on the first that fits. */
function refuseAlteration(
  image: ClusterImage,
  brokerId: number,
  asked: { readonly before: PartitionImage; readonly alteration: PartitionAlteration },
): Refusal | undefined {
  const { before, alteration } = asked
  const { leaderEpoch, partitionEpoch } = alteration
  const ahead = leaderEpoch > before.leaderEpoch || partitionEpoch > before.partitionEpoch
  // The broker has seen what this controller has not: there must be another controller.
  if (ahead) return refuse(errors.notController)
  if (leaderEpoch < before.leaderEpoch) return refuse(errors.fencedLeaderEpoch)
  if (brokerId !== before.leader) {
    return refuse(errors.invalidRequest, `The leader is broker ${before.leader}`)
  }
  if (partitionEpoch < before.partitionEpoch) return refuse(errors.invalidUpdateVersion)
  return refuseIsr(before, alteration) ?? refuseMembers(image, alteration)
}

function refuseIsr(before: PartitionImage, alteration: PartitionAlteration): Refusal | undefined {
  const isr = alteration.isr.map((member) => member.brokerId)
  const refuseThis = (text: string): Refusal => refuse(errors.invalidRequest, text)
  if (isr.length === 0 || new Set(isr).size < isr.length) {
    return refuseThis(`The ISR [${isr.join(', ')}] is empty or names a broker twice`)
  }
  const stranger = isr.find((id) => !before.replicas.includes(id))
  if (stranger !== undefined) return refuseThis(`Broker ${stranger} is not a replica`)
  if (!isr.includes(before.leader)) return refuseThis('The ISR does not include the leader')
  if (!alteration.recovering) return undefined
  if (isr.length > 1) return refuseThis('The leader is still recovering, so it must be alone')
  if (before.recovering === true) return undefined
  return refuseThis('A partition that has recovered can not go back to recovering')
}

/** A broker that was wiped, and registered anew since the leader heard of it, must not count (KIP-903). */
function refuseMembers(image: ClusterImage, { isr }: PartitionAlteration): Refusal | undefined {
  for (const { brokerId, brokerEpoch } of isr) {
    const reason = whyIneligible(image, brokerId, brokerEpoch)
    if (reason === undefined) continue
    return refuse(errors.ineligibleReplica, `Broker ${brokerId} can't be in sync: ${reason}`)
  }
  return undefined
}

function whyIneligible(
  image: ClusterImage,
  brokerId: number,
  brokerEpoch: number,
): string | undefined {
  const broker = image.brokers.get(brokerId)
  if (broker === undefined) return 'not registered'
  if (broker.inControlledShutdown) return 'shutting down'
  if (broker.fenced) return 'fenced'
  if (brokerEpoch === anyBrokerEpoch || brokerEpoch === broker.epoch) return undefined
  return `broker epoch mismatch: requested=${brokerEpoch} VS expected=${broker.epoch}`
}

const anyBrokerEpoch = -1
