// Groups that change protocol while they have members, through the handlers of both protocols.
import t from 'tap'
import {
  readAssignment,
  readSubscription,
  writeAssignment,
} from '../../../../broker/group/consumer/consumer-protocol.ts'
import { handler as deleteGroups } from '../../../../broker/handlers/delete-groups.ts'
import { handler as describeGroups } from '../../../../broker/handlers/describe-groups.ts'
import { handler as heartbeatGroup } from '../../../../broker/handlers/heartbeat.ts'
import { handler as joinGroup } from '../../../../broker/handlers/join-group.ts'
import { handler as listGroups } from '../../../../broker/handlers/list-groups.ts'
import { handler as offsetCommit } from '../../../../broker/handlers/offset-commit.ts'
import { handler as leaveGroup } from '../../../../broker/handlers/leave-group.ts'
import { handler as syncGroup } from '../../../../broker/handlers/sync-group.ts'
import { errors } from '../../../../protocol/errors.ts'
import type { JoinGroup } from '../../../../protocol/messages/join-group.ts'
import type { ResponseOf } from '../../../../protocol/schema/api.ts'
import type { GroupCalls } from '../../../support/group-calls.ts'
import { subscription } from '../classic/group-under-test.ts'
import { coordinator, described, TestMember } from './test-member.ts'

const properties = { 'group.initial.rebalance.delay.ms': '0' }

/** A member of the classic protocol. */
class ClassicClient {
  readonly #calls: GroupCalls
  readonly #instance: string | null
  memberId = ''
  generation = -1
  partitions: string[] = []

  constructor(calls: GroupCalls, instance: string | null = null) {
    this.#calls = calls
    this.#instance = instance
  }

  async join(protocols: readonly string[] = ['range']): Promise<ResponseOf<typeof JoinGroup>> {
    const metadata = subscription('topic')
    const response = await this.#calls.call(joinGroup, 9, {
      groupId: 'g',
      sessionTimeoutMs: 10_000,
      rebalanceTimeoutMs: 60_000,
      memberId: this.memberId,
      groupInstanceId: this.#instance,
      protocolType: 'consumer',
      protocols: protocols.map((name) => ({ name, metadata })),
    })
    this.memberId = response.memberId
    if (response.errorCode === errors.memberIdRequired.code) return this.join(protocols)
    if (response.errorCode === 0) this.generation = response.generationId
    return response
  }

  /** `assignments`: from a leader. */
  async sync(
    assignments: readonly { memberId: string; assignment: Buffer }[] = [],
  ): Promise<number> {
    const response = await this.#calls.call(syncGroup, 5, {
      groupId: 'g',
      generationId: this.generation,
      memberId: this.memberId,
      groupInstanceId: this.#instance,
      protocolType: 'consumer',
      protocolName: 'range',
      assignments: [...assignments],
    })
    if (response.errorCode === 0) {
      const named = readAssignment(response.assignment) ?? []
      this.partitions = named.flatMap(({ topic, partitions }) =>
        partitions.map((partition) => `${topic}:${partition}`),
      )
    }
    return response.errorCode
  }

  async beat(): Promise<number> {
    const { memberId, generation } = this
    const request = { groupId: 'g', generationId: generation, memberId }
    const instance = this.#instance
    return (await this.#calls.call(heartbeatGroup, 4, { ...request, groupInstanceId: instance }))
      .errorCode
  }

  async leave(): Promise<number | undefined> {
    const members = [{ memberId: this.memberId, groupInstanceId: this.#instance, reason: null }]
    const response = await this.#calls.call(leaveGroup, 5, { groupId: 'g', members })
    return response.members[0]?.errorCode
  }
}

/** A classic client's first request, which gives it the id to join with. */
function askForId(calls: GroupCalls): Promise<ResponseOf<typeof JoinGroup>> {
  return calls.call(joinGroup, 9, {
    groupId: 'g',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 60_000,
    memberId: '',
    groupInstanceId: null,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: subscription('topic') }],
  })
}

