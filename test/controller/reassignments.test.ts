import t from 'tap'
import type { ClusterImage } from '../../broker/metadata/image.ts'
import { planAlterations } from '../../controller/alter-partitions.ts'
import type { AlterReassignmentsRequest } from '../../controller/controller-link.ts'
import { fencing, planTransitions, unfencing } from '../../controller/fencing.ts'
import type { PartitionPlanner } from '../../controller/partition-planner.ts'
import { planReassignments } from '../../controller/reassignments.ts'
import { errors } from '../../protocol/errors.ts'
import type { MetadataRecord, PartitionState } from '../../protocol/metadata-records/records.ts'
import {
  after,
  clusterImage,
  partition,
  plannerOf,
  topicId,
  topicName,
} from '../support/cluster-image.ts'
import { SeededRandom, testSeed } from '../support/seeded-random.ts'

const move = (
  replicas: readonly number[] | null,
  options: { index?: number; topic?: string; allow?: boolean } = {},
): AlterReassignmentsRequest => ({
  allowReplicationFactorChange: options.allow ?? true,
  partitions: [{ topic: options.topic ?? topicName, index: options.index ?? 0, replicas }],
})

t.test('reassignment: replicas are added first, and nothing else changes', async (t) => {
  const image = clusterImage([partition(0)])
  const { records, answer } = planReassignments(plannerOf(image), move([4, 2, 5]))
  t.same(answer, [{ ok: true }])
  t.same(after(image, records), {
    index: 0,
    replicas: [4, 2, 5, 1, 3],
    adding: [4, 5],
    removing: [1, 3],
    isr: [1, 2, 3],
    leader: 1,
    leaderEpoch: 5,
    partitionEpoch: 10,
  })
})

t.test('reassignment: without new replicas it is done at once', async (t) => {
  const image = clusterImage([partition(0), partition(1), partition(2)])
  const reordered = planReassignments(plannerOf(image), move([3, 1, 2]))
  t.match(after(image, reordered.records), { replicas: [3, 1, 2], leader: 1, leaderEpoch: 5 })
  const smaller = planReassignments(plannerOf(image), move([3, 2], { index: 1 }))
  t.match(after(image, smaller.records, 1), {
    replicas: [3, 2],
    isr: [2, 3],
    leader: 3,
    leaderEpoch: 6,
  })
  const same = planReassignments(plannerOf(image), move([1, 2, 3], { index: 2 }))
  t.same(same, { records: [], answer: [{ ok: true }] })
})

t.test('reassignment: replicas that go stay until one that stays is in sync', async (t) => {
  const image = clusterImage([partition(0, { isr: [1] })])
  const { records } = planReassignments(plannerOf(image), move([2, 3]))
  t.match(after(image, records), { replicas: [2, 3, 1], removing: [1], isr: [1], leader: 1 })
})

t.test('reassignment: a second target replaces the first', async (t) => {
  const image = clusterImage([partition(0)])
  after(image, planReassignments(plannerOf(image), move([1, 2, 4])).records)
  const { records } = planReassignments(plannerOf(image), move([1, 2, 5]))
  t.match(after(image, records), {
    replicas: [1, 2, 5, 4, 3],
    adding: [5],
    removing: [4, 3],
    isr: [1, 2, 3],
  })
  // Back to where it began: nobody has to be added, so it is done.
  const back = planReassignments(plannerOf(image), move([1, 2, 3]))
  const state = after(image, back.records)
  t.same([state?.replicas, state?.adding, state?.removing], [[1, 2, 3], undefined, undefined])
})

t.test('reassignment: cancelled, the replicas are those from before', async (t) => {
  const image = clusterImage([
    partition(0, { replicas: [4, 2, 1], adding: [4], removing: [1], isr: [1, 2, 4] }),
  ])
  const { records } = planReassignments(plannerOf(image), move(null))
  t.same(after(image, records), {
    index: 0,
    replicas: [2, 1],
    isr: [1, 2],
    leader: 1,
    leaderEpoch: 6,
    partitionEpoch: 10,
  })
  t.match(planReassignments(plannerOf(image), move(null)).answer, [
    { ok: false, error: errors.noReassignmentInProgress },
  ])
})

