// Goal: what assignors promise. Method: Kafka's own examples, and random groups that change step by step.
import t, { type Test } from 'tap'
import type { Assignment } from '../../../../broker/group/consumer/assignment.ts'
import { partitionCountOf } from '../../../../broker/group/consumer/assignment.ts'
import {
  assignors,
  type Assignor,
  type GroupAssignment,
  type GroupSpec,
  type MemberSpec,
} from '../../../../broker/group/consumer/assignor.ts'
import { SeededRandom, testSeed } from '../../../support/seeded-random.ts'
import { cpuTimeMs } from '../../../support/cpu-time.ts'

const uniform = assignors.get('uniform')!
const range = assignors.get('range')!
const none: Assignment = new Map()

interface Shape {
  readonly topics: Readonly<Record<string, number>>
  /** Topics by member; a name with "@" is that of a static member. */
  readonly members: Readonly<Record<string, readonly string[]>>
  readonly before?: GroupAssignment
}

function specOf({ topics, members, before = new Map() }: Shape): GroupSpec {
  const entries = Object.entries(members).map(([id, names]): [string, MemberSpec] => [
    id,
    {
      instanceId: id.includes('@') ? id.slice(id.indexOf('@') + 1) : null,
      topicIds: new Set(names.filter((name) => name in topics)),
      assigned: before.get(id) ?? none,
    },
  ])
  const keys = new Set(Object.values(members).map((names) => [...names].sort().join()))
  const partitionCounts = new Map(Object.entries(topics))
  return { members: new Map(entries), partitionCounts, homogeneous: keys.size <= 1 }
}

/** As `member: topic0,1 other2`. */
function text(assignment: GroupAssignment): Record<string, string> {
  return Object.fromEntries(
    [...assignment].map(([member, topics]) => [
      member,
      [...topics]
        .map(([topic, partitions]) => `${topic}:${[...partitions].sort((a, b) => a - b).join()}`)
        .sort()
        .join(' '),
    ]),
  )
}

t.test('range: consecutive partitions, the same of each topic', async (t) => {
  const shape = { topics: { a: 3, b: 3 }, members: { one: ['a', 'b'], two: ['a', 'b'] } }
  t.strictSame(text(range(specOf(shape))), { one: 'a:0,1 b:0,1', two: 'a:2 b:2' })
})

t.test('range: members with different topics', async (t) => {
  const members = { A: ['a', 'b'], B: ['c'], C: ['b', 'c'] }
  const shape = { topics: { a: 3, b: 3, c: 2 }, members }
  t.strictSame(text(range(specOf(shape))), { A: 'a:0,1,2 b:0,1', B: 'c:0', C: 'b:2 c:1' })
})

t.test('range: static members come first, in the order of their instances', async (t) => {
  const names = ['a']
  const shape = { topics: { a: 3 }, members: { x: names, 'z@1': names, 'y@2': names } }
  t.strictSame(text(range(specOf(shape))), { 'z@1': 'a:0', 'y@2': 'a:1', x: 'a:2' })
})

t.test('range: more members than partitions', async (t) => {
  const shape = { topics: { a: 1 }, members: { one: ['a'], two: ['a'], three: [] } }
  t.strictSame(text(range(specOf(shape))), { one: 'a:0', three: '', two: '' })
})

t.test('uniform: a first assignment fills one member after the other', async (t) => {
  const shape = { topics: { a: 3, c: 3 }, members: { A: ['a', 'c'], B: ['a', 'c'] } }
  t.strictSame(text(uniform(specOf(shape))), { A: 'a:0,1,2', B: 'c:0,1,2' })
})

t.test('uniform: a new member takes no more than it must', async (t) => {
  const topics = { a: 5 }
  const first = uniform(specOf({ topics, members: { A: ['a'], B: ['a'] } }))
  t.strictSame(text(first), { A: 'a:0,1,2', B: 'a:3,4' })
  const members = { A: ['a'], B: ['a'], C: ['a'] }
  const second = uniform(specOf({ topics, members, before: first }))
  t.strictSame(text(second), { A: 'a:0,1', B: 'a:3,4', C: 'a:2' })
})

t.test('uniform: who has one more keeps it, whatever its place', async (t) => {
  const topics = { a: 3 }
  const members = { A: ['a'], B: ['a'] }
  const before = new Map([
    ['A', new Map([['a', new Set([0])]])],
    ['B', new Map([['a', new Set([1, 2])]])],
  ])
  t.strictSame(text(uniform(specOf({ topics, members, before }))), { A: 'a:0', B: 'a:1,2' })
})