/** A classic group of one member, which has all four partitions. */
async function classicGroup(): Promise<{ calls: GroupCalls; classic: ClassicClient }> {
  const calls = await coordinator({ topic: 4 }, { properties })
  const classic = new ClassicClient(calls)
  await classic.join()
  const id = calls.image.topicsByName.get('topic')!.id
  const all = new Map([[id, new Set([0, 1, 2, 3])]])
  const assignment = writeAssignment(all, { version: 0, image: calls.image })
  t.equal(await classic.sync([{ memberId: classic.memberId, assignment }]), 0)
  return { calls, classic }
}

t.test('migration: a member of the new protocol joins, and later leaves', async (t) => {
  const { calls, classic } = await classicGroup()
  t.equal(classic.partitions.length, 4)
  const consumer = new TestMember(calls, { memberId: 'consumer' })
  t.equal(await consumer.beat(), 0)
  t.equal(consumer.owned.size, 0)
  const group = await described(calls)
  t.strictSame(
    group.members.map(({ memberType }) => memberType).toSorted((a, b) => a - b),
    [0, 1],
  )
  t.equal(await classic.beat(), errors.rebalanceInProgress.code)
  t.equal((await classic.join()).errorCode, 0, 'its epoch: it says that it owns nothing')
  t.equal(await classic.sync(), 0)
  t.equal(classic.partitions.length, 2)
  t.equal(await classic.beat(), 0)
  await consumer.beat()
  t.equal(consumer.owned.size, 2)
  t.equal((await described(calls)).groupState, 'Stable')

  await calls.restart('kill')
  t.equal(await classic.beat(), 0, 'after a restart as before')
  t.equal(await consumer.beat(), 0)
  await consumer.leave()
  t.equal((await described(calls)).errorCode, errors.groupIdNotFound.code)
  const { groups } = await calls.call(describeGroups, 5, { groups: ['g'] })
  t.match(groups[0], { groupState: 'PreparingRebalance', protocolType: 'consumer' })
  t.equal(await classic.beat(), errors.rebalanceInProgress.code)
  const joined = await classic.join()
  t.match(joined, { errorCode: 0, leader: classic.memberId, protocolName: 'range' })
})

t.test('migration: classic members of a consumer group', async (t) => {
  const calls = await coordinator({ topic: 4 }, { properties })
  const consumer = new TestMember(calls, { memberId: 'consumer' })
  await consumer.beat()
  const classic = new ClassicClient(calls)
  const joined = await classic.join()
  t.match(joined, { errorCode: 0, protocolName: 'range', leader: '', members: { length: 0 } })
  t.equal(await classic.sync(), 0)
  t.equal(classic.partitions.length, 0, 'they are not free yet')
  t.equal(await classic.beat(), 0, 'nothing to join for yet')
  await consumer.beat()
  await consumer.beat()
  t.equal(await classic.beat(), errors.rebalanceInProgress.code, 'they are free now')
  await classic.join()
  t.equal(await classic.sync(), 0)
  t.equal(classic.partitions.length, 2)
  const other = new ClassicClient(calls)
  other.memberId = 'made-up'
  t.equal((await other.join(['sticky'])).errorCode, errors.inconsistentGroupProtocol.code)
  const { generation } = classic
  classic.generation = generation + 1
  t.equal(await classic.beat(), errors.illegalGeneration.code)
  t.equal(await classic.sync(), errors.illegalGeneration.code)
  classic.generation = generation
  t.equal(await other.beat(), errors.unknownMemberId.code)
  t.equal(await classic.leave(), 0)
  t.equal(await classic.leave(), errors.unknownMemberId.code)
  await consumer.beat()
  t.equal(consumer.owned.size, 4)
})

t.test(
  'migration: a classic member that is silent, or does not come back, is removed',
  async (t) => {
    const calls = await coordinator({ topic: 4 }, { properties })
    const consumer = new TestMember(calls, { memberId: 'consumer' })
    await consumer.beat()
    const classic = new ClassicClient(calls)
    await classic.join()
    await classic.sync()
    await calls.advance(9000)
    t.equal(await classic.beat(), 0, 'its own session timeout')
    await consumer.beat()
    await calls.advance(11_000)
    t.equal(await classic.beat(), errors.unknownMemberId.code)

    const second = new ClassicClient(calls)
    await second.join()
    await second.sync()
    for (let seconds = 0; seconds < 65; seconds += 5) {
      await consumer.beat()
      await second.beat()
      await calls.advance(5000)
    }
    t.equal(await second.beat(), errors.unknownMemberId.code, 'it was asked to join')
  },
)

