// Goal: our records of groups are Kafka's, byte for byte. Method: test/fixtures/golden-group-records.txt holds what the classes
// of Kafka 4.3.1 write; each line must mean the values below, and what we write must be one of the lines.
// The file is written anew by `java -cp 'test/clients/jars/*' test/protocol/golden/GoldenGroupRecords.java`.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { zeroUuid } from '../../../base/uuid.ts'
import type { ConsumerGroupCurrentRecord, GroupRecord } from '../../../broker/group/group-record.ts'
import { decodeGroupRecord, encodeGroupRecord } from '../../../broker/group/record-codec.ts'
import { repositoryPath } from '../../support/repository.ts'

const first = '0102030405060708090a0b0c0d0e0f10'
const second = '1112131415161718191a1b1c1d1e1f20'
const group = 'group'
const memberId = 'member'
const timestampMs = 1_700_000_000_000

function offsetCommit(version: number): GroupRecord {
  return {
    type: 'offsetCommit',
    group,
    topic: 'topic',
    partition: 7,
    value: {
      offset: 2 ** 40,
      leaderEpoch: version >= 3 ? 5 : -1,
      metadata: 'méta',
      commitTimestampMs: timestampMs,
      expireTimestampMs: version === 1 ? timestampMs + 100_000 : -1,
      topicId: version >= 4 ? first : zeroUuid,
    },
  }
}

function classicGroup(version: number): GroupRecord {
  const member = {
    memberId,
    groupInstanceId: version >= 3 ? 'instance' : null,
    clientId: 'client',
    clientHost: '/127.0.0.1',
    rebalanceTimeoutMs: version >= 1 ? 300_000 : 45_000,
    sessionTimeoutMs: 45_000,
    subscription: Buffer.from([1, 2]),
    assignment: Buffer.from([3]),
  }
  return {
    type: 'classicGroup',
    group,
    value: {
      protocolType: 'consumer',
      generation: 3,
      protocol: 'range',
      leader: memberId,
      currentStateTimestampMs: version >= 2 ? timestampMs : -1,
      members: [member],
    },
  }
}

const member = {
  instanceId: 'instance',
  rackId: null,
  clientId: 'client',
  clientHost: '/127.0.0.1',
  subscribedTopicNames: ['a', 'b'],
  subscribedTopicRegex: 'c.*',
  rebalanceTimeoutMs: 300_000,
  serverAssignor: 'uniform',
  classicMember: null,
}

const current: ConsumerGroupCurrentRecord = {
  type: 'consumerGroupCurrent',
  group,
  memberId,
  value: {
    memberEpoch: 10,
    previousMemberEpoch: 9,
    state: 1,
    assigned: [{ topicId: first, partitions: [0, 1], assignmentEpochs: [] }],
    pendingRevocation: [{ topicId: second, partitions: [2], assignmentEpochs: [] }],
  },
}

const currentWithEpochs: GroupRecord = {
  ...current,
  value: {
    ...current.value!,
    assigned: [{ topicId: first, partitions: [0, 1], assignmentEpochs: [8, 9] }],
  },
}

/** By name and version of the line. `written`: these are the bytes that we write for it. */
const expected: Record<string, { readonly record: GroupRecord; readonly written: boolean }> = {
  'offsetCommitLegacy 0': { record: offsetCommit(0), written: false },
  'classicGroupEmpty 3': {
    record: {
      type: 'classicGroup',
      group,
      value: {
        protocolType: 'consumer',
        generation: 4,
        protocol: null,
        leader: null,
        currentStateTimestampMs: timestampMs,
        members: [],
      },
    },
    written: true,
  },
  'consumerGroup 0': {
    record: { type: 'consumerGroup', group, value: { epoch: 10, metadataHash: 2 ** 50 } },
    written: true,
  },
  'consumerGroupWithoutHash 0': {
    record: { type: 'consumerGroup', group, value: { epoch: 10, metadataHash: 0 } },
    written: true,
  },
  'consumerGroupMember 0': {
    record: { type: 'consumerGroupMember', group, memberId, value: member },
    written: true,
  },
  'consumerGroupMemberClassic 0': {
    record: {
      type: 'consumerGroupMember',
      group,
      memberId,
      value: {
        ...member,
        classicMember: {
          sessionTimeoutMs: 45_000,
          supportedProtocols: [{ name: 'range', metadata: Buffer.from([1, 2, 3]) }],
        },
      },
    },
    written: true,
  },
  'consumerGroupTarget 0': {
    record: { type: 'consumerGroupTarget', group, value: { assignmentEpoch: 10 } },
    written: true,
  },
  'consumerGroupTargetMember 0': {
    record: {
      type: 'consumerGroupTargetMember',
      group,
      memberId,
      value: { partitions: [{ topicId: first, partitions: [0, 1] }] },
    },
    written: true,
  },
  'consumerGroupCurrent 0': { record: current, written: true },
  'consumerGroupCurrentWithEpochs 0': { record: currentWithEpochs, written: true },
  'consumerGroupRegex 0': {
    record: {
      type: 'consumerGroupRegex',
      group,
      regex: 'c.*',
      value: { topics: ['ca', 'cb'], version: 12, timestampMs },
    },
    written: true,
  },
}
for (const version of [0, 1, 2, 3, 4]) {
  // Without an id of the topic we write version 3, which older tools read too.
  const written = version === 1 || version >= 3
  expected[`offsetCommit ${version}`] = { record: offsetCommit(version), written }
  expected[`classicGroup ${version}`] = { record: classicGroup(version), written: version === 3 }
}

