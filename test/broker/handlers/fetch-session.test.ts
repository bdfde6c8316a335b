import t from 'tap'
import {
  FetchSession,
  FetchSessions,
  type FetchPartition,
} from '../../../broker/handlers/fetch-session.ts'
import { errors } from '../../../protocol/errors.ts'

function sessionsOf(countMax: number, bytesMax?: number): FetchSessions {
  let next = 1
  const bytes = (): Buffer => {
    const id = Buffer.alloc(4)
    id.writeUInt32BE(next++)
    return id
  }
  return new FetchSessions(countMax, { bytes, fraction: () => 0 }, bytesMax)
}

function partitionOf(index: number): FetchPartition {
  return {
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
  }
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
  for (const index of [0, 1, 2]) session.partitions.set(`t:${index}`, partitionOf(index))
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

t.test('fetch sessions: those that nobody used lately make room for a large one', async (t) => {
  const sessions = sessionsOf(100, 100_000)
  const open = (isFollowers: boolean, nowMs: number): { session: FetchSession; fits: boolean } => {
    const session = sessions.create({ usesTopicIds: true, isFollowers, nowMs })
    if (session === undefined) throw new Error('there are slots')
    for (let index = 0; index < 150; index++) session.add(`t:${index}`, partitionOf(index))
    return { session, fits: sessions.makeRoomFor(session, nowMs) }
  }
  const gone = open(false, 0)
  const inUse = open(false, 0)
  t.ok(gone.fits && inUse.fits)
  sessions.touch(inUse.session, 100_000)
  const refused = open(false, 110_000)
  t.notOk(refused.fits, 'both were used lately')
  sessions.remove(refused.session.id)
  t.ok(open(false, 130_000).fits, 'the one that nobody used since makes room')
  t.equal(sessions.find(gone.session.id, 1, true), errors.fetchSessionIdNotFound)
  t.equal(sessions.find(inUse.session.id, 1, true), inUse.session)
  t.ok(open(true, 140_000).fits, "a client's makes room for a follower's")
  t.equal(sessions.count, 2)
})
