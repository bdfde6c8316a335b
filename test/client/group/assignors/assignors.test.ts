import t from 'tap'
import type { Assignment, AssignorMember } from '../../../../client/group/assignors/assignor.ts'
import { assignorOf } from '../../../../client/group/assignors/assignors.ts'
import { assignorNames, type AssignorName } from '../../../../client/group/assignors/names.ts'
import { cooperativeData, stickyData } from '../../../../client/group/assignors/claims.ts'
import { partitionKey } from '../../../../client/group/partitions.ts'
import type { TopicPartition } from '../../../../client/topic.ts'
import { SeededRandom, testSeed } from '../../../support/seeded-random.ts'

interface History {
  readonly partitions: readonly TopicPartition[]
  readonly generation: number
}

/** With its history where every sticky assignor looks for it. */
function member(
  memberId: string,
  topics: string[],
  { partitions = [], generation = -1 }: Partial<History> = {},
  instanceId: string | null = null,
): AssignorMember {
  return {
    memberId,
    instanceId,
    subscription: {
      topics,
      userData: stickyData({ assignment: partitions, generation }),
      ownedPartitions: partitions,
      generation,
      rackId: null,
    },
  }
}

function of(topic: string, ...partitions: number[]): TopicPartition[] {
  return partitions.map((partition) => ({ topic, partition }))
}

function shown(assignment: Assignment): Record<string, string> {
  return Object.fromEntries(
    [...assignment].map(([memberId, partitions]) => [
      memberId,
      partitions.map(({ topic, partition }) => `${topic}${partition}`).join(' '),
    ]),
  )
}

const assign = (name: AssignorName, members: AssignorMember[], counts: Record<string, number>) =>
  shown(assignorOf(name).assign(members, new Map(Object.entries(counts))))

t.test('range: runs of every topic, the first members get more', async (t) => {
  const members = [member('b', ['x', 'y']), member('a', ['x', 'y'])]
  t.same(assign('range', members, { x: 3, y: 3 }), { a: 'x0 x1 y0 y1', b: 'x2 y2' })
})

t.test('range: only to subscribers, static members by their instance id and first', async (t) => {
  const members = [
    member('a', ['x']),
    member('z', ['x'], {}, 'i1'),
    member('b', ['x'], {}, 'i2'),
    member('c', ['nothing']),
  ]
  t.same(assign('range', members, { x: 4 }), { z: 'x0 x1', b: 'x2', a: 'x3', c: '' })
})

t.test('round-robin: dealt in turn, passing over those who did not subscribe', async (t) => {
  const members = [member('a', ['x']), member('b', ['x', 'y']), member('c', ['x', 'y', 'z'])]
  // The example of Kafka's documentation.
  t.same(assign('roundrobin', members, { x: 1, y: 2, z: 3 }), {
    a: 'x0',
    b: 'y0',
    c: 'y1 z0 z1 z2',
  })
})

t.test('sticky: a new member gets its share, the others lose no more than that', async (t) => {
  const before = { generation: 3 }
  const members = [
    member('a', ['x'], { ...before, partitions: of('x', 0, 1, 2) }),
    member('b', ['x'], { ...before, partitions: of('x', 3, 4, 5) }),
    member('c', ['x']),
  ]
  t.same(assign('sticky', members, { x: 6 }), { a: 'x0 x1', b: 'x3 x4', c: 'x2 x5' })
})

t.test('sticky: the higher generation is right, equal ones are not believed', async (t) => {
  const members = [
    member('a', ['x'], { partitions: of('x', 0, 1), generation: 3 }),
    member('b', ['x'], { partitions: of('x', 1, 2), generation: 4 }),
  ]
  t.same(assign('sticky', members, { x: 4 }), { a: 'x0 x3', b: 'x1 x2' })
  const disputing = [
    member('a', ['x'], { partitions: of('x', 0, 1), generation: 4 }),
    member('b', ['x'], { partitions: of('x', 1), generation: 4 }),
  ]
  t.same(assign('sticky', disputing, { x: 2 }), { a: 'x0', b: 'x1' })
})

t.test('cooperative-sticky: what moves is first given up, then handed out', async (t) => {
  const members = [
    member('a', ['x'], { partitions: of('x', 0, 1, 2, 3), generation: 1 }),
    member('b', ['x']),
  ]
  t.same(assign('cooperative-sticky', members, { x: 4 }), { a: 'x0 x1', b: '' })
  const next = [
    member('a', ['x'], { partitions: of('x', 0, 1), generation: 2 }),
    member('b', ['x'], { partitions: [], generation: 2 }),
  ]
  t.same(assign('cooperative-sticky', next, { x: 4 }), { a: 'x0 x1', b: 'x2 x3' })
})