const lines = readFileSync(repositoryPath('test/fixtures/golden-group-records.txt'), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => {
    const [name = '', version = '', key = '', value = ''] = line.split(' ')
    return {
      title: `${name} ${version}`,
      key: Buffer.from(key, 'hex'),
      value: Buffer.from(value, 'hex'),
    }
  })

for (const { title, key, value } of lines) {
  const meant = expected[title]
  if (meant === undefined) continue
  t.test(`group records: ${title} is read and written as by Kafka`, async (t) => {
    t.same(decodeGroupRecord(key, value), { ok: true, record: meant.record })
    const encoded = encodeGroupRecord(meant.record)
    if (meant.written) {
      t.equal(encoded.key.toString('hex'), key.toString('hex'))
      t.equal(encoded.value?.toString('hex'), value.toString('hex'))
    }
    const erased = { ...meant.record, value: null }
    t.same(decodeGroupRecord(key, null), { ok: true, record: erased })
    t.same(encodeGroupRecord(erased).value, null)
  })
}

t.test('group records: every line of the fixture has a meaning', async (t) => {
  const titles = lines.map(({ title }) => title)
  t.same(
    Object.keys(expected).filter((title) => !titles.includes(title)),
    [],
  )
  t.same(
    titles.filter((title) => expected[title] === undefined),
    ['partitionMetadata 0', 'shareGroup 0'],
  )
})

t.test('group records: what is not known is skipped with a reason', async (t) => {
  const line = (title: string): { key: Buffer; value: Buffer } => {
    const found = lines.find((each) => each.title === title)
    if (found === undefined) throw new Error(`no ${title}`)
    return found
  }
  const offset = line('offsetCommit 4')
  const share = line('shareGroup 0')
  const metadata = line('partitionMetadata 0')
  const future = Buffer.from(offset.value)
  future.writeInt16BE(9, 0)
  t.match(decodeGroupRecord(share.key, share.value), { ok: false, problem: /type 11/ })
  t.match(decodeGroupRecord(metadata.key, metadata.value), { ok: false, known: true })
  t.match(decodeGroupRecord(offset.key, future), { ok: false, problem: /version 9/ })
  t.match(decodeGroupRecord(null, offset.value), { ok: false, problem: /no key/ })
  t.match(decodeGroupRecord(Buffer.alloc(1), null), { ok: false, problem: /no key/ })
})

t.test('group records: damaged bytes are a problem, never a throw', async (t) => {
  let readable = 0
  for (const { key, value } of lines) {
    for (let length = 0; length <= value.length; length++) {
      if (decodeGroupRecord(key, value.subarray(0, length)).ok) readable++
    }
    for (let length = 0; length < key.length; length++) {
      t.equal(decodeGroupRecord(key.subarray(0, length), value).ok, false)
    }
  }
  t.ok(readable >= lines.length - 2)
})

t.test('group records: a member, or a static one, that is there twice is a problem', async (t) => {
  const record = classicGroup(3)
  if (record.type !== 'classicGroup' || record.value === null) throw new Error('not a group')
  const [member] = record.value.members
  if (member === undefined) throw new Error('no member')
  const twice = (other: typeof member): unknown => {
    const value = { ...record.value!, members: [{ ...member, groupInstanceId: 'i' }, other] }
    const { key, value: bytes } = encodeGroupRecord({ ...record, value })
    return decodeGroupRecord(key, bytes)
  }
  t.match(twice({ ...member, groupInstanceId: null }), { ok: false, problem: /twice/ })
  t.match(twice({ ...member, memberId: 'other', groupInstanceId: 'i' }), { ok: false })
  t.match(twice({ ...member, memberId: 'other', groupInstanceId: 'j' }), { ok: true })
})

t.test('group records: an epoch that could not be counted on is a problem', async (t) => {
  const record = classicGroup(3)
  if (record.type !== 'classicGroup' || record.value === null) throw new Error('not a group')
  const last = 2 ** 31 - 1
  const records: GroupRecord[] = [
    { ...record, value: { ...record.value, generation: last } },
    { type: 'consumerGroup', group: 'group', value: { epoch: last, metadataHash: 0 } },
  ]
  for (const each of records) {
    const { key, value } = encodeGroupRecord(each)
    t.match(decodeGroupRecord(key, value), { ok: false, problem: /2147483647/ }, each.type)
  }
})
