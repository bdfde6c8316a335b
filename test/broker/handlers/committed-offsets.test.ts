// OffsetCommit, OffsetFetch and OffsetDelete by who is no member of a group; members' rules are those of the groups.
import t from 'tap'
import { zeroUuid } from '../../../base/uuid.ts'
import { handler as findCoordinator } from '../../../broker/handlers/find-coordinator.ts'
import { handler as offsetCommit } from '../../../broker/handlers/offset-commit.ts'
import { handler as offsetDelete } from '../../../broker/handlers/offset-delete.ts'
import { handler as offsetFetch } from '../../../broker/handlers/offset-fetch.ts'
import { errors } from '../../../protocol/errors.ts'
import type { OffsetCommit } from '../../../protocol/messages/offset-commit.ts'
import type { RequestInputOf } from '../../../protocol/schema/api.ts'
import { GroupCalls, type GroupCallsOptions } from '../../support/group-calls.ts'

async function opened(options?: GroupCallsOptions): Promise<GroupCalls> {
  const calls = await GroupCalls.open({ flushPolicy: 'ack', ...options })
  calls.addTopic('topic', 2)
  await calls.call(findCoordinator, 4, { keyType: 0, coordinatorKeys: ['group'] })
  return calls
}

type CommitRequest = RequestInputOf<typeof OffsetCommit>

function commit(
  offset: number,
  options: Partial<CommitRequest> & {
    topic?: string
    topicId?: string
    partition?: number
    metadata?: string | null
    epoch?: number
  } = {},
): CommitRequest {
  const { topic = 'topic', topicId, partition = 0, metadata = '', epoch, ...rest } = options
  return {
    groupId: 'group',
    memberId: '',
    topics: [
      {
        name: topic,
        topicId: topicId ?? zeroUuid,
        partitions: [
          {
            partitionIndex: partition,
            committedOffset: offset,
            committedLeaderEpoch: epoch ?? -1,
            committedMetadata: metadata,
          },
        ],
      },
    ],
    ...rest,
  }
}

/** The only error code of an answer. */
function codeOf(response: {
  topics: readonly { partitions: readonly { errorCode: number }[] }[]
}): number | undefined {
  return response.topics[0]?.partitions[0]?.errorCode
}

for (const version of [2, 3, 5, 6, 7, 8, 9, 10]) {
  t.test(`offsets: version ${version} commits what every version fetches`, async (t) => {
    const calls = await opened()
    const topicId = calls.image.topicsByName.get('topic')?.id ?? ''
    const request = commit(41, { topicId, metadata: 'text', epoch: version >= 6 ? 3 : -1 })
    t.equal(codeOf(await calls.call(offsetCommit, version, request)), 0)
    for (const fetchVersion of [1, 2, 3, 5, 6, 7]) {
      const fetched = await calls.call(offsetFetch, fetchVersion, {
        groupId: 'group',
        topics: [{ name: 'topic', partitionIndexes: [0, 1] }],
      })
      t.match(fetched.topics[0]?.partitions, [
        {
          committedOffset: 41,
          metadata: 'text',
          errorCode: 0,
          committedLeaderEpoch: version >= 6 && fetchVersion >= 5 ? 3 : -1,
        },
        { committedOffset: -1, committedLeaderEpoch: -1, metadata: '', errorCode: 0 },
      ])
    }
    for (const fetchVersion of [8, 9, 10]) {
      const topics = [{ name: 'topic', topicId, partitionIndexes: [0] }]
      const fetched = await calls.call(offsetFetch, fetchVersion, {
        groups: [{ groupId: 'group', topics }],
      })
      t.match(fetched.groups[0]?.topics, [{ partitions: [{ committedOffset: 41 }] }])
      if (fetchVersion === 10) t.equal(fetched.groups[0]?.topics[0]?.topicId, topicId)
    }
  })
}