t.test('migration: static members change protocol and keep their partitions', async (t) => {
  const calls = await coordinator({ topic: 4 }, { properties })
  const consumer = new TestMember(calls, { memberId: 'consumer', instanceId: 'a' })
  const classic = new ClassicClient(calls, 'b')
  await consumer.beat()
  await classic.join()
  await classic.sync()
  await consumer.beat()
  await consumer.beat()
  await classic.join()
  await classic.sync()
  t.equal(classic.partitions.length, 2)
  const upgraded = new TestMember(calls, { memberId: 'upgraded', instanceId: 'b' })
  t.equal(await upgraded.beat(), 0, 'without waiting for the old one')
  t.strictSame(upgraded.names, classic.partitions)
  t.equal(await classic.beat(), errors.fencedInstanceId.code)

  await consumer.leave(-2)
  const back = new ClassicClient(calls, 'a')
  t.equal((await back.join()).errorCode, 0)
  t.equal((await described(calls)).members.length, 2)
  await upgraded.leave()
  t.equal((await described(calls)).errorCode, errors.groupIdNotFound.code, 'classic again')
})

t.test('migration: an administrator removes members of either protocol', async (t) => {
  const calls = await coordinator({ topic: 4 }, { properties })
  const dynamic = new TestMember(calls, { memberId: 'dynamic' })
  const away = new TestMember(calls, { memberId: 'away', instanceId: 'a' })
  const classic = new ClassicClient(calls, 'b')
  await dynamic.beat()
  await away.beat()
  await classic.join()
  await away.leave(-2)
  const remove = (memberId: string, groupInstanceId: string | null): object => {
    return { memberId, groupInstanceId, reason: null }
  }
  const { members } = await calls.call(leaveGroup, 5, {
    groupId: 'g',
    members: [
      remove('other', 'a'),
      remove('', 'a'),
      remove('', 'b'),
      remove('', 'c'),
      remove('dynamic', null),
    ] as never,
  })
  t.strictSame(
    members.map(({ memberId, errorCode }) => [memberId, errorCode]),
    [
      ['other', errors.fencedInstanceId.code],
      ['', 0],
      ['', 0],
      ['', errors.unknownMemberId.code],
      ['dynamic', 0],
    ],
    'each under the id it was asked for by',
  )
  t.equal((await described(calls)).members.length, 0)
})

t.test("migration: an id that nobody joined with is in nobody's way", async (t) => {
  const calls = await coordinator({ topic: 1 }, { properties })
  const { errorCode } = await askForId(calls)
  t.equal(errorCode, errors.memberIdRequired.code)
  const consumer = new TestMember(calls, { memberId: 'consumer' })
  t.equal(await consumer.beat(), 0)
  t.equal(consumer.owned.size, 1)
})

t.test(
  'migration: offsets keep a group when a classic member began to come and never did',
  async (t) => {
    const calls = await coordinator({ topic: 1 }, { properties })
    const consumer = new TestMember(calls, { memberId: 'consumer' })
    await consumer.beat()
    const partitions = [{ partitionIndex: 0, committedOffset: 7, committedMetadata: null }]
    const committed = await calls.call(offsetCommit, 9, {
      groupId: 'g',
      memberId: 'consumer',
      generationIdOrMemberEpoch: consumer.epoch,
      topics: [{ name: 'topic', partitions }],
    })
    t.match(committed.topics, [{ partitions: [{ errorCode: 0 }] }])
    await consumer.leave()
    await askForId(calls)
    await calls.restart('kill')
    t.match((await calls.call(listGroups, 4, {})).groups, [{ groupId: 'g', groupState: 'Empty' }])
    const { results } = await calls.call(deleteGroups, 2, { groupsNames: ['g'] })
    t.equal(results[0]?.errorCode, 0)
    t.equal(calls.shard('g').offsets.count, 0)
  },
)

t.test('consumer group: one that is full takes a static member back', async (t) => {
  const calls = await coordinator(
    { topic: 2 },
    { properties: { ...properties, 'group.consumer.max.size': '1' } },
  )
  const member = new TestMember(calls, { memberId: 'one', instanceId: 'a' })
  t.equal(await member.beat(), 0)
  await member.leave(-2)
  const again = new TestMember(calls, { memberId: 'two', instanceId: 'a' })
  t.equal(await again.beat(), 0)
  const other = new TestMember(calls, { memberId: 'three' })
  t.equal(await other.beat(), errors.groupMaxSizeReached.code)
})

