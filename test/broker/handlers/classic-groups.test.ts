// JoinGroup, SyncGroup, Heartbeat and LeaveGroup as they travel: versions, limits, and what outlives a crash.
import t from 'tap'
import { handler as consumerGroupDescribe } from '../../../broker/handlers/consumer-group-describe.ts'
import { handler as describeGroups } from '../../../broker/handlers/describe-groups.ts'
import { handler as findCoordinator } from '../../../broker/handlers/find-coordinator.ts'
import type { Handler } from '../../../broker/handlers/handler.ts'
import { handler as heartbeat } from '../../../broker/handlers/heartbeat.ts'
import { handler as joinGroup } from '../../../broker/handlers/join-group.ts'
import { handler as leaveGroup } from '../../../broker/handlers/leave-group.ts'
import { handler as syncGroup } from '../../../broker/handlers/sync-group.ts'
import type { Group } from '../../../broker/group/group.ts'
import { errors } from '../../../protocol/errors.ts'
import type { JoinGroup } from '../../../protocol/messages/join-group.ts'
import type { RequestInputOf, RequestOf, ResponseOf } from '../../../protocol/schema/api.ts'
import { GroupCalls, type GroupCallsOptions } from '../../support/group-calls.ts'

type JoinResponse = ResponseOf<typeof JoinGroup>

async function opened(options: GroupCallsOptions = {}): Promise<GroupCalls> {
  const properties = { 'group.initial.rebalance.delay.ms': '100', ...options.properties }
  const calls = await GroupCalls.open({ ...options, properties })
  await calls.call(findCoordinator, 4, { keyType: 0, coordinatorKeys: ['group'] })
  return calls
}

function joining(
  more: Partial<RequestInputOf<typeof JoinGroup>> = {},
): RequestInputOf<typeof JoinGroup> {
  return {
    groupId: 'group',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 30_000,
    memberId: '',
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: Buffer.from('subscription') }],
    ...more,
  }
}

/** A member in a generation of its own. */
async function join(
  calls: GroupCalls,
  version: number,
  more: Partial<RequestInputOf<typeof JoinGroup>> = {},
): Promise<JoinResponse> {
  const first = await calls.call(joinGroup, version, joining(more))
  if (first.errorCode !== errors.memberIdRequired.code) return first
  return calls.call(joinGroup, version, joining({ ...more, memberId: first.memberId }))
}

for (let version = 0; version <= 9; version++) {
  t.test(`join ${version}: a group of one`, async (t) => {
    const calls = await opened()
    const answer = await join(calls, version)
    t.match(answer, {
      errorCode: 0,
      generationId: 1,
      protocolName: 'range',
      leader: answer.memberId,
      members: [{ memberId: answer.memberId, metadata: Buffer.from('subscription') }],
    })
    t.equal(answer.protocolType, version >= 7 ? 'consumer' : null)
    const refused = await calls.call(joinGroup, version, joining({ protocolType: 'other' }))
    t.match(refused, { errorCode: errors.inconsistentGroupProtocol.code, generationId: -1 })
    t.equal(refused.protocolName, version >= 7 ? null : '')
  })
}

t.test('join 0: the rebalance timeout is the session timeout', async (t) => {
  const calls = await opened()
  const { memberId } = await join(calls, 0)
  const waiting = calls.begin(joinGroup, 0, joining())
  await calls.advance(1)
  t.equal(calls.shard('group').groups.get('group')?.state, 'PreparingRebalance')
  for (let second = 0; second < 9; second++) {
    await calls.advance(1000)
    await calls.call(heartbeat, 0, { groupId: 'group', generationId: 1, memberId })
  }
  await calls.advance(1000)
  t.match(await waiting, { errorCode: 0, generationId: 2, members: { length: 1 } })
})

t.test('join: what no group can accept creates none', async (t) => {
  const calls = await opened()
  const { groups } = calls.shard('group')
  const codes = async (more: Partial<RequestInputOf<typeof JoinGroup>>): Promise<number> =>
    (await calls.call(joinGroup, 9, joining(more))).errorCode
  const long = 'x'.repeat(16_347)
  t.equal(await codes({ groupId: '' }), errors.invalidGroupId.code)
  t.equal(await codes({ sessionTimeoutMs: 5999 }), errors.invalidSessionTimeout.code)
  t.equal(await codes({ sessionTimeoutMs: 1_800_001 }), errors.invalidSessionTimeout.code)
  t.equal(await codes({ memberId: 'unknown' }), errors.unknownMemberId.code)
  t.equal(await codes({ protocols: [] }), errors.inconsistentGroupProtocol.code)
  t.equal(await codes({ protocolType: '' }), errors.inconsistentGroupProtocol.code)
  t.equal(await codes({ groupInstanceId: long }), errors.invalidRequest.code)
  t.equal(await codes({ protocolType: long }), errors.invalidRequest.code)
  const protocols = [{ name: long, metadata: Buffer.alloc(0) }]
  t.equal(await codes({ protocols }), errors.invalidRequest.code)
  t.equal(groups.size, 0)
  t.equal(await codes({}), errors.memberIdRequired.code)
  t.equal(groups.size, 1)
  await calls.advance(10_000)
  t.equal(groups.size, 0, 'nobody came back')
})

