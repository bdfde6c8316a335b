import t from 'tap'
import { planAlterations, refuseBrokerEpoch } from '../../controller/alter-partitions.ts'
import type { PartitionAlteration } from '../../controller/controller-link.ts'
import { errors } from '../../protocol/errors.ts'
import { after, clusterImage, partition, plannerOf, topicId } from '../support/cluster-image.ts'

const members = (...ids: number[]): PartitionAlteration['isr'] =>
  ids.map((brokerId) => ({ brokerId, brokerEpoch: 100 + brokerId }))

const proposal = (options: Partial<PartitionAlteration> = {}): PartitionAlteration => ({
  topicId,
  index: 0,
  leaderEpoch: 5,
  partitionEpoch: 9,
  isr: members(1, 2),
  recovering: false,
  ...options,
})

const request = (
  ...partitions: PartitionAlteration[]
): { brokerId: number; brokerEpoch: number; partitions: PartitionAlteration[] } => ({
  brokerId: 1,
  brokerEpoch: 101,
  partitions,
})

t.test('alter partitions: the ISR shrinks and grows in the same leader epoch', async (t) => {
  const image = clusterImage([partition(0)])
  const shrunk = planAlterations(plannerOf(image), request(proposal()))
  const answer = { ok: true, leader: 1, leaderEpoch: 5, isr: [1, 2], recovering: false }
  t.same(shrunk.answer, [{ ...answer, partitionEpoch: 10 }])
  t.match(after(image, shrunk.records), { isr: [1, 2], leaderEpoch: 5, partitionEpoch: 10 })
  const grown = planAlterations(
    plannerOf(image),
    request(proposal({ partitionEpoch: 10, isr: members(1, 2, 3) })),
  )
  t.match(after(image, grown.records), { isr: [1, 2, 3], leaderEpoch: 5, partitionEpoch: 11 })
})

t.test('alter partitions: what changes nothing writes nothing', async (t) => {
  const image = clusterImage([partition(0)])
  const { records, answer } = planAlterations(
    plannerOf(image),
    request(proposal({ isr: members(1, 2, 3) })),
  )
  t.same(records, [])
  t.match(answer, [{ ok: true, partitionEpoch: 9 }])
})

t.test('alter partitions: the broker must be of its present registration', async (t) => {
  const image = clusterImage([])
  t.equal(refuseBrokerEpoch(image, { brokerId: 1, brokerEpoch: 101 }), undefined)
  t.match(refuseBrokerEpoch(image, { brokerId: 1, brokerEpoch: 100 }), {
    error: errors.staleBrokerEpoch,
    message: 'Expected broker epoch 101, but got broker epoch 100',
  })
  t.match(refuseBrokerEpoch(image, { brokerId: 9, brokerEpoch: 1 }), {
    error: errors.staleBrokerEpoch,
  })
})

t.test('alter partitions: each check has its error, in the order of Kafka', async (t) => {
  const image = clusterImage([partition(0), partition(1, { leader: 2 })], {
    fenced: [5],
    shuttingDown: [3],
  })
  const cases: [string, Partial<PartitionAlteration>, (typeof errors)[keyof typeof errors]][] = [
    ['unknown topic', { topicId: 'bb'.padStart(32, '0') }, errors.unknownTopicId],
    ['unknown partition', { index: 7 }, errors.unknownTopicOrPartition],
    ['negative partition', { index: -1 }, errors.unknownTopicOrPartition],
    ['leader epoch ahead', { leaderEpoch: 6, partitionEpoch: 1 }, errors.notController],
    ['partition epoch ahead', { leaderEpoch: 4, partitionEpoch: 10 }, errors.notController],
    ['leader epoch behind', { leaderEpoch: 4, partitionEpoch: 8 }, errors.fencedLeaderEpoch],
    ['not the leader', { index: 1, partitionEpoch: 8 }, errors.invalidRequest],
    ['partition epoch behind', { partitionEpoch: 8, isr: [] }, errors.invalidUpdateVersion],
    ['empty', { isr: [] }, errors.invalidRequest],
    ['twice', { isr: members(1, 1) }, errors.invalidRequest],
    ['not a replica', { isr: members(1, 4) }, errors.invalidRequest],
    ['without the leader', { isr: members(2) }, errors.invalidRequest],
    ['recovering with others', { recovering: true }, errors.invalidRequest],
    ['recovering again', { recovering: true, isr: members(1) }, errors.invalidRequest],
    ['shutting down', { isr: members(1, 3) }, errors.ineligibleReplica],
    ['wiped since', { isr: [{ brokerId: 1, brokerEpoch: 100 }] }, errors.ineligibleReplica],
  ]
  for (const [name, options, error] of cases) {
    const { records, answer } = planAlterations(plannerOf(image), request(proposal(options)))
    t.match(answer, [{ ok: false, error }], name)
    t.same(records, [], name)
  }
  const fenced = clusterImage([partition(0)], { fenced: [2] })
  const { answer } = planAlterations(plannerOf(fenced), request(proposal()))
  t.match(answer, [{ ok: false, error: errors.ineligibleReplica }])
})

t.test('alter partitions: a partition that is there twice changes once', async (t) => {
  const image = clusterImage([partition(0)])
  const { records, answer } = planAlterations(
    plannerOf(image),
    request(proposal(), proposal({ isr: members(1) })),
  )
  t.match(answer, [{ ok: true }, { ok: false, error: errors.invalidUpdateVersion }])
  t.match(after(image, records), { isr: [1, 2] })
})

t.test(
  'alter partitions: a leader of an unclean election settles, then the ISR grows',
  async (t) => {
    const image = clusterImage([partition(0, { isr: [1], recovering: true })])
    const settled = planAlterations(plannerOf(image), request(proposal({ isr: members(1) })))
    t.match(settled.answer, [{ ok: true, recovering: false, partitionEpoch: 10 }])
    const state = after(image, settled.records)
    t.equal(state?.recovering, undefined)
    t.equal(state?.leaderEpoch, 5)
  },
)

t.test('alter partitions: the ISR that completes a reassignment drops who goes', async (t) => {
  const moving = { replicas: [4, 2, 1], adding: [4], removing: [1], isr: [1, 2] }
  const image = clusterImage([
    partition(0, moving),
    partition(1, { ...moving, replicas: [1, 4, 2], removing: [2] }),
  ])
  const { records, answer } = planAlterations(
    plannerOf(image),
    request(proposal({ isr: members(1, 2, 4) }), proposal({ index: 1, isr: members(1, 2, 4) })),
  )
  t.match(answer, [
    { ok: false, error: errors.newLeaderElected },
    { ok: true, isr: [1, 4], leader: 1, leaderEpoch: 6 },
  ])
  t.same(after(image, records), {
    index: 0,
    replicas: [4, 2],
    isr: [2, 4],
    leader: 4,
    leaderEpoch: 6,
    partitionEpoch: 10,
  })
})