t.test('reassignment: a cancellation that would lose records is refused', async (t) => {
  const moving = { replicas: [4, 2], adding: [4], removing: [2], isr: [4], leader: 4 }
  const image = clusterImage([partition(0, moving)])
  t.match(planReassignments(plannerOf(image), move(null)).answer, [
    {
      ok: false,
      error: errors.invalidReplicaAssignment,
      message:
        'Unable to revert partition assignment for topic:0 because ' +
        'it would require an unclean leader election.',
    },
  ])
  const nobody = clusterImage([partition(0, moving)], { fenced: [2] })
  t.match(planReassignments(plannerOf(nobody, true), move(null)).answer, [{ ok: false }])
  const { records } = planReassignments(plannerOf(image, true), move(null))
  t.match(after(image, records), { replicas: [2], isr: [2], leader: 2, recovering: true })
})

t.test('reassignment: what can not be is refused', async (t) => {
  const image = clusterImage([partition(0)])
  const cases: [string, AlterReassignmentsRequest, (typeof errors)[keyof typeof errors]][] = [
    ['no topic', move([1], { topic: 'none' }), errors.unknownTopicOrPartition],
    ['no partition', move([1], { index: 1 }), errors.unknownTopicOrPartition],
    ['negative partition', move([1], { index: -1 }), errors.unknownTopicOrPartition],
    ['empty', move([]), errors.invalidReplicaAssignment],
    ['negative broker', move([-1]), errors.invalidReplicaAssignment],
    ['unknown broker', move([1, 2, 7]), errors.invalidReplicaAssignment],
    ['twice', move([1, 2, 2]), errors.invalidReplicaAssignment],
    ['another factor', move([1, 2], { allow: false }), errors.invalidReplicationFactor],
  ]
  for (const [name, request, error] of cases) {
    t.match(planReassignments(plannerOf(image), request), {
      records: { length: 0 },
      answer: [{ ok: false, error }],
    })
    t.pass(name)
  }
  t.match(planReassignments(plannerOf(image), move([4, 5, 6], { allow: false })).answer, [
    { ok: true },
  ])
})

t.test('reassignment: among everything that may happen, partitions stay sound', async (t) => {
  const random = new SeededRandom(testSeed(4))
  for (let run = 0; run < 200; run++) {
    const image = clusterImage([partition(0)])
    const planner = plannerOf(image, random.chance(0.5))
    for (let step = 0; step < 50; step++) {
      const before = image.partition(topicName, 0)
      if (before === undefined) throw new Error('the partition is there')
      const state = after(image, randomPlan(planner, before, random))
      if (!isSound(image, state)) t.fail('not sound', { run, step, before, state })
      if (before.leader !== state?.leader && before.leaderEpoch === state?.leaderEpoch)
        t.fail('another leader in the same epoch', { before, state })
    }
  }
})

function randomPlan(
  planner: PartitionPlanner,
  before: PartitionState,
  random: SeededRandom,
): readonly MetadataRecord[] {
  const { brokers } = planner.image
  switch (random.below(4)) {
    case 0: {
      const ids = [...brokers.keys()].filter(() => random.chance(0.4))
      const replicas = ids.map((id) => ({ id, at: random.fraction() }))
      replicas.sort((one, other) => one.at - other.at)
      return planReassignments(planner, move(replicas.map(({ id }) => id))).records
    }
    case 1:
      return planReassignments(planner, move(null)).records
    case 2: {
      const { leader, leaderEpoch, partitionEpoch, recovering = false } = before
      const brokerEpoch = brokers.get(leader)?.epoch ?? -1
      const isr = before.replicas.filter((id) => id === leader || random.chance(0.7))
      const alteration = {
        topicId,
        index: 0,
        leaderEpoch,
        partitionEpoch,
        isr: isr.map((id) => ({ brokerId: id, brokerEpoch: -1 })),
        recovering: recovering && random.chance(0.5),
      }
      const partitions = [alteration]
      return planAlterations(planner, { brokerId: leader, brokerEpoch, partitions }).records
    }
    default: {
      const transitions = [...brokers.keys()]
        .filter(() => random.chance(0.3))
        .map((brokerId) => ({ brokerId, ...(random.chance(0.4) ? fencing : unfencing) }))
      return planTransitions(planner, transitions)
    }
  }
}

function isSound(image: ClusterImage, state: PartitionState | undefined): boolean {
  if (state === undefined) return false
  const { replicas, isr, adding = [], removing = [], leader, recovering } = state
  const broker = image.brokers.get(leader)
  return (
    replicas.length === new Set(replicas).size &&
    isr.length > 0 &&
    isr.every((id) => replicas.includes(id)) &&
    (leader === -1 || (isr.includes(leader) && broker?.fenced === false)) &&
    (recovering !== true || isr.length === 1) &&
    adding.every((id) => replicas.includes(id) && !removing.includes(id)) &&
    removing.every((id) => replicas.includes(id)) &&
    adding.length < replicas.length
  )
}