t.test('join: names that occur twice count once, negative timeouts as none', async (t) => {
  const calls = await opened()
  const metadata = Buffer.from('m')
  const protocols = ['a', 'a', 'b'].map((name) => ({ name, metadata }))
  const { memberId } = await join(calls, 9, { protocols, rebalanceTimeoutMs: -5 })
  t.equal(memberId.startsWith('test-'), true)
  await calls.advance(1)
  const again = await calls.call(joinGroup, 9, joining({ memberId, protocols }))
  t.equal(again.errorCode, errors.unknownMemberId.code, 'it did not sync within no time at all')
})

t.test('join: nothing is kept of the memory of a request', async (t) => {
  const calls = await opened()
  const overwriting: Handler<typeof JoinGroup> = {
    api: joinGroup.api,
    handle(request: RequestOf<typeof JoinGroup>, context) {
      const answer = joinGroup.handle(request, context)
      for (const { metadata } of request.protocols) metadata.fill(0)
      return answer
    },
  }
  const answer = await calls.call(overwriting, 3, joining())
  t.equal(answer.members[0]?.metadata.toString(), 'subscription')
})

t.test('join: a client that has gone is no member', async (t) => {
  const calls = await opened()
  await t.rejects(calls.call(joinGroup, 0, joining(), { closed: true }), /no answer/)
  t.equal(calls.shard('group').groups.size, 0)
})

t.test('join: groups of other kinds', async (t) => {
  const calls = await opened()
  const { groups } = calls.shard('group')
  let tombstones = 0
  const other = {
    id: 'group',
    kind: 'consumer',
    isEmpty: false,
    tombstones: () => {
      tombstones++
      return []
    },
    close: () => undefined,
  }
  groups.set('group', other as unknown as Group)
  t.equal((await join(calls, 9)).errorCode, errors.inconsistentGroupProtocol.code)
  other.isEmpty = true
  const unknown = await calls.call(joinGroup, 9, joining({ memberId: 'x' }))
  t.equal(unknown.errorCode, errors.unknownMemberId.code)
  t.equal(tombstones, 0)
  t.equal((await join(calls, 9)).errorCode, 0, 'an empty one gives way')
  t.equal(tombstones, 1)
  t.equal(groups.get('group')?.kind, 'classic')
})

t.test('sync: from version 5 on a member says of what protocol it is', async (t) => {
  const calls = await opened()
  const { memberId } = await join(calls, 9)
  const request = {
    groupId: 'group',
    generationId: 1,
    memberId,
    assignments: [
      { memberId, assignment: Buffer.from('mine') },
      { memberId: 'x'.repeat(20_000), assignment: Buffer.from('none') },
    ],
  }
  const missing = await calls.call(syncGroup, 5, request)
  t.equal(missing.errorCode, errors.inconsistentGroupProtocol.code)
  const named = { ...request, protocolType: 'consumer', protocolName: 'range' }
  const wrong = await calls.call(syncGroup, 5, { ...named, protocolName: 'x' })
  t.equal(wrong.errorCode, errors.inconsistentGroupProtocol.code)
  t.match(await calls.call(syncGroup, 5, named), {
    errorCode: 0,
    protocolType: 'consumer',
    protocolName: 'range',
    assignment: Buffer.from('mine'),
  })
  for (let version = 0; version <= 4; version++) {
    const { errorCode, assignment } = await calls.call(syncGroup, version, request)
    t.equal(errorCode, 0)
    t.equal(assignment.toString(), 'mine')
  }
})

t.test('sync, heartbeat, leave: groups that are not there', async (t) => {
  const calls = await opened()
  const unknown = errors.unknownMemberId.code
  const invalid = errors.invalidGroupId.code
  const member = { generationId: 1, memberId: 'm' }
  const sync = { ...member, assignments: [] }
  t.equal((await calls.call(syncGroup, 3, { groupId: 'group', ...sync })).errorCode, unknown)
  t.equal((await calls.call(syncGroup, 3, { groupId: '', ...sync })).errorCode, invalid)
  t.equal((await calls.call(heartbeat, 4, { groupId: 'group', ...member })).errorCode, unknown)
  t.equal((await calls.call(heartbeat, 4, { groupId: '', ...member })).errorCode, invalid)
  t.equal((await calls.call(leaveGroup, 2, { groupId: 'group', memberId: 'm' })).errorCode, unknown)
  t.equal((await calls.call(leaveGroup, 2, { groupId: '', memberId: 'm' })).errorCode, invalid)
  const members = [{ memberId: 'm' }]
  t.match(await calls.call(leaveGroup, 5, { groupId: 'group', members }), {
    errorCode: 0,
    members: [{ memberId: 'm', groupInstanceId: null, errorCode: unknown }],
  })
  t.match(await calls.call(leaveGroup, 5, { groupId: '', members }), { errorCode: invalid })
})

