import t from 'tap'
import { FetchSession, FetchSessions } from '../../../broker/handlers/fetch-session.ts'
import { errors } from '../../../protocol/errors.ts'

function sessionsOf(countMax: number): FetchSessions {
  let next = 1
  const bytes = (): Buffer => {
    const id = Buffer.alloc(4)
    id.writeUInt32BE(next++)
    return id
  }
  return new FetchSessions(countMax, { bytes, fraction: () => 0 })
}

t.test('fetch sessions: one is found again by its id and its next epoch only', async (t) => {
  const sessions = sessionsOf(2)
  const session = sessions.create({ usesTopicIds: true, isFollowers: false, nowMs: 0 })
  t.ok(session)
  if (session === undefined) return
  t.equal(sessions.find(session.id, 1, true), session)
  t.equal(sessions.find(session.id, 2, true), errors.invalidFetchSessionEpoch)
  t.equal(sessions.find(session.id, 1, false), errors.fetchSessionTopicIdError)
  t.equal(sessions.find(999, 1, true), errors.fetchSessionIdNotFound)
  session.advanceEpoch()
  t.equal(sessions.find(session.id, 2, true), session)
  t.ok(sessions.remove(session.id))
  t.equal(sessions.find(session.id, 2, true), errors.fetchSessionIdNotFound)
})

t.test('fetch sessions: epochs wrap to 1, since 0 opens a session and -1 closes it', async (t) => {
  const session = new FetchSession(1, { usesTopicIds: true, isFollowers: false, nowMs: 0 })
  session.nextEpoch = 0x7fffffff
  session.advanceEpoch()
  t.equal(session.nextEpoch, 1)
})

t.test(
  'fetch sessions: a full cache takes the slot of one that is idle, never of one in use',
  async (t) => {
    const sessions = sessionsOf(2)
    const first = sessions.create({ usesTopicIds: true, isFollowers: false, nowMs: 0 })
    sessions.create({ usesTopicIds: true, isFollowers: false, nowMs: 1000 })
    t.equal(
      sessions.create({ usesTopicIds: true, isFollowers: false, nowMs: 60_000 }),
      undefined,
      'both were used lately',
    )
    if (first !== undefined) sessions.touch(first, 100_000)
    const third = sessions.create({ usesTopicIds: true, isFollowers: false, nowMs: 130_000 })
    t.ok(third, 'the second had been idle for two minutes')
    t.equal(sessions.count, 2)
    t.equal(sessions.find(first?.id ?? 0, 1, true), first, 'the one in use is still there')
    t.equal(
      sessionsOf(0).create({ usesTopicIds: true, isFollowers: false, nowMs: 0 }),
      undefined,
      'no slots: no sessions',
    )
  },
)

t.test('fetch sessions: who gave data is served last', async (t) => {
  const session = new FetchSession(1, { usesTopicIds: false, isFollowers: false, nowMs: 0 })
  const partition = (index: number) => ({
    topic: 't',
    topicId: '',
    partition: index,
    currentLeaderEpoch: -1,
    fetchOffset: 0,
    lastFetchedEpoch: -1,
    logStartOffset: -1,
    partitionMaxBytes: 1,
    toldHighWatermark: -1,
    toldLogStartOffset: -1,
  })
  for (const index of [0, 1, 2]) session.partitions.set(`t:${index}`, partition(index))
  const first = session.partitions.get('t:0')
  if (first !== undefined) session.moveToEnd('t:0', first)
  t.same([...session.partitions.keys()], ['t:1', 't:2', 't:0'])
})

t.test('fetch sessions: a follower takes the slot of a client, and none takes its', async (t) => {
  const sessions = sessionsOf(2)
  const options = { usesTopicIds: true, isFollowers: false, nowMs: 0 }
  const follower = sessions.create({ ...options, isFollowers: true })
  const client = sessions.create(options)
  t.equal(sessions.create(options), undefined)
  const second = sessions.create({ ...options, isFollowers: true })
  t.ok(second)
  t.equal(sessions.find(client?.id ?? -1, 1, true), errors.fetchSessionIdNotFound)
  t.equal(sessions.find(follower?.id ?? -1, 1, true), follower)
  t.equal(sessions.create({ ...options, isFollowers: true }), undefined)
})
