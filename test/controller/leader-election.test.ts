import t from 'tap'
import {
  changePartition,
  electLeader,
  settlePartition,
  type ElectionMode,
} from '../../controller/leader-election.ts'
import type { PartitionState } from '../../protocol/metadata-records/records.ts'
import { SeededRandom, testSeed } from '../support/seeded-random.ts'

function partition(options: Partial<PartitionState> = {}): PartitionState {
  return {
    index: 0,
    replicas: [1, 2, 3],
    isr: [1, 2, 3],
    leader: 1,
    leaderEpoch: 5,
    partitionEpoch: 9,
    ...options,
  }
}

function rules(
  active: readonly number[],
  mode: ElectionMode = 'online',
): { mode: ElectionMode; isActive: (id: number) => boolean } {
  return { mode, isActive: (id) => active.includes(id) }
}

t.test(
  'election: the leader stays while it can, else the first replica in sync leads',
  async (t) => {
    const among = { leader: 2, replicas: [1, 2, 3], isr: [3, 2, 1] }
    t.equal(electLeader(among, rules([1, 2, 3])), 2)
    t.equal(electLeader(among, rules([1, 3])), 1)
    t.equal(electLeader({ ...among, isr: [3, 2] }, rules([1, 3])), 3)
    t.equal(electLeader({ ...among, isr: [2] }, rules([1, 3])), -1)
  },
)

t.test('election: the preferred replica leads if it is in sync', async (t) => {
  const among = { leader: 2, replicas: [1, 2, 3], isr: [1, 2, 3] }
  t.equal(electLeader(among, rules([1, 2, 3], 'preferred')), 1)
  t.equal(electLeader(among, rules([2, 3], 'preferred')), 2)
  t.equal(electLeader({ ...among, isr: [2, 3] }, rules([1, 2, 3], 'preferred')), 2)
})

t.test('election: a replica that is not in sync leads only where that is allowed', async (t) => {
  const before = partition({ isr: [1] })
  t.match(settlePartition(before, rules([2, 3])), { leader: -1, isr: [1], leaderEpoch: 6 })
  t.same(settlePartition(before, rules([2, 3], 'unclean')), {
    ...before,
    leader: 2,
    isr: [2],
    recovering: true,
    leaderEpoch: 6,
    partitionEpoch: 10,
  })
  t.match(settlePartition(partition(), rules([3], 'unclean')), { leader: 3, isr: [3] })
  t.notOk(settlePartition(partition(), rules([3], 'unclean'))?.recovering, 'it was in sync')
})

t.test('election: an ISR that only shrinks needs no new leader epoch', async (t) => {
  t.match(settlePartition(partition(), rules([1, 2])), {
    leader: 1,
    isr: [1, 2],
    leaderEpoch: 5,
    partitionEpoch: 10,
  })
  t.equal(settlePartition(partition(), rules([1, 2, 3])), undefined)
})

t.test('election: with nobody left the ISR stays, and who comes first leads alone', async (t) => {
  const dead = settlePartition(partition(), rules([]))
  t.match(dead, { leader: -1, isr: [1, 2, 3], leaderEpoch: 6 })
  t.equal(settlePartition(dead!, rules([])), undefined, 'settled once is settled')
  t.match(settlePartition(dead!, rules([3])), { leader: 3, isr: [3], leaderEpoch: 7 })
})

t.test('election: a replica that lost records leaves the ISR, unless it is the last', async (t) => {
  const lossy = new Set([1])
  t.match(settlePartition(partition(), rules([1, 2, 3]), { lossy }), { leader: 2, isr: [2, 3] })
  t.match(settlePartition(partition({ isr: [1, 2] }), rules([1]), { lossy }), {
    leader: -1,
    isr: [2],
  })
  const last = partition({ isr: [1] })
  t.equal(settlePartition(last, rules([1]), { lossy }), undefined)
  t.match(settlePartition(last, rules([1]), { lossy, lostTail: lossy }), {
    leader: 1,
    isr: [1],
    leaderEpoch: 6,
    partitionEpoch: 10,
  })
})

