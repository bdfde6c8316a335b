// The client's half of KIP-227: what goes into each request.
import t from 'tap'
import { FetchSession } from '../../../client/consumer/fetch-session.ts'
import { Partition } from '../../../client/consumer/partition.ts'

const topicId = '1234567890abcdef1234567890abcdef'

function partition(index: number, offset: number): Partition {
  const made = new Partition({ topic: 'orders', partition: index }, {})
  made.topicId = topicId
  made.moveTo(offset, -1)
  return made
}

function asked(request: ReturnType<FetchSession['ask']>): [number, number][] {
  return request.topics.flatMap(({ partitions }) =>
    partitions.map((each): [number, number] => [each.partition, each.fetchOffset]),
  )
}

const options = { byId: true, partitionMaxBytes: 100 }

t.test('fetch session: all at first, then what changed, and what is not wanted any more', (t) => {
  const session = new FetchSession()
  const [a, b, c] = [partition(0, 10), partition(1, 20), partition(2, 30)]
  const first = session.ask([a, b], options)
  t.match(first, { sessionId: 0, sessionEpoch: 0, forgottenTopicsData: { length: 0 } })
  t.strictSame(asked(first), [
    [0, 10],
    [1, 20],
  ])
  session.taken(7)
  const second = session.ask([a, b], options)
  t.match(second, { sessionId: 7, sessionEpoch: 1, topics: { length: 0 } })
  session.taken(7)
  a.moveTo(11, -1)
  const third = session.ask([a, c], options)
  t.match(third, { sessionId: 7, sessionEpoch: 2 })
  t.strictSame(asked(third), [
    [0, 11],
    [2, 30],
  ])
  t.strictSame(third.forgottenTopicsData, [{ topicId, partitions: [1] }])
  t.equal(session.find({ topic: '', topicId }, 0)?.offset, 11)
  t.equal(session.find({ topic: '', topicId }, 1), undefined)
  t.end()
})

t.test('fetch session: an answer that was lost, and a session that is gone, start anew', (t) => {
  const session = new FetchSession()
  const a = partition(0, 10)
  session.ask([a], options)
  session.taken(7)
  session.ask([a], options)
  session.restart()
  const again = session.ask([a], options)
  t.match(again, { sessionId: 7, sessionEpoch: 0 }, 'the broker closes the old one')
  t.strictSame(asked(again), [[0, 10]])
  session.taken(8)
  session.forget()
  t.match(session.ask([a], options), { sessionId: 0, sessionEpoch: 0 })
  session.taken(0)
  const sessionless = session.ask([a], options)
  t.match(sessionless, { sessionId: 0, sessionEpoch: 0 }, 'a broker without sessions')
  t.strictSame(asked(sessionless), [[0, 10]])
  t.end()
})

t.test('fetch session: from names to ids it starts anew; a topic made anew is another one', (t) => {
  const session = new FetchSession()
  const a = partition(0, 10)
  session.ask([a], { ...options, byId: false })
  session.taken(7)
  t.equal(session.find({ topic: 'orders', topicId: '' }, 0)?.offset, 10)
  t.match(session.ask([a], options), { sessionEpoch: 0 })
  session.taken(7)
  a.topicId = 'f'.repeat(32)
  const renewed = session.ask([a], options)
  t.strictSame(asked(renewed), [[0, 10]])
  t.strictSame(renewed.forgottenTopicsData, [{ topicId, partitions: [0] }])
  t.end()
})

t.test('fetch session: another leader epoch or assignment of the same offset', (t) => {
  const session = new FetchSession()
  const a = partition(0, 10)
  session.ask([a], options)
  session.taken(7)
  a.leaderEpoch = 4
  t.strictSame(asked(session.ask([a], options)), [[0, 10]])
  session.taken(7)
  const again = partition(0, 10)
  again.leaderEpoch = 4
  t.strictSame(asked(session.ask([again], options)), [])
  t.equal(
    session.find({ topic: '', topicId }, 0)?.partition,
    again,
    'its answers go to the new one',
  )
  t.end()
})