t.test('offsets: null asks for all topics of a group', async (t) => {
  const calls = await opened()
  calls.addTopic('other')
  await calls.call(offsetCommit, 8, commit(1))
  await calls.call(offsetCommit, 8, commit(2, { partition: 1 }))
  await calls.call(offsetCommit, 8, commit(3, { topic: 'other', metadata: null }))
  const one = await calls.call(offsetFetch, 7, { groupId: 'group', topics: null })
  t.match(one.topics, [
    { name: 'topic', partitions: [{ committedOffset: 1 }, { committedOffset: 2 }] },
    { name: 'other', partitions: [{ committedOffset: 3, metadata: '' }] },
  ])
  const many = await calls.call(offsetFetch, 10, {
    groups: [
      { groupId: 'group', topics: null },
      { groupId: 'nobody', topics: null },
    ],
  })
  t.equal(many.groups[0]?.topics.length, 2)
  t.same(many.groups[1], { groupId: 'nobody', topics: [], errorCode: 0 })
})

t.test('offsets: each partition has its own error', async (t) => {
  const calls = await opened({ properties: { 'offset.metadata.max.bytes': '10' } })
  const commits = async (version: number, request: CommitRequest): Promise<number | undefined> =>
    codeOf(await calls.call(offsetCommit, version, request))
  t.equal(await commits(8, commit(1, { topic: 'absent' })), errors.unknownTopicOrPartition.code)
  t.equal(await commits(8, commit(1, { partition: 2 })), errors.unknownTopicOrPartition.code)
  t.equal(await commits(8, commit(1, { partition: -1 })), errors.unknownTopicOrPartition.code)
  const unknown = 'f'.repeat(32)
  t.equal(await commits(10, commit(1, { topicId: unknown })), errors.unknownTopicId.code)
  t.equal(
    await commits(8, commit(1, { metadata: 'x'.repeat(11) })),
    errors.offsetMetadataTooLarge.code,
  )
  t.equal(await commits(8, commit(1, { metadata: 'x'.repeat(10) })), 0)
  const mixed = commit(5)
  const partitions = [0, 9, 1].map((partitionIndex) => ({
    partitionIndex,
    committedOffset: 5,
    committedMetadata: partitionIndex === 1 ? 'x'.repeat(11) : null,
  }))
  const answer = await calls.call(offsetCommit, 8, {
    ...mixed,
    topics: [{ name: 'topic', partitions }],
  })
  t.same(
    answer.topics[0]?.partitions.map(({ errorCode }) => errorCode),
    [0, errors.unknownTopicOrPartition.code, errors.offsetMetadataTooLarge.code],
  )
  t.equal(calls.shard('group').offsets.get('group', 'topic', 0)?.offset, 5)
  t.equal(calls.shard('group').offsets.get('group', 'topic', 1), undefined)
})

t.test('offsets: a member of a group that is not there is told so', async (t) => {
  const calls = await opened()
  const member = { generationIdOrMemberEpoch: 3, memberId: 'member' }
  t.equal(
    codeOf(await calls.call(offsetCommit, 8, commit(1, member))),
    errors.illegalGeneration.code,
  )
  t.equal(codeOf(await calls.call(offsetCommit, 9, commit(1, member))), errors.groupIdNotFound.code)
  t.equal(calls.shard('group').groups.size, 0)
})

t.test('offsets: the empty group id is a group, one that is too long is none', async (t) => {
  const calls = await opened()
  t.equal(codeOf(await calls.call(offsetCommit, 8, commit(1, { groupId: '' }))), 0)
  const groupId = 'x'.repeat(20_000)
  t.equal(
    codeOf(await calls.call(offsetCommit, 8, commit(1, { groupId }))),
    errors.invalidGroupId.code,
  )
  const fetched = await calls.call(offsetFetch, 1, {
    groupId,
    topics: [{ name: 'topic', partitionIndexes: [0] }],
  })
  t.equal(codeOf(fetched), errors.invalidGroupId.code)
})

