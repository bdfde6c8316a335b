// Golden bytes: written by Apache Kafka 4.3.1's ConsumerProtocol and sticky assignors.
import t from 'tap'
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from '../../../client/group/consumer-protocol.ts'
import {
  cooperativeClaim,
  cooperativeData,
  stickyClaim,
  stickyData,
} from '../../../client/group/assignors/claims.ts'

const owned = [
  { topic: 'audit', partition: 1 },
  { topic: 'orders', partition: 0 },
  { topic: 'orders', partition: 2 },
]
const subscription = {
  topics: ['orders', 'audit'],
  userData: Buffer.from([0, 0, 0, 5]),
  ownedPartitions: owned.toReversed(),
  generation: 5,
  rackId: 'r1',
}
const bare = {
  topics: ['orders'],
  userData: null,
  ownedPartitions: [],
  generation: -1,
  rackId: null,
}
const head = '0000000200056175646974' + '00066f72646572730000000400000005'
const ownedHex =
  '00000002000561756469740000000100000001' + '00066f7264657273000000020000000000000002'
const fullHex = [
  `0000${head}`,
  `0001${head}${ownedHex}`,
  `0002${head}${ownedHex}00000005`,
  `0003${head}${ownedHex}0000000500027231`,
]
const bareHead = '0000000100066f7264657273ffffffff'
const bareHex = [
  `0000${bareHead}`,
  `0001${bareHead}00000000`,
  `0002${bareHead}00000000ffffffff`,
  `0003${bareHead}00000000ffffffffffff`,
]

t.test('subscription: the bytes are those of Java, in every version', async (t) => {
  for (const version of [0, 1, 2, 3]) {
    t.equal(encodeSubscription(subscription, version).toString('hex'), fullHex[version])
    t.equal(encodeSubscription(bare, version).toString('hex'), bareHex[version])
  }
})

t.test('subscription: a version leaves out what it does not have', async (t) => {
  const read = fullHex.map((hex) => decodeSubscription(Buffer.from(hex, 'hex')))
  t.same(read[0], { ...read[3], ownedPartitions: [], generation: -1, rackId: null })
  t.same(read[1], { ...read[3], generation: -1, rackId: null })
  t.same(read[2], { ...read[3], rackId: null })
  t.same(read[3], { ...subscription, topics: ['audit', 'orders'], ownedPartitions: owned })
})

t.test('subscription: a later version is read as the newest that is known', async (t) => {
  const later = Buffer.from(`0009${fullHex[3]!.slice(4)}cafe`, 'hex')
  t.equal(decodeSubscription(later).rackId, 'r1')
})

t.test('subscription: cut bytes and counts beyond them are refused', async (t) => {
  const whole = Buffer.from(fullHex[3]!, 'hex')
  for (let length = 0; length < whole.length; length++)
    t.throws(() => decodeSubscription(whole.subarray(0, length)), { name: 'ProtocolError' })
  t.throws(() => decodeSubscription(Buffer.from('00037fffffff', 'hex')), { name: 'ProtocolError' })
})

t.test('assignment: the bytes of Java, and back', async (t) => {
  const javaHex =
    '00066f7264657273000000020000000000000002' + '000561756469740000000100000001' + 'ffffffff'
  for (const version of [0, 1, 2, 3]) {
    const partitions = [owned[1]!, owned[2]!, owned[0]!]
    const hex = `000${version}00000002${javaHex}`
    t.equal(encodeAssignment(partitions, version).toString('hex'), hex)
    t.same(decodeAssignment(Buffer.from(hex, 'hex')), partitions)
  }
  t.same(decodeAssignment(Buffer.alloc(0)), [], 'no bytes are no partitions')
})

t.test('user data: of the sticky assignors, as Java has it', async (t) => {
  const previous = { assignment: owned, generation: 5 }
  t.equal(stickyData(previous)?.toString('hex'), `${ownedHex}00000005`)
  t.equal(stickyData({ assignment: undefined, generation: -1 }), null)
  t.equal(cooperativeData(previous).toString('hex'), '00000005')
})

t.test('user data: what others put there is read as far as it makes sense', async (t) => {
  const member = (userData: string | null, generation = -1) => ({
    memberId: 'm',
    instanceId: null,
    subscription: {
      ...subscription,
      ownedPartitions: owned,
      generation,
      userData: userData === null ? null : Buffer.from(userData, 'hex'),
    },
  })
  t.match(stickyClaim(member(`${ownedHex}00000005`)), { partitions: owned, generation: 5 })
  t.match(stickyClaim(member(ownedHex)), { partitions: owned, generation: -1 }, 'version 0')
  t.match(stickyClaim(member('7fffffff00')), { partitions: { length: 0 }, generation: -1 })
  t.match(stickyClaim(member(null)), { partitions: { length: 0 }, generation: -1 })
  t.match(cooperativeClaim(member('00000007')), { partitions: owned, generation: 7 })
  t.match(cooperativeClaim(member('00000007', 9)), { generation: 9 }, 'the field comes first')
  t.match(cooperativeClaim(member('00')), { partitions: owned, generation: -1 })
})