t.test('uniform: different topics, least loaded first', async (t) => {
  const members = { A: ['a', 'b'], B: ['c'], C: ['b', 'c'] }
  const result = uniform(specOf({ topics: { a: 3, b: 3, c: 2 }, members }))
  t.equal(
    [...result.values()].reduce((sum, each) => sum + partitionCountOf(each), 0),
    8,
  )
  t.equal(result.get('A')?.get('a')?.size, 3, 'only A wants it')
  t.ok(partitionCountOf(result.get('B')!) >= 2)
})

t.test('assignors: nobody, nothing', async (t) => {
  for (const assign of [uniform, range]) {
    t.strictSame(text(assign(specOf({ topics: {}, members: {} }))), {})
    t.strictSame(text(assign(specOf({ topics: {}, members: { A: ['gone'] } }))), { A: '' })
    const twoTopics = { topics: { a: 1 }, members: { A: ['a'], B: ['gone'] } }
    t.strictSame(text(assign(specOf(twoTopics))), { A: 'a:0', B: '' })
  }
})

/** What must hold of any assignment; the number of partitions that moved from a member that is still there. */
function check(t: Test, spec: GroupSpec, result: GroupAssignment): number {
  const owners = new Map<string, string>()
  let moved = 0
  for (const [memberId, topics] of result) {
    const member = spec.members.get(memberId)!
    for (const [topic, partitions] of topics) {
      if (!member.topicIds.has(topic)) t.fail(`${memberId} does not subscribe to ${topic}`)
      for (const partition of partitions) {
        const key = `${topic}:${partition}`
        if (owners.has(key)) t.fail(`${key} has two owners`)
        owners.set(key, memberId)
      }
    }
    for (const [topic, partitions] of member.assigned) {
      if (!member.topicIds.has(topic)) continue
      for (const partition of partitions) if (!topics.get(topic)?.has(partition)) moved++
    }
  }
  for (const [topic, count] of spec.partitionCounts) {
    const isWanted = [...spec.members.values()].some(({ topicIds }) => topicIds.has(topic))
    for (let partition = 0; isWanted && partition < count; partition++) {
      if (!owners.has(`${topic}:${partition}`)) t.fail(`${topic}:${partition} has no owner`)
    }
  }
  return moved
}

function spread(result: GroupAssignment): number {
  const sizes = [...result.values()].map(partitionCountOf)
  return Math.max(...sizes) - Math.min(...sizes)
}

function randomGroup(t: Test, assign: Assignor, random: SeededRandom): void {
  const alike = random.chance(0.5)
  const names = Array.from({ length: 1 + random.below(5) }, (_, index) => `topic-${index}`)
  const topics = Object.fromEntries(names.map((name) => [name, 1 + random.below(12)]))
  const members: Record<string, readonly string[]> = {}
  let before: GroupAssignment = new Map()
  for (let step = 0; step < 12; step++) {
    const ids = Object.keys(members)
    const leaves = ids.length > 1 && random.chance(0.4)
    if (leaves) delete members[random.pick(ids)]
    else members[`member-${step}`] = names.filter(() => alike || random.chance(0.6))
    const spec = specOf({ topics, members, before })
    const result = assign(spec)
    const moved = check(t, spec, result)
    if (assign === uniform && alike) {
      if (spread(result) > 1) t.fail(`spread ${spread(result)}`)
      const total = Object.values(topics).reduce((sum, count) => sum + count, 0)
      const fair = Math.ceil(total / Object.keys(members).length)
      if (moved > (leaves ? 0 : fair)) t.fail(`${moved} partitions moved needlessly`)
    }
    if (assign === uniform) {
      const again = assign(specOf({ topics, members, before: result }))
      t.strictSame(text(again), text(result), 'what is balanced stays')
    }
    before = result
  }
}

const seed = testSeed(7)
for (const [name, assign] of assignors) {
  t.test(`${name}: random groups, seed ${seed}`, async (t) => {
    const random = new SeededRandom(seed)
    for (let group = 0; group < 100; group++) randomGroup(t, assign, random)
    t.pass('all partitions were assigned, once')
  })
}

t.test('uniform: a large group of different subscriptions is assigned fast', async (t) => {
  const random = new SeededRandom(seed)
  const names = Array.from({ length: 200 }, (_, index) => `topic-${index}`)
  const topics = Object.fromEntries(names.map((name) => [name, 10]))
  const members = Object.fromEntries(
    Array.from({ length: 200 }, (_, index) => [
      `member-${index}`,
      names.filter(() => random.chance(0.5)),
    ]),
  )
  const spec = specOf({ topics, members })
  const started = cpuTimeMs()
  const result = uniform(spec)
  const ms = cpuTimeMs() - started
  check(t, spec, result)
  t.comment(`${ms.toFixed(0)} ms for 2,000 partitions and 200 members`)
  t.ok(ms < 2000)
})
