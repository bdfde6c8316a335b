// The high watermark over a log that is made of three numbers and a flush that the test ends by hand.
import t from 'tap'
import type { PartitionLog } from '../../../broker/log/partition-log.ts'
import { Partition } from '../../../broker/replica/partition.ts'
import { errors } from '../../../protocol/errors.ts'
import { partitionHost, partitionState } from '../../support/partition-host.ts'

class FakeLog {
  readonly topic = 'topic'
  readonly partition = 0
  readonly topicId = '0'.repeat(32)
  readonly logStartOffset = 0
  readonly config = { minInsyncReplicas: 1 }
  nextOffset = 10
  durableOffset = 10
  highWatermark = 0
  readonly syncs: boolean
  readonly flushes: { end: number; resolve: () => void; reject: (error: unknown) => void }[] = []
  constructor(syncs: boolean) {
    this.syncs = syncs
  }
  append(): unknown {
    const baseOffset = this.nextOffset
    this.nextOffset += 5
    return {
      ok: true,
      baseOffset,
      nextOffset: this.nextOffset,
      logAppendTimeMs: -1,
      logStartOffset: 0,
      duplicate: false,
    }
  }
  whenDurable(offset: number): Promise<void> | undefined {
    if (!this.syncs || offset <= this.durableOffset) return undefined
    return new Promise((resolve, reject) => this.flushes.push({ end: offset, resolve, reject }))
  }
  lastStableOffset(highWatermark: number): number {
    return highWatermark
  }
  endFlush(): void {
    const flush = this.flushes.shift()
    this.durableOffset = flush?.end ?? this.durableOffset
    flush?.resolve()
  }
}

function partitionOn(log: FakeLog): Partition {
  const host = partitionHost()
  const partition = new Partition(log as unknown as PartitionLog, { host, highWatermark: 10 })
  partition.apply(partitionState({ leaderEpoch: 3 }))
  return partition
}

const batch = Buffer.alloc(0)
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

t.test('high watermark: without syncing it follows each append at once', async (t) => {
  const partition = partitionOn(new FakeLog(false))
  t.equal(partition.highWatermark, 10)
  partition.append(batch, 'client')
  t.equal(partition.highWatermark, 15)
  t.equal(partition.whenCommitted(15), undefined)
})

t.test(
  'high watermark: with syncing it waits for the flush, and one flush serves all that came before it',
  async (t) => {
    const log = new FakeLog(true)
    const partition = partitionOn(log)
    const done: number[] = []
    for (const end of [15, 20, 25]) {
      partition.append(batch, 'client')
      void partition.whenCommitted(end)?.then(() => done.push(end))
    }
    t.equal(partition.highWatermark, 10, 'nobody may see what a power cut could take back')
    t.equal(log.flushes.length, 1)
    log.endFlush()
    await turn()
    t.same(done, [15])
    t.equal(partition.highWatermark, 15)
    t.equal(log.flushes.length, 1, 'the rest is on its way')
    log.endFlush()
    await turn()
    t.same(done, [15, 20, 25])
  },
)

t.test('high watermark: a flush that fails is told to everybody who waits', async (t) => {
  const log = new FakeLog(true)
  const partition = partitionOn(log)
  partition.append(batch, 'client')
  const committed = partition.whenCommitted(15)
  log.flushes[0]?.reject(new Error('EIO'))
  t.equal(await committed, errors.kafkaStorageError)
  t.equal(partition.highWatermark, 10)
})

t.test(
  'partition: watchers are woken by data and by its end, and not after they left',
  async (t) => {
    const partition = partitionOn(new FakeLog(false))
    let count = 0
    const stop = partition.watch(() => count++)
    partition.append(batch, 'client')
    t.equal(count, 1)
    stop()
    partition.append(batch, 'client')
    t.equal(count, 1)
  },
)

t.test('partition: appends that wait are refused when it goes', async (t) => {
  const partition = partitionOn(new FakeLog(true))
  partition.append(batch, 'client')
  const committed = partition.whenCommitted(15)
  t.equal(partition.waitingAppendCount, 1)
  partition.close()
  t.equal(await committed, errors.notLeaderOrFollower)
})

t.test('leader epoch: -1 is no view, a lower one is fenced, a higher one unknown', async (t) => {
  const partition = partitionOn(new FakeLog(false))
  t.equal(partition.checkLeaderEpoch(-1), undefined)
  t.equal(partition.checkLeaderEpoch(3), undefined)
  t.equal(partition.checkLeaderEpoch(2), errors.fencedLeaderEpoch)
  t.equal(partition.checkLeaderEpoch(4), errors.unknownLeaderEpoch)
  t.throws(() => partition.apply(partitionState({ leaderEpoch: 2 })))
})
