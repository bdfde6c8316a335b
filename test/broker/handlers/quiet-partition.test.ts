import t from 'tap'
import { quietPartition, type FollowerAsks } from '../../../broker/handlers/quiet-partition.ts'
import type { FetchPartition } from '../../../broker/handlers/fetch-session.ts'
import { FollowerState } from '../../../broker/replica/follower-state.ts'
import type { Partition } from '../../../broker/replica/partition.ts'

const connection = { closed: false }
const asks: FollowerAsks = { brokerId: 2, brokerEpoch: 7, connection, nowMs: 5000 }
const end = 40

/** A follower in sync that has all 40 records and was told so; each test changes one thing. */
function stage() {
  const follower = new FollowerState(2, 0)
  follower.fetched({ offset: end, nowMs: 1000, brokerEpoch: 7, logStartOffset: 3, connection }, end)
  const isr = [1, 2]
  const leadership = {
    isr,
    follower: (brokerId: number) => (brokerId === 2 ? follower : undefined),
  }
  const log = { nextOffset: end, logStartOffset: 5, isUsable: true }
  const leader = {
    leadership: leadership as object | undefined,
    leaderEpoch: 4,
    highWatermark: end,
  }
  const partition = Object.assign(leader, { log })
  const wanted: FetchPartition = {
    topic: 't',
    topicId: '',
    partition: 0,
    currentLeaderEpoch: 4,
    fetchOffset: end,
    lastFetchedEpoch: 4,
    logStartOffset: 3,
    partitionMaxBytes: 1,
    toldHighWatermark: end,
    toldLogStartOffset: 5,
    found: partition as unknown as Partition,
  }
  return { partition, log, isr, follower, wanted }
}

type Stage = ReturnType<typeof stage>

t.test('quiet partition: the follower is heard of, as by the long way', async (t) => {
  const { partition, follower, wanted } = stage()
  t.equal(quietPartition(wanted, asks), partition as unknown)
  t.equal(follower.lastFetchMs, 5000)
  t.equal(follower.lastCaughtUpMs, 5000)
  t.equal(quietPartition(wanted, { ...asks, nowMs: undefined }), partition as unknown)
  t.equal(follower.lastFetchMs, 5000, 'looking again is no fetch')
})

t.test('quiet partition: whatever could have to be told or noted takes the long way', async (t) => {
  const changes: Record<string, (stage: Stage) => void> = {
    'not looked up yet': ({ wanted }) => (wanted.found = undefined),
    'not led any more': ({ partition }) => (partition.leadership = undefined),
    'led in another epoch': ({ partition }) => (partition.leaderEpoch = 5),
    'more was written': ({ log }) => (log.nextOffset = end + 1),
    'not all is committed': ({ partition }) => (partition.highWatermark = end - 1),
    'it has less': ({ wanted }) => (wanted.fetchOffset = end - 1),
    'it was not told what is committed': ({ wanted }) => (wanted.toldHighWatermark = end - 1),
    'records were deleted': ({ log }) => (log.logStartOffset = 6),
    'its own log begins elsewhere': ({ wanted }) => (wanted.logStartOffset = 4),
    'the disk failed': ({ log }) => (log.isUsable = false),
    'it is not in sync': ({ isr }) => isr.pop(),
    'it was noted further': ({ follower }) => (follower.endOffset = end - 1),
    'another registration fetched': ({ follower }) => (follower.brokerEpoch = 6),
  }
  for (const [what, change] of Object.entries(changes)) {
    const changed = stage()
    change(changed)
    t.equal(quietPartition(changed.wanted, asks), undefined, what)
    t.equal(changed.follower.lastFetchMs, 1000, 'nothing was noted')
  }
  t.equal(quietPartition(stage().wanted, { ...asks, brokerId: 3 }), undefined, 'no replica')
})