t.test('election: a replica that goes raises the leader epoch', async (t) => {
  const before = partition({ removing: [3] })
  const after = changePartition(
    before,
    { replicas: [1, 2], isr: [1, 2], removing: [] },
    rules([1, 2, 3]),
  )
  t.match(after, { replicas: [1, 2], isr: [1, 2], leader: 1, leaderEpoch: 6, partitionEpoch: 10 })
  t.notOk(after && 'removing' in after)
  t.match(changePartition(partition(), { replicas: [1, 2, 3, 4], adding: [4] }, rules([1, 2, 3])), {
    adding: [4],
    leaderEpoch: 5,
    partitionEpoch: 10,
  })
})

t.test('election: recovery ends when the leader says so', async (t) => {
  const before = partition({ isr: [1], recovering: true })
  t.equal(changePartition(before, {}, rules([1])), undefined)
  const after = changePartition(before, { recovering: false }, rules([1]))
  t.match(after, { partitionEpoch: 10, leaderEpoch: 5 })
  t.notOk(after?.recovering)
})

t.test('election: invariants hold whatever happens', async (t) => {
  const seed = testSeed(31)
  t.comment(`seed ${seed}`)
  const random = new SeededRandom(seed)
  const some = (from: readonly number[], chance: number): number[] =>
    from.filter(() => random.chance(chance))
  for (let round = 0; round < 20_000; round++) {
    const replicas = some([1, 2, 3, 4, 5], 0.7)
    if (replicas.length === 0) continue
    let isr = some(replicas, 0.6)
    if (isr.length === 0) isr = [random.pick(replicas)]
    let state = partition({ replicas, isr, leader: random.chance(0.3) ? -1 : random.pick(isr) })
    for (let step = 0; step < 4; step++) {
      const active = some([1, 2, 3, 4, 5], 0.5)
      const mode = random.pick<ElectionMode>(['online', 'unclean', 'preferred'])
      const lossy = random.chance(0.3) ? new Set(some(replicas, 0.3)) : new Set<number>()
      const then = rules(active, mode)
      const after = settlePartition(state, then, { lossy })
      check(state, after ?? state, { active, mode, lossy })
      if (after !== undefined && !settledTwice(after, then)) t.fail('settled once is settled')
      state = after ?? state
    }
  }
  t.pass('all rounds')
})

function settledTwice(after: PartitionState, then: ReturnType<typeof rules>): boolean {
  return settlePartition(after, then) === undefined
}

function check(
  before: PartitionState,
  after: PartitionState,
  given: { active: readonly number[]; mode: ElectionMode; lossy: ReadonlySet<number> },
): void {
  const { active, mode, lossy } = given
  const clean = before.isr.some((id) => active.includes(id) && !lossy.has(id))
  const problems = [
    after.isr.length === 0 && 'the ISR is empty',
    after.isr.some((id) => !after.replicas.includes(id)) && 'the ISR has others than replicas',
    after.leader !== -1 && !active.includes(after.leader) && 'the leader is not active',
    after.leader !== -1 && !after.isr.includes(after.leader) && 'the leader is not in sync',
    after.leader !== -1 &&
      after.isr.some((id) => !active.includes(id)) &&
      'somebody in sync is not active',
    clean && after.leader === -1 && 'somebody could lead',
    mode !== 'unclean' && after.isr.some((id) => !before.isr.includes(id)) && 'the ISR grew',
    clean && after.isr.some((id) => !before.isr.includes(id)) && 'an unclean election without need',
    clean && after.isr.some((id) => lossy.has(id)) && 'a replica that lost records is in sync',
    after.leader !== before.leader &&
      after.leaderEpoch !== before.leaderEpoch + 1 &&
      'a new leader has the old epoch',
    after.leaderEpoch < before.leaderEpoch && 'the leader epoch fell',
    after !== before && after.partitionEpoch !== before.partitionEpoch + 1 && 'no new state',
  ].filter((problem) => problem !== false)
  if (problems.length > 0)
    throw new Error(JSON.stringify({ problems, before, after, active, mode }))
}
