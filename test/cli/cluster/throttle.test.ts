import t from 'tap'
import { throttleChanges } from '../../../cli/cluster/throttle.ts'

const partition = (index: number, replicas: number[]) => {
  return { topic: 'a', index, leader: replicas[0] ?? -1, replicas, inSync: replicas }
}
const brokers = [1, 2, 3, 4].map((id) => ({ id, isAlive: true }))
const rates = {
  'leader.replication.throttled.rate': '500',
  'follower.replication.throttled.rate': '500',
}

t.test('throttle: the brokers that take part, and the replicas that copy', async (t) => {
  const partitions = [partition(0, [1, 2]), partition(1, [1, 2]), partition(2, [2, 1])]
  const moves = [
    { topic: 'a', index: 0, replicas: [1, 3] },
    { topic: 'a', index: 1, replicas: [2, 1] },
  ]
  t.same(throttleChanges(moves, { brokers, partitions, reassignments: [] }, 500), [
    ...['1', '2', '3'].map((name) => ({ resource: { type: 'broker', name }, values: rates })),
    {
      resource: { type: 'topic', name: 'a' },
      values: {
        'leader.replication.throttled.replicas': '0:1,0:2',
        'follower.replication.throttled.replicas': '0:3',
      },
    },
  ])
  t.same(throttleChanges([], { brokers, partitions, reassignments: [] }, 500), [])
})

t.test('throttle: what is on the move already counts too', async (t) => {
  const moving = { topic: 'a', index: 0, replicas: [3, 1, 2], adding: [3], removing: [2] }
  const seen = { brokers, partitions: [partition(0, [3, 1, 2])], reassignments: [moving] }
  const replicasIn = (changes: ReturnType<typeof throttleChanges>) =>
    changes.find(({ resource }) => resource.type === 'topic')?.values
  t.same(replicasIn(throttleChanges([], seen, 500)), {
    'leader.replication.throttled.replicas': '0:1,0:2',
    'follower.replication.throttled.replicas': '0:3',
  })
  const elsewhere = { topic: 'a', index: 0, replicas: [1, 4] }
  t.same(
    replicasIn(throttleChanges([elsewhere], seen, 500)),
    {
      'leader.replication.throttled.replicas': '0:1,0:2',
      'follower.replication.throttled.replicas': '0:4',
    },
    'where it goes now',
  )
  const back = { topic: 'a', index: 0, replicas: null }
  t.same(throttleChanges([back], seen, 500), [])
})

t.test('throttle: a broker that is away is not told', async (t) => {
  const partitions = [partition(0, [1, 2])]
  const moves = [{ topic: 'a', index: 0, replicas: [1, 3] }]
  const seen = { partitions, reassignments: [], brokers: [{ id: 2, isAlive: false }] }
  const names = throttleChanges(moves, seen, 500).map(({ resource }) => resource.name)
  t.same(names, ['1', '3', 'a'])
})
