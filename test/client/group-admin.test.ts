import t from 'tap'
import { createRealEnv } from '../../base/real/real-env.ts'
import { startBroker } from '../../broker/testing.ts'
import { Cluster } from '../../client/cluster.ts'
import { Admin } from '../../client/admin.ts'
import type { MembershipListener } from '../../client/consumer/membership.ts'
import { createMembership } from '../../client/group/membership.ts'

const env = createRealEnv()
const server = await startBroker({ topics: { orders: 2 } })
t.teardown(() => server.stop())
const startMs = 1_700_000_000_000
await server.produce(
  'orders',
  Array.from({ length: 10 }, (_, n) => ({
    value: `${n}`,
    partition: n % 2,
    timestampMs: startMs + n * 1000,
  })),
)
const cluster = new Cluster({
  env,
  brokers: server.brokers,
  clientId: 'group-admin-test',
  connectTimeoutMs: 5000,
  requestTimeoutMs: 5000,
  callTimeoutMs: 5000,
})
t.teardown(() => cluster.close())
const { groups } = new Admin(cluster)
const positions = (rows: readonly { partition: number; before: number; after: number }[]) =>
  rows.map(({ partition, before, after }) => [partition, before, after])

t.test('groups: a group that nobody knows is Dead, has no offsets and is not listed', async (t) => {
  t.match(await groups.describe('nobody'), { state: 'Dead', members: { length: 0 } })
  t.same(await groups.offsets('nobody'), [])
  t.same(await groups.lag('nobody'), [])
  t.same(await groups.list(), [])
  await t.rejects(groups.delete('nobody'), { code: 'GROUP_ID_NOT_FOUND' })
})

t.test('groups: offsets are reset to every kind of place', async (t) => {
  const reset = async (to: Parameters<typeof groups.resetOffsets>[2]['to'], dryRun = false) =>
    positions(await groups.resetOffsets('billing', 'orders', { to, dryRun }))
  t.same(
    await reset('latest', true),
    [
      [0, -1, 5],
      [1, -1, 5],
    ],
    'a dry run says what would be',
  )
  t.same(await groups.offsets('billing'), [], 'and does nothing')
  t.same(await reset({ offset: 3 }), [
    [0, -1, 3],
    [1, -1, 3],
  ])
  t.same(await reset({ shift: -1 }), [
    [0, 3, 2],
    [1, 3, 2],
  ])
  t.same(
    await reset({ shift: 100 }),
    [
      [0, 2, 5],
      [1, 2, 5],
    ],
    'not beyond the end',
  )
  t.same(await reset({ timestampMs: startMs + 4000 }), [
    [0, 5, 2],
    [1, 5, 2],
  ])
  t.same(
    await reset({ timestampMs: startMs + 9000 }),
    [
      [0, 2, 5],
      [1, 2, 4],
    ],
    'where nothing is that late: the end',
  )
  t.same(await reset('earliest'), [
    [0, 5, 0],
    [1, 4, 0],
  ])
  t.match(await groups.list({ states: ['Empty'] }), [{ id: 'billing', state: 'Empty' }])
  t.match(await groups.lag('billing'), [
    { topic: 'orders', partition: 0, committed: 0, end: 5, lag: 5, memberId: '' },
    { topic: 'orders', partition: 1, committed: 0, end: 5, lag: 5, memberId: '' },
  ])
  const some = { to: 'latest', partitions: [1] } as const
  t.same(positions(await groups.resetOffsets('billing', 'orders', some)), [[1, 0, 5]])
})

t.test('groups: a topic or partition that is not there is an error', async (t) => {
  await t.rejects(groups.resetOffsets('billing', 'nothing', { to: 'latest' }), {
    code: 'UNKNOWN_TOPIC_OR_PARTITION',
  })
  await t.rejects(groups.resetOffsets('billing', 'orders', { to: 'latest', partitions: [7] }), {
    code: 'UNKNOWN_PARTITION',
  })
})

for (const protocol of ['classic', 'consumer'] as const) {
  t.test(`groups: members of the ${protocol} protocol`, async (t) => {
    const id = `with-members-${protocol}`
    const listener: MembershipListener = {
      assigned: async () => undefined,
      revoked: async () => undefined,
      lost: async () => undefined,
      status: () => undefined,
      failed: (error) => t.fail(error.message),
    }
    const member = createMembership({ env, cluster, groupId: id, protocol }, listener)
    member.subscribe({ kind: 'topics', topics: ['orders'] })
    await server.waitForGroup(id, { members: 1 })
    const description = await groups.describe(id)
    t.match(description, { state: 'Stable', type: protocol, protocolType: 'consumer' })
    t.same(description.members[0]?.assignment, [
      { topic: 'orders', partition: 0 },
      { topic: 'orders', partition: 1 },
    ])
    t.match(await groups.lag(id), [
      { partition: 0, committed: -1, lag: 5, memberId: description.members[0]?.id },
      { partition: 1, committed: -1, lag: 5 },
    ])
    await t.rejects(groups.resetOffsets(id, 'orders', { to: 'latest' }), {
      code: 'NON_EMPTY_GROUP',
      message: /stop its consumers/,
    })
    await t.rejects(groups.delete(id), { code: 'NON_EMPTY_GROUP' })
    await t.rejects(groups.deleteOffsets(id, 'orders', [0]), { code: 'GROUP_SUBSCRIBED_TO_TOPIC' })
    await member.close()
    await server.waitForGroup(id, { state: 'Empty' })
    await groups.resetOffsets(id, 'orders', { to: 'latest' })
    await groups.deleteOffsets(id, 'orders', [0])
    t.match(await groups.offsets(id), [{ partition: 1, offset: 5 }])
    await groups.delete(id)
    t.match(await groups.describe(id), { state: 'Dead' })
  })
}
