/**
 * Partitions that move to other brokers (KIP-455). While one moves, its replicas are all that stay, come and go: those of the
 * target first, in its order. When everybody who stays or comes is in sync, those who go are dropped.
 */
import type { ClusterImage, PartitionImage, TopicImage } from '../broker/metadata/image.ts'
import { errors } from '../protocol/errors.ts'
import type { PartitionState } from '../protocol/metadata-records/records.ts'
import type { AlterReassignmentsRequest } from './controller-link.ts'
import { changePartition, type PartitionTarget } from './leader-election.ts'
import { refuse, type Outcome, type Plan, type Refusal } from './outcome.ts'
import { PartitionChanges } from './partition-changes.ts'
import { electionRules, type PartitionPlanner } from './partition-planner.ts'
import { refuseAssignment } from './topics.ts'

const nobody: readonly number[] = []

export function isReassigning({ adding = nobody, removing = nobody }: PartitionState): boolean {
  return adding.length > 0 || removing.length > 0
}

/** The target, without those who go once it has everybody else in sync. */
export function completedReassignment(
  before: PartitionState,
  target: PartitionTarget,
): PartitionTarget {
  const {
    replicas = before.replicas,
    adding = before.adding ?? nobody,
    removing = before.removing ?? nobody,
    isr = before.isr,
  } = target
  if (adding.length === 0 && removing.length === 0) return target
  const stays = (replica: number): boolean => !removing.includes(replica)
  const [staying, inSync] = [replicas.filter(stays), isr.filter(stays)]
  if (inSync.length === 0 || !staying.every((replica) => inSync.includes(replica))) return target
  return { ...target, replicas: staying, isr: inSync, adding: nobody, removing: nobody }
}

/** One outcome for each partition, in their order. */
export function planReassignments(
  planner: PartitionPlanner,
  { partitions, allowReplicationFactorChange }: AlterReassignmentsRequest,
): Plan<Outcome<object>[]> {
  const changes = new PartitionChanges(planner.image)
  const answer = partitions.map((asked): Outcome<object> => {
    const topic = planner.image.topicsByName.get(asked.topic)
    if (topic === undefined) {
      const text = `Unable to find a topic named ${asked.topic}.`
      return refuse(errors.unknownTopicOrPartition, text)
    }
    const before = changes.state(topic.id, asked.index)
    if (before === undefined) {
      const text = `Unable to find partition ${asked.topic}:${asked.index}.`
      return refuse(errors.unknownTopicOrPartition, text)
    }
    const wanted =
      asked.replicas === null
        ? cancellation(planner, topic, before)
        : reassignment(planner.image, before, {
            replicas: asked.replicas,
            allowReplicationFactorChange,
          })
    if (!wanted.ok) return wanted
    const rules = electionRules(planner, topic.name)
    // Moving a partition never loses records; calling that off may, where the topic allows it.
    const mode = asked.replicas === null ? rules.mode : 'online'
    const after = changePartition(before, wanted.target, { ...rules, mode })
    if (after !== undefined) changes.set(topic.id, after)
    return { ok: true }
  })
  return { records: changes.records(), answer }
}

type Wanted = Outcome<{ readonly target: PartitionTarget }>

function reassignment(
  image: ClusterImage,
  before: PartitionImage,
  asked: { readonly replicas: readonly number[]; readonly allowReplicationFactorChange: boolean },
): Wanted {
  const { replicas } = asked
  const refusal =
    refuseAssignment(image, replicas, undefined) ??
    (asked.allowReplicationFactorChange ? undefined : refuseOtherFactor(before, replicas))
  if (refusal !== undefined) return refusal
  const { adding = nobody } = before
  const original = before.replicas.filter((replica) => !adding.includes(replica))
  const removing = before.replicas.filter((replica) => !replicas.includes(replica))
  const target = {
    replicas: [...replicas, ...removing],
    adding: replicas.filter((replica) => !original.includes(replica)),
    removing,
  }
  return { ok: true, target: completedReassignment(before, target) }
}

/** KIP-860. Of a partition that moves, what it moves to is compared. */
function refuseOtherFactor(
  { replicas, removing = nobody }: PartitionImage,
  wanted: readonly number[],
): Refusal | undefined {
  const current = replicas.length - removing.length
  if (current === wanted.length) return undefined
  const text = `The replication factor is changed from ${current} to ${wanted.length}`
  return refuse(errors.invalidReplicationFactor, text)
}

/** Back to the replicas from before. Those alone may not be in sync: then only an unclean election would help. */
function cancellation(
  planner: PartitionPlanner,
  topic: TopicImage,
  before: PartitionImage,
): Wanted {
  if (!isReassigning(before)) return refuse(errors.noReassignmentInProgress)
  const { adding = nobody } = before
  const wasThere = (replica: number): boolean => !adding.includes(replica)
  const [replicas, isr] = [before.replicas.filter(wasThere), before.isr.filter(wasThere)]
  const { mode, isActive } = electionRules(planner, topic.name)
  const canElect = mode === 'unclean' && replicas.some(isActive)
  if (isr.length === 0 && !canElect) {
    const text =
      `Unable to revert partition assignment for ${topic.name}:${before.index} because ` +
      'it would require an unclean leader election.'
    return refuse(errors.invalidReplicaAssignment, text)
  }
  return { ok: true, target: { replicas, isr, adding: nobody, removing: nobody } }
}