t.test('leave: one, and many at once', async (t) => {
  const calls = await opened()
  const one = await join(calls, 3)
  t.match(await calls.call(leaveGroup, 0, { groupId: 'group', memberId: one.memberId }), {
    errorCode: 0,
  })
  await calls.call(joinGroup, 9, joining({ groupInstanceId: 'a' }))
  const members = [
    { memberId: '', groupInstanceId: 'a', reason: 'r'.repeat(1000) },
    { memberId: one.memberId },
  ]
  t.match(await calls.call(leaveGroup, 5, { groupId: 'group', members }), {
    errorCode: 0,
    members: [
      { memberId: '', groupInstanceId: 'a', errorCode: 0 },
      { memberId: one.memberId, errorCode: errors.unknownMemberId.code },
    ],
  })
})

t.test('heartbeat: a member goes on while its group is loaded', async (t) => {
  const calls = await opened()
  const loading = { shardFor: () => errors.coordinatorLoadInProgress }
  calls.groups.close()
  calls.groups = loading as unknown as GroupCalls['groups']
  const request = { groupId: 'group', generationId: 1, memberId: 'm' }
  t.equal((await calls.begin(heartbeat, 4, request)).errorCode, 0)
  const refused = await calls.begin(joinGroup, 9, joining())
  t.equal(refused.errorCode, errors.coordinatorLoadInProgress.code)
})

t.test('an assignment that was told survives the loss of power', async (t) => {
  const calls = await opened({ flushPolicy: 'ack' })
  const { memberId } = await join(calls, 9, { groupInstanceId: 'a' })
  const member = { groupId: 'group', generationId: 1, memberId, groupInstanceId: 'a' }
  const assignments = [{ memberId, assignment: Buffer.from('mine') }]
  await calls.call(syncGroup, 3, { ...member, assignments })
  await calls.restart('power')
  t.equal((await calls.call(heartbeat, 4, member)).errorCode, 0)
  const again = await calls.call(syncGroup, 3, { ...member, assignments: [] })
  t.equal(again.assignment.toString(), 'mine')
  const described = await calls.call(describeGroups, 6, { groups: ['group'] })
  t.match(described.groups, [
    {
      errorCode: 0,
      groupState: 'Stable',
      protocolType: 'consumer',
      protocolData: 'range',
      members: [
        {
          memberId,
          groupInstanceId: 'a',
          clientId: 'test',
          clientHost: '/127.0.0.1',
          memberMetadata: Buffer.from('subscription'),
          memberAssignment: Buffer.from('mine'),
        },
      ],
    },
  ])
  const returned = await calls.call(joinGroup, 9, joining({ groupInstanceId: 'a' }))
  t.match(returned, { errorCode: 0, generationId: 1, skipAssignment: true })
  await calls.restart('power')
  t.equal((await calls.call(heartbeat, 4, member)).errorCode, errors.fencedInstanceId.code)
})

t.test('an assignment that is too large for the log is told to nobody', async (t) => {
  const calls = await opened({ logConfig: { maxMessageBytes: 1000 } })
  const { memberId } = await join(calls, 9)
  const request = { groupId: 'group', generationId: 1, memberId }
  const assignments = [{ memberId, assignment: Buffer.alloc(2000) }]
  const refused = await calls.call(syncGroup, 3, { ...request, assignments })
  t.equal(refused.errorCode, errors.unknownServerError.code)
  t.equal(refused.assignment.length, 0)
  const beat = await calls.call(heartbeat, 4, request)
  t.equal(beat.errorCode, errors.rebalanceInProgress.code)
})

t.test('who waits when the broker closes is sent to look for the coordinator', async (t) => {
  const calls = await opened()
  const waiting = calls.begin(joinGroup, 3, joining())
  await calls.advance(1)
  calls.groups.close()
  t.equal((await waiting).errorCode, errors.notCoordinator.code)
})

t.test('join: a member id that no answer could hold is not made', async (t) => {
  const calls = await opened()
  // Three bytes each: few enough for a request, too many with what makes the id unique.
  const groupInstanceId = '\u20ac'.repeat(10_922)
  const answer = await calls.call(joinGroup, 5, joining({ groupInstanceId }))
  t.equal(answer.errorCode, errors.invalidRequest.code)
  t.equal(calls.shard('group').groups.size, 0)
})

t.test('describe: a group id as long as can be', async (t) => {
  const calls = await opened()
  const groupId = '\u00fc'.repeat(16_383)
  const { groups } = await calls.call(describeGroups, 6, { groups: [groupId] })
  t.match(groups, [{ groupId, errorCode: errors.groupIdNotFound.code }])
  const consumer = await calls.call(consumerGroupDescribe, 1, {
    groupIds: [groupId],
    includeAuthorizedOperations: false,
  })
  t.match(consumer.groups, [{ groupId, errorCode: errors.groupIdNotFound.code }])
})