t.test('cooperative-sticky: an outdated claim takes nothing from the owner', async (t) => {
  const members = [
    member('a', ['x'], { partitions: of('x', 0, 1), generation: 5 }),
    member('b', ['x'], { partitions: of('x', 0, 1), generation: 2 }),
  ]
  t.same(assign('cooperative-sticky', members, { x: 2 }), { a: 'x0', b: '' })
})

t.test('assignors: members without topics, topics without partitions, nobody at all', async (t) => {
  for (const name of assignorNames as AssignorName[]) {
    t.same(assign(name, [], {}), {})
    t.same(assign(name, [member('a', [])], { x: 1 }), { a: '' })
    t.same(assign(name, [member('a', ['gone'])], { x: 1 }), { a: '' })
  }
})

// Random groups over random histories: everything once, to subscribers, as even as single moves can make it;
// and cooperative groups come to rest after two rounds.
t.test('sticky assignors: hold their invariants for random groups', async (t) => {
  const seed = testSeed(7)
  const random = new SeededRandom(seed)
  for (let round = 0; round < 300; round++) {
    const counts = new Map(
      ['x', 'y', 'z'].map((topic): [string, number] => [topic, random.below(9)]),
    )
    const equal = random.chance(0.5)
    const members = Array.from({ length: 1 + random.below(6) }, (_, index) => {
      const topics = equal ? ['x', 'y', 'z'] : ['x', 'y', 'z'].filter(() => random.chance(0.6))
      const partitions = ['x', 'y', 'z', 'gone'].flatMap((topic) =>
        of(topic, 0, 1, 2, 3).filter(() => random.chance(0.2)),
      )
      return member(`m${index}`, topics, { partitions, generation: random.below(3) })
    })
    const assignment = assignorOf('sticky').assign(members, counts)
    const problem = problemOf(members, counts, assignment)
    if (problem !== undefined) t.fail(`seed ${seed} round ${round}: ${problem}`)
    const settled = cooperate(members, counts)
    const unsettled = problemOf(members, counts, settled)
    if (unsettled !== undefined) t.fail(`seed ${seed} round ${round}, cooperative: ${unsettled}`)
  }
  t.pass('300 groups')
})

/** Members give up what they don't get and rejoin; at rest when an assignment changes nothing. */
function cooperate(members: AssignorMember[], counts: ReadonlyMap<string, number>): Assignment {
  let current = members
  for (let generation = 10; generation < 14; generation++) {
    const assignment = assignorOf('cooperative-sticky').assign(current, counts)
    for (const [memberId, partitions] of assignment) {
      for (const { memberId: otherId, subscription } of current) {
        if (otherId === memberId) continue
        const taken = new Set(partitions.map(partitionKey))
        const both = subscription.ownedPartitions.find((each) => taken.has(partitionKey(each)))
        const rightful = current.find((each) => each.memberId === memberId)
        const isOutdated = subscription.generation < (rightful?.subscription.generation ?? -1)
        if (both !== undefined && !isOutdated)
          throw new Error(`${partitionKey(both)} is handed to ${memberId} while ${otherId} has it`)
      }
    }
    const settled = current.every(({ memberId, subscription }) => {
      const partitions = assignment.get(memberId)!
      const owned = new Set(subscription.ownedPartitions.map(partitionKey))
      return partitions.length === owned.size && partitions.every((p) => owned.has(partitionKey(p)))
    })
    if (settled && generation > 10) return assignment
    current = current.map(({ memberId, subscription }) =>
      member(memberId, [...subscription.topics], {
        partitions: assignment.get(memberId)!,
        generation,
      }),
    )
  }
  throw new Error('it never comes to rest')
}

function problemOf(
  members: AssignorMember[],
  counts: ReadonlyMap<string, number>,
  assignment: Assignment,
): string | undefined {
  const holders = new Map<string, string>()
  for (const [memberId, partitions] of assignment) {
    const topics = members.find((each) => each.memberId === memberId)!.subscription.topics
    for (const each of partitions) {
      const key = partitionKey(each)
      if (holders.has(key)) return `${key} is assigned twice`
      if (!topics.includes(each.topic)) return `${memberId} did not want ${key}`
      if (each.partition >= counts.get(each.topic)!) return `${key} does not exist`
      holders.set(key, memberId)
    }
  }
  for (const [topic, count] of counts) {
    const wanting = members.filter(({ subscription }) => subscription.topics.includes(topic))
    for (let partition = 0; partition < count && wanting.length > 0; partition++) {
      const holder = holders.get(partitionKey({ topic, partition }))
      if (holder === undefined) return `${topic}-${partition} is not assigned`
      const size = assignment.get(holder)!.length
      const better = wanting.find(({ memberId }) => assignment.get(memberId)!.length < size - 1)
      if (better !== undefined) return `${topic}-${partition} should be with ${better.memberId}`
    }
  }
  return undefined
}

t.test('cooperative user data: a generation', async (t) => {
  t.same(cooperativeData({ assignment: [], generation: 2 }), Buffer.from([0, 0, 0, 2]))
})