t.test('offsets: a short request can not have much told again and again', async (t) => {
  const calls = await opened()
  await calls.call(offsetCommit, 8, commit(1, { metadata: 'x'.repeat(4000) }))
  const topics = [{ name: 'topic', partitionIndexes: [0, 0] }]
  const fetched = await calls.call(offsetFetch, 8, {
    groups: [
      { groupId: 'group', topics },
      { groupId: 'group', topics },
    ],
  })
  t.same(
    fetched.groups[0]?.topics[0]?.partitions.map(({ errorCode }) => errorCode),
    [0, errors.invalidRequest.code],
  )
  t.match(fetched.groups[1], { topics: { length: 0 }, errorCode: errors.invalidRequest.code })
})

t.test('offsets: those of a deleted topic are gone, also for its successor', async (t) => {
  const calls = await opened()
  const topicId = calls.image.topicsByName.get('topic')?.id ?? ''
  await calls.call(offsetCommit, 10, commit(1, { topicId }))
  await calls.call(offsetCommit, 8, commit(2, { groupId: 'other' }))
  // As after a crash between the deletion and its tombstones.
  calls.groups.close()
  calls.removeTopic('topic')
  await calls.restart('kill')
  const nextId = calls.addTopic('topic')
  const groups = [{ groupId: 'group', topics: [{ topicId: nextId, partitionIndexes: [0] }] }]
  const fetched = await calls.call(offsetFetch, 10, { groups })
  t.match(fetched.groups[0]?.topics[0]?.partitions, [{ committedOffset: -1, errorCode: 0 }])
  const all = await calls.call(offsetFetch, 10, { groups: [{ groupId: 'group', topics: null }] })
  t.same(all.groups[0]?.topics, [])
  calls.removeTopic('topic')
  await calls.advance(10)
  t.equal(calls.shard('group').offsets.has('group'), false)
  t.equal(calls.shard('other').offsets.has('other'), false)
  await calls.restart('kill')
  t.equal(calls.shard('other').offsets.has('other'), false)
})

t.test('offsets: are deleted one by one', async (t) => {
  const calls = await opened()
  await calls.call(offsetCommit, 8, commit(1))
  await calls.call(offsetCommit, 8, commit(2, { partition: 1 }))
  const partitions = [{ partitionIndex: 0 }, { partitionIndex: 7 }]
  const request = { groupId: 'group', topics: [{ name: 'topic', partitions }] }
  const deleted = await calls.call(offsetDelete, 0, request)
  t.same(deleted, {
    errorCode: 0,
    throttleTimeMs: 0,
    topics: [
      {
        name: 'topic',
        partitions: [
          { partitionIndex: 0, errorCode: 0 },
          { partitionIndex: 7, errorCode: errors.unknownTopicOrPartition.code },
        ],
      },
    ],
  })
  for (const each of ['before', 'after']) {
    t.equal(calls.shard('group').offsets.get('group', 'topic', 0), undefined, each)
    t.equal(calls.shard('group').offsets.get('group', 'topic', 1)?.offset, 2, each)
    await calls.restart('power')
  }
  const unknown = await calls.call(offsetDelete, 0, { ...request, groupId: 'nobody' })
  t.equal(unknown.errorCode, errors.groupIdNotFound.code)
  const empty = await calls.call(offsetDelete, 0, { ...request, groupId: '' })
  t.equal(empty.errorCode, errors.invalidGroupId.code)
})

t.test('offsets: a client may set its own time to expire, in old versions', async (t) => {
  const calls = await opened({ properties: { 'offsets.retention.check.interval.ms': '1000' } })
  await calls.call(offsetCommit, 4, commit(1, { retentionTimeMs: 5000 }))
  await calls.call(offsetCommit, 4, commit(2, { groupId: 'other' }))
  const value = calls.shard('group').offsets.get('group', 'topic', 0)
  t.equal((value?.expireTimestampMs ?? 0) - (value?.commitTimestampMs ?? 0), 5000)
  await calls.advance(4500)
  t.equal(calls.shard('group').offsets.has('group'), true)
  await calls.advance(2000)
  t.equal(calls.shard('group').offsets.has('group'), false)
  t.equal(calls.shard('other').offsets.has('other'), true)
})
