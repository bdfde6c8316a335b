/** Consumer groups of every client, alone and mixed, under the classic protocol and KIP-848. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { GroupFixture, Members, sessionMs } from './group-fixture.ts'
import { hasGo, shared } from './group-member.ts'
import type { GroupMember, MemberProgram, MemberSettings, MemberTarget } from './group-member.ts'
import { eventually, pause, run } from './processes.ts'

t.setTimeout(600_000)
const partitionCount = 6
const fixture = await GroupFixture.start(t, 'groups')

const kinds: readonly [MemberProgram, MemberSettings][] = [
  ['sdk', {}],
  ['sdk', { protocol: 'consumer' }],
  ['kafkajs', {}],
  ['platformatic', {}],
  ['platformatic', { assignor: 'cooperative-sticky' }],
  ['platformatic', { protocol: 'consumer' }],
  ['librdkafka', { assignor: 'range' }],
  ['librdkafka', { assignor: 'cooperative-sticky' }],
  ['librdkafka', { protocol: 'consumer' }],
  ['java', { assignor: 'range' }],
  ['java', { assignor: 'cooperative-sticky' }],
  ['java', { protocol: 'consumer', assignor: 'uniform' }],
  ['java', { protocol: 'consumer', assignor: 'range' }],
  ['franz-go', { assignor: 'range' }],
  ['franz-go', { assignor: 'cooperative-sticky' }],
]

for (const [program, settings] of kinds) {
  const name = [program, settings.protocol ?? 'classic', settings.assignor ?? '']
    .join(' ')
    .trimEnd()
  const skip = program === 'franz-go' && !hasGo ? 'no Go here' : false
  await t.test(`${name}: shares, leaves, commits and resumes`, { skip }, async (t) => {
    const target = await fixture.target(partitionCount)
    await fixture.load(target.topic, 300)
    const members = new Members(t, target)
    const first = members.start(program, settings)
    const second = members.start(program, settings)
    await shared([first, second], partitionCount)
    await members.processed(300)
    await second.leave()
    await shared([first], partitionCount)
    await allCommitted(target, 300)
    await first.leave()

    const before = await fixture.committed(target)
    await fixture.load(target.topic, 60)
    const third = members.start(program, settings)
    await members.processed(360)
    const again = third.records.filter(({ partition, offset }) => offset < before[partition]!)
    t.strictSame(again, [], 'begins where the group had committed')
    await allCommitted(target, 360)
    await third.leave()
  })
}

await t.test('kcat: reads a topic as a group, and only once', async (t) => {
  const target = await fixture.target(partitionCount)
  await fixture.load(target.topic, 300)
  const args = ['-b', target.brokers, '-X', 'auto.offset.reset=earliest', '-e', '-q']
  const consume = async (): Promise<number> => {
    const output = join(fixture.path, 'kcat')
    await run('kcat', [...args, '-G', target.group, target.topic], { outputFile: output })
    return readFileSync(output, 'utf8').split('\n').length - 1
  }
  t.equal(await consume(), 300)
  await allCommitted(target, 300)
  await fixture.load(target.topic, 40)
  t.equal(await consume(), 40)
})

const mixed: readonly [string, readonly MemberProgram[]][] = [
  ['range', ['kafkajs', 'java', 'librdkafka', 'franz-go']],
  ['roundrobin', ['platformatic', 'java', 'librdkafka', 'franz-go']],
  ['cooperative-sticky', ['sdk', 'platformatic', 'java', 'librdkafka', 'franz-go']],
]
for (const [assignor, programs] of mixed) {
  await t.test(`${programs.join(', ')}: one classic group, ${assignor}`, async (t) => {
    const target = await fixture.target(12)
    await fixture.load(target.topic, 600)
    const members = new Members(t, target)
    const all = members.startAll(programs, { assignor })
    await shared(all, 12)
    await members.processed(600)
    const [first, ...others] = all
    await first?.leave()
    await shared(others, 12)
    await fixture.load(target.topic, 100)
    await members.processed(700)
    await allCommitted(target, 700)
  })
}

await t.test('sdk, platformatic, java, librdkafka: one KIP-848 group', async (t) => {
  const target = await fixture.target(12)
  await fixture.load(target.topic, 600)
  const members = new Members(t, target)
  const all = members.startAll(['sdk', 'platformatic', 'java', 'librdkafka'], {
    protocol: 'consumer',
  })
  await shared(all, 12)
  await members.processed(600)
  const [first, ...others] = all
  await first?.leave()
  await shared(others, 12)
  await fixture.load(target.topic, 100)
  await members.processed(700)
  await allCommitted(target, 700)
})

await t.test('migration: a classic group takes a KIP-848 member in, and goes back', async (t) => {
  const target = await fixture.target(12)
  await fixture.load(target.topic, 300)
  const members = new Members(t, target)
  const classic = [members.start('librdkafka', { assignor: 'cooperative-sticky' })]
  await shared(classic, 12)
  const modern = members.start('java', { protocol: 'consumer' })
  await shared([...classic, modern], 12)
  classic.push(members.start('kafkajs', {}))
  await shared([...classic, modern], 12, { even: false })
  await members.processed(300)
  await modern.leave()
  await shared(classic, 12, { even: false })
  await fixture.load(target.topic, 100)
  await members.processed(400)
  await allCommitted(target, 400)
})

for (const [program, assignor] of [
  ['java', 'cooperative-sticky'],
  ['librdkafka', 'range'],
] as const) {
  await t.test(`${program} classic: a static member comes back to its partitions`, async (t) => {
    const target = await fixture.target(partitionCount)
    const members = new Members(t, target)
    const settings = { assignor, session: 20_000 }
    const first = members.start(program, { ...settings, instance: 'one' })
    const second = members.start(program, { ...settings, instance: 'two' })
    await shared([first, second], partitionCount)
    const owned = sorted(second)
    const { assignedCount } = first
    await second.kill()
    const again = members.start(program, { ...settings, instance: 'two' })
    await shared([first, again], partitionCount)
    t.strictSame(sorted(again), owned, 'the same partitions')
    t.equal(first.assignedCount, assignedCount, 'nobody else rebalanced')
  })
}

await t.test('java KIP-848: a static member comes back to its partitions', async (t) => {
  const target = await fixture.target(partitionCount)
  const members = new Members(t, target)
  const settings = { protocol: 'consumer' } as const
  const first = members.start('java', { ...settings, instance: 'one' })
  const second = members.start('java', { ...settings, instance: 'two' })
  await shared([first, second], partitionCount)
  const owned = sorted(second)
  const { length } = first.revokedPartitions
  await second.leave()
  const again = members.start('java', { ...settings, instance: 'two' })
  await shared([first, again], partitionCount)
  t.strictSame(sorted(again), owned, 'the same partitions')
  t.equal(first.revokedPartitions.length, length, 'nobody else gave anything up')
})

await t.test(
  'librdkafka classic: the second of two with one instance id fences the first',
  async (t) => {
    const target = await fixture.target(partitionCount)
    const members = new Members(t, target)
    const first = members.start('librdkafka', { instance: 'one' })
    await shared([first], partitionCount)
    const second = members.start('librdkafka', { instance: 'one' })
    await shared([second], partitionCount)
    await eventually(() => !first.running || /fenced/i.test(first.log) || undefined, {
      timeoutMs: 10_000,
      describe: () => first.log,
    })
  },
)

await t.test('java KIP-848: a pattern is resolved by the broker', async (t) => {
  const { brokers, group, topic } = await fixture.target(partitionCount)
  const members = new Members(t, { brokers, group, topic: `^${topic}(x.*)?` })
  const member = members.start('java', { protocol: 'consumer' })
  await shared([member], partitionCount)
  await fixture.load(topic, 30)
  await members.processed(30)
})

await t.test(
  'classic and KIP-848: a killed member is replaced when its session ends',
  async (t) => {
    for (const protocol of ['classic', 'consumer'] as const) {
      const target = await fixture.target(partitionCount)
      const members = new Members(t, target)
      const first = members.start('librdkafka', { protocol })
      const second = members.start('librdkafka', { protocol })
      await shared([first, second], partitionCount)
      await second.kill()
      await pause(sessionMs / 3)
      t.not(first.partitions.size, partitionCount, 'not before')
      await shared([first], partitionCount, { timeoutMs: sessionMs + 2000 })
    }
  },
)

/** The sum of all committed offsets of partitions that begin at 0. */
async function allCommitted(target: MemberTarget, count: number): Promise<void> {
  let committed: number[] = []
  const isThere = async (): Promise<true | undefined> => {
    committed = await fixture.committed(target)
    return committed.reduce((sum, offset) => sum + Math.max(offset, 0), 0) === count || undefined
  }
  await eventually(isThere, {
    timeoutMs: 10_000,
    describe: () => `${count} records committed, not ${committed.join()}`,
  })
}

function sorted(member: GroupMember): number[] {
  return [...member.partitions].toSorted((a, b) => a - b)
}
