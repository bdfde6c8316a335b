import t from 'tap'
import { startBroker, type TestBroker } from '../../../broker/testing.ts'
import { Kafka } from '../../../client/kafka.ts'

const kinds = ['inline', 'worker'] as const

for (const isolation of kinds) {
  t.test(`test broker, ${isolation}: what is produced arrives`, async (t) => {
    await using server = await startBroker({
      isolation,
      storage: 'memory',
      topics: { orders: { partitions: 3, configs: { 'retention.ms': '1000000' } }, single: 1 },
    })
    await server.produce('orders', [
      {
        key: 'a',
        value: { id: 1 },
        headers: { trace: 'x', none: null },
        timestampMs: 1_700_000_000_000,
      },
      { key: 'b', value: null, partition: 2 },
    ])
    const records = await server.waitForMessages('orders', { count: 2 })
    const found = records.find(({ key }) => key === 'a')
    t.match(found, {
      value: '{"id":1}',
      headers: { trace: 'x', none: null },
      timestampMs: 1_700_000_000_000,
    })
    t.match(
      records.find(({ key }) => key === 'b'),
      { value: null, partition: 2 },
    )
    t.same(await server.records('single'), [])
  })

  t.test(`test broker, ${isolation}: requests fail as they are told to`, async (t) => {
    await using server = await startBroker({ isolation, topics: { orders: 1 } })
    await server.fault({ api: 'CreateTopics', error: 'POLICY_VIOLATION' })
    await t.rejects(server.createTopic('other'), { code: 'POLICY_VIOLATION' })
    await server.createTopic('other')
    await server.fault({ api: 'Produce', error: 'NOT_LEADER_OR_FOLLOWER', times: 2 })
    await server.produce('orders', [{ value: 'retried' }])
    t.equal((await server.records('orders')).length, 1)
    await server.fault({ api: 'Metadata', disconnect: 'before' })
    await server.fault({ api: 'Produce', delayMs: 5 })
    await server.disconnectAll()
    await server.produce('orders', [{ value: 'after a lost connection' }])
    t.equal((await server.records('orders')).length, 2)
  })

  t.test(`test broker, ${isolation}: a fault that can't be is refused`, async (t) => {
    await using server = await startBroker({ isolation })
    await t.rejects(server.fault({ api: 'Produce' }), /needs error, delayMs or disconnect/)
    await t.rejects(server.fault({ api: 'Produce', error: 'NO_SUCH' }), /no error named NO_SUCH/)
    await t.rejects(server.fault({ api: 'DescribeProducers', error: 'UNKNOWN_SERVER_ERROR' }), {
      message: /DescribeProducers can't be answered with an error/,
    })
    await t.rejects(server.fault({ api: 'Produce', delayMs: 1, times: 0 }), /times must be 1/)
  })
}

t.test('test broker: a reset leaves the topics of the start, empty and new', async (t) => {
  await using server = await startBroker({ topics: { orders: 2 } })
  await server.produce('orders', [{ value: '1' }, { value: '2' }])
  await server.createTopic('leftover')
  const before = await topicIds(server)
  await server.reset()
  const after = await topicIds(server)
  t.same([...after.keys()], ['orders'])
  t.not(after.get('orders'), before.get('orders'))
  t.same(await server.records('orders'), [])
})

t.test('test broker: a wait that is in vain says what is there', async (t) => {
  await using server = await startBroker({ topics: { orders: 1 } })
  await server.produce('orders', [{ key: 'k', value: 'v' }])
  await t.rejects(server.waitForMessages('orders', { count: 2, timeoutMs: 30 }), {
    message: '1 of 2 messages are in orders:\n  0/0 k: v',
  })
  await t.rejects(server.waitForGroup('nobody', { timeoutMs: 30 }), {
    message: 'Group nobody is Dead with 0 members and a lag of 0, not Stable',
  })
})

t.test('test broker: an option that a worker has no use for is refused', async (t) => {
  const logger = { debug() {}, info() {}, warn() {}, error() {} }
  await t.rejects(startBroker({ isolation: 'worker', logger }), RangeError)
})

t.test('test broker: a worker whose broker does not start says why', async (t) => {
  const properties = { 'num.partitions': 'many' }
  await t.rejects(startBroker({ isolation: 'worker', properties }), /num\.partitions/)
})

async function topicIds(server: TestBroker): Promise<Map<string, string>> {
  await using kafka = new Kafka({ brokers: server.brokers })
  const { topics } = await kafka.admin().describe(null)
  return new Map([...topics.values()].map(({ name, id }) => [name, id]))
}
