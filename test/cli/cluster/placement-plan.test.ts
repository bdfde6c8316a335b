import t from 'tap'
import { Prng } from '../../../base/simulated/prng.ts'
import { planDrain, planPlacement, withoutGoing } from '../../../cli/cluster/placement-plan.ts'
import type { Move, PartitionState } from '../../../cli/cluster/cluster-client.ts'
import { parsePlan, planText } from '../../../cli/cluster/plan-file.ts'

const brokers = (count: number, racks = 0): { id: number; rack: string | null }[] =>
  Array.from({ length: count }, (_, at) => ({
    id: at + 1,
    rack: racks === 0 ? null : `rack${at % racks}`,
  }))

const partition = (index: number, replicas: number[], inSync = replicas): PartitionState => {
  return { topic: 'a', index, leader: replicas[0] ?? -1, replicas, inSync }
}

function applied(partitions: readonly PartitionState[], moves: readonly Move[]): number[][] {
  return partitions.map(({ index, replicas }) => {
    const move = moves.find((each) => each.index === index)
    return [...(move?.replicas ?? replicas)]
  })
}

function spread(numbers: readonly number[], ids: readonly number[]): number {
  const counts = ids.map((id) => numbers.filter((number) => number === id).length)
  return Math.max(...counts) - Math.min(...counts)
}

t.test('plan: nothing is moved where all is even', async (t) => {
  const partitions = [partition(0, [1, 2, 3]), partition(1, [2, 3, 1]), partition(2, [3, 1, 2])]
  const plan = { partitions, isMovable: () => true, brokers: brokers(3), isEven: true }
  t.same(planPlacement(plan), [])
})

t.test('plan: a new broker gets its share, and no more moves than that', async (t) => {
  const partitions = Array.from({ length: 12 }, (_, index) =>
    partition(
      index,
      [
        [1, 2, 3],
        [2, 3, 1],
        [3, 1, 2],
      ][index % 3] ?? [],
    ),
  )
  const moves = planPlacement({
    partitions,
    isMovable: () => true,
    brokers: brokers(4),
    isEven: true,
  })
  const after = applied(partitions, moves)
  t.same(spread(after.flat(), [1, 2, 3, 4]), 0)
  t.ok(
    spread(
      after.map(([first = 0]) => first),
      [1, 2, 3, 4],
    ) <= 1,
  )
  const copied = moves.flatMap(({ replicas }) => replicas ?? []).filter((id) => id === 4)
  t.equal(copied.length, 9)
})

t.test('plan: any cluster ends up even, on the brokers that may hold something', async (t) => {
  const seed = Number(process.env['SEED'] ?? 1)
  const random = new Prng(String(seed))
  const below = (limit: number): number => Math.floor(random.fraction() * limit)
  for (let round = 0; round < 200; round++) {
    const count = 3 + below(6)
    const all = Array.from({ length: count }, (_, at) => at + 1)
    const leaving = below(2) === 0 ? 1 + below(count) : 0
    const able = brokers(count).filter(({ id }) => id !== leaving)
    const partitions = Array.from({ length: 1 + below(60) }, (_, index) => {
      const size = 1 + below(Math.min(3, able.length))
      const replicas = all.toSorted(() => random.fraction() - 0.5).slice(0, size)
      return partition(index, replicas)
    })
    const moves = planPlacement({ partitions, isMovable: () => true, brokers: able, isEven: true })
    const after = applied(partitions, moves)
    const ids = able.map(({ id }) => id)
    for (const [at, replicas] of after.entries()) {
      const { length } = partitions[at]?.replicas ?? []
      const isRight = replicas.every((id) => ids.includes(id)) && new Set(replicas).size === length
      if (!isRight) t.fail(`seed ${seed} round ${round}: ${replicas.join()}`)
    }
    if (spread(after.flat(), ids) > 1) t.fail(`seed ${seed} round ${round}: replicas are uneven`)
  }
})

t.test('plan: replicas stay on different racks, and may become fewer or more', async (t) => {
  const partitions = Array.from({ length: 8 }, (_, index) => partition(index, [1, 2]))
  const options = { partitions, isMovable: () => true, brokers: brokers(4, 2), isEven: true }
  for (const replicas of applied(partitions, planPlacement(options)))
    t.equal(new Set(replicas.map((id) => id % 2)).size, 2)
  const fewer = applied(partitions, planPlacement({ ...options, replicas: 1 }))
  t.same([...new Set(fewer.map(({ length }) => length))], [1])
  const more = applied(partitions, planPlacement({ ...options, replicas: 3 }))
  t.same([...new Set(more.map(({ length }) => length))], [3])
  t.throws(() => planPlacement({ ...options, replicas: 5 }), { code: 'TOO_FEW_BROKERS' })
})

t.test('plan: of a partition on the move the replicas that go do not count', async (t) => {
  const moving = { topic: 'a', index: 0, replicas: [2, 3, 4, 1], adding: [4], removing: [1] }
  const seen = [partition(0, [2, 3, 4, 1]), partition(1, [1, 2, 3])]
  const partitions = withoutGoing(seen, [moving])
  t.same(applied(partitions, []), [
    [2, 3, 4],
    [1, 2, 3],
  ])
  const moves = planPlacement({
    partitions,
    isMovable: ({ replicas }) => replicas.includes(1),
    brokers: brokers(4).filter(({ id }) => id !== 1),
    isEven: false,
  })
  t.same(
    moves.map(({ index, replicas }) => [index, replicas?.toSorted()]),
    [[1, [2, 3, 4]]],
  )
})

t.test('drain: others lead in turns, the replicas stay', async (t) => {
  const partitions = [
    partition(0, [1, 2, 3]),
    partition(1, [1, 2, 3]),
    partition(2, [1, 2, 3], [1, 3]),
    partition(3, [2, 1]),
    partition(4, [1]),
  ]
  t.same(planDrain(partitions, 1), [
    { topic: 'a', index: 0, replicas: [3, 2, 1] },
    { topic: 'a', index: 1, replicas: [2, 3, 1] },
    { topic: 'a', index: 2, replicas: [3, 2, 1] },
  ])
})

t.test("plan file: Kafka's own format, checked", async (t) => {
  const moves = [{ topic: 'a', index: 1, replicas: [3, 1] }]
  t.same(JSON.parse(planText(moves)), {
    version: 1,
    partitions: [{ topic: 'a', partition: 1, replicas: [3, 1] }],
  })
  t.same(parsePlan('p', planText(moves)), moves)
  t.same(parsePlan('p', planText([])), [])
  for (const text of [
    '',
    '{}',
    '{"version":2,"partitions":[]}',
    '{"version":1,"partitions":[1]}',
    '{"version":1,"partitions":[{"topic":"a","partition":0,"replicas":[]}]}',
    '{"version":1,"partitions":[{"topic":"a","partition":0,"replicas":["1"]}]}',
  ])
    t.throws(() => parsePlan('p', text), { code: 'USAGE' }, text)
  const twice = planText([...moves, ...moves])
  t.throws(() => parsePlan('p', twice), { message: /twice/ })
})