t.test('migration: what the policy forbids is refused', async (t) => {
  const calls = await coordinator(
    { topic: 1 },
    { properties: { ...properties, 'group.consumer.migration.policy': 'disabled' } },
  )
  const classic = new ClassicClient(calls)
  await classic.join()
  const consumer = new TestMember(calls, { memberId: 'consumer' })
  const response = await consumer.send()
  t.equal(response.errorCode, errors.groupIdNotFound.code)
  t.match(response.errorMessage, /upgrade is disabled/)
  t.equal(await classic.sync(), 0, 'the classic group goes on')

  const other = await coordinator(
    { topic: 1 },
    { properties: { ...properties, 'group.consumer.migration.policy': 'disabled' } },
  )
  t.equal(await new TestMember(other, { memberId: 'consumer' }).beat(), 0)
  const refused = await new ClassicClient(other).join()
  t.equal(refused.errorCode, errors.inconsistentGroupProtocol.code, 'in both directions')
})

t.test('migration: a group whose members share a partition stays what it is', async (t) => {
  const calls = await coordinator({ topic: 1 }, { properties })
  const id = calls.image.topicsByName.get('topic')!.id
  const all = new Map([[id, new Set([0])]])
  const members = ['a', 'b'].map((memberId) => ({
    memberId,
    groupInstanceId: null,
    clientId: 'client',
    clientHost: '/10.0.0.1',
    rebalanceTimeoutMs: 60_000,
    sessionTimeoutMs: 30_000,
    subscription: subscription('topic'),
    assignment: writeAssignment(all, { version: 0, image: calls.image }),
  }))
  const value = {
    protocolType: 'consumer',
    generation: 3,
    protocol: 'range',
    leader: 'a',
    currentStateTimestampMs: 0,
    members,
  }
  calls.shard('g').write([{ type: 'classicGroup', group: 'g', value }])
  const response = await new TestMember(calls, { memberId: 'consumer' }).send()
  t.equal(response.errorCode, errors.groupIdNotFound.code)
  t.match(response.errorMessage, /several owners/)
})

t.test('migration: an empty group of one protocol takes members of the other', async (t) => {
  const calls = await coordinator({ topic: 1 }, { properties })
  const consumer = new TestMember(calls, { memberId: 'consumer' })
  await consumer.beat()
  await consumer.leave()
  const classic = new ClassicClient(calls)
  t.equal((await classic.join()).errorCode, 0)
  t.equal(await classic.sync(), 0)
  t.equal(await classic.leave(), 0)
  const again = new TestMember(calls, { memberId: 'again' })
  t.equal(await again.beat(), 0)
  t.equal(again.owned.size, 1)
  await calls.restart('kill')
  t.equal(await again.beat(), 0)
  t.match(await described(calls), { groupState: 'Stable' })
})

t.test('consumer protocol: subscriptions of all versions; other bytes are none', async (t) => {
  // Version 3 of Java's ConsumerProtocol: topics, no user data, owned partitions, generation 7, rack r.
  const hex =
    '0003' + '00000001' + '000161' + 'ffffffff' + '00000001' + '000161' + '00000001' + '00000002'
  const bytes = Buffer.from(`${hex}${'00000007'}${'000172'}`, 'hex')
  t.strictSame(readSubscription(bytes), {
    version: 3,
    topics: ['a'],
    owned: [{ topic: 'a', partitions: [2] }],
    rackId: 'r',
  })
  t.strictSame(readSubscription(subscription('x', 'y'))?.topics, ['x', 'y'])
  t.equal(readSubscription(Buffer.from('junk')), undefined)
  t.equal(readSubscription(bytes.subarray(0, 20)), undefined)
  t.equal(readAssignment(Buffer.from('00007fffffff', 'hex')), undefined)
  const withUserData = Buffer.from('0000' + '00000000' + '00000001' + 'aa', 'hex')
  t.equal(readAssignment(withUserData), undefined, 'only its own assignor understands it')
})
