// Leaders and followers on a log that is made of numbers: what moves the high watermark, and who is in sync.
import t from 'tap'
import type { LeaderEpochs } from '../../../broker/log/leader-epochs.ts'
import { LeaderEpochs as Epochs } from '../../../broker/log/leader-epochs.ts'
import type { PartitionLog } from '../../../broker/log/partition-log.ts'
import type { PartitionImage } from '../../../broker/metadata/image.ts'
import { closestReplica } from '../../../broker/replica/closest-replica.ts'
import type { IsrChange } from '../../../broker/replica/isr-proposals.ts'
import { Partition } from '../../../broker/replica/partition.ts'
import { errors } from '../../../protocol/errors.ts'
import { partitionHost, partitionState } from '../../support/partition-host.ts'

class NumbersLog {
  readonly topic = 'topic'
  readonly partition = 0
  readonly topicId = '0'.repeat(32)
  readonly config = { minInsyncReplicas: 1 }
  readonly leaderEpochs: LeaderEpochs = new Epochs()
  logStartOffset = 0
  nextOffset = 10
  durableOffset = 10
  highWatermark = 0
  readonly isUsable = true
  append(bytes: Buffer): unknown {
    const baseOffset = this.nextOffset
    this.nextOffset += bytes.length
    const { nextOffset } = this
    return { ok: true, baseOffset, nextOffset, logAppendTimeMs: -1, logStartOffset: 0 }
  }
  whenDurable(): undefined {}
  lastStableOffset(highWatermark: number): number {
    return highWatermark
  }
  truncateTo(offset: number): void {
    this.nextOffset = Math.min(this.nextOffset, offset)
  }
  deleteRecords(offset: number): void {
    this.logStartOffset = offset
  }
  setConfig(config: { minInsyncReplicas: number }): void {
    Object.assign(this.config, config)
  }
}

interface World {
  readonly log: NumbersLog
  readonly partition: Partition
  readonly changes: IsrChange[]
  withdrawals: number
  nowMs: number
  expired: boolean
  connection: { closed: boolean }
  readonly epochs: Map<number, number>
  readonly write: (count?: number) => number
  readonly fetch: (brokerId: number, offset: number, brokerEpoch?: number) => void
}

/** Broker 1 leads; 2 and 3 follow, with broker epochs 20 and 30. */
function lead(overrides: Partial<PartitionImage> = {}): World {
  const log = new NumbersLog()
  const changes: IsrChange[] = []
  const epochs = new Map([
    [2, 20],
    [3, 30],
  ])
  const host = partitionHost({
    nowMs: () => world.nowMs,
    eligibleEpoch: (brokerId) => epochs.get(brokerId),
    brokerEpoch: () => 10,
    sessionExpired: () => world.expired,
    propose: (_partition, change) => changes.push(change),
    withdraw: () => world.withdrawals++,
  })
  const partition = new Partition(log as unknown as PartitionLog, { host, highWatermark: 10 })
  const world: World = {
    log,
    partition,
    changes,
    withdrawals: 0,
    nowMs: 1000,
    expired: false,
    connection: { closed: false },
    epochs,
    write(count = 5) {
      partition.append(Buffer.alloc(count), 'client')
      return log.nextOffset
    },
    fetch(brokerId, offset, brokerEpoch = brokerId * 10) {
      partition.followerFetched(brokerId, {
        offset,
        nowMs: world.nowMs,
        brokerEpoch,
        logStartOffset: 0,
        connection: world.connection,
      })
    },
  }
  partition.apply(replicated(overrides))
  return world
}

function replicated(overrides: Partial<PartitionImage> = {}): PartitionImage {
  return partitionState({
    replicas: [1, 2, 3],
    isr: [1, 2, 3],
    leaderEpoch: 5,
    partitionEpoch: 7,
    ...overrides,
  })
}

t.test('high watermark: what all in-sync replicas have', async (t) => {
  const { partition, write, fetch } = lead()
  const end = write()
  const committed = partition.whenCommitted(end)
  fetch(2, end)
  t.equal(partition.highWatermark, 10)
  fetch(3, 12)
  t.equal(partition.highWatermark, 12)
  fetch(3, end)
  t.equal(partition.highWatermark, 15)
  t.equal(await committed, undefined)
  fetch(3, 11)
  t.equal(partition.highWatermark, 15, 'it never goes back')
})

t.test('high watermark: fetches of an earlier epoch count for nothing', async (t) => {
  const { partition, write, fetch, log } = lead()
  fetch(2, 10)
  fetch(3, 10)
  const end = write()
  fetch(2, end)
  partition.apply(replicated({ leaderEpoch: 6, partitionEpoch: 8 }))
  fetch(3, end)
  t.equal(partition.highWatermark, 10, 'nobody knows whether broker 2 still has it')
  t.notOk(partition.knowsCommitted)
  fetch(2, end)
  t.equal(partition.highWatermark, end)
  t.ok(partition.knowsCommitted)
  t.same(log.leaderEpochs.latest, { epoch: 6, startOffset: 15 })
})

t.test('high watermark: a proposed member counts before the controller has answered', async (t) => {
  const { partition, write, fetch, changes } = lead({ isr: [1, 2] })
  fetch(2, 10)
  fetch(3, 10)
  t.match(changes, [
    {
      partitionEpoch: 7,
      leaderEpoch: 5,
      isr: [
        { brokerId: 1, brokerEpoch: 10 },
        { brokerId: 2, brokerEpoch: 20 },
        { brokerId: 3, brokerEpoch: 30 },
      ],
    },
  ])
  const end = write()
  fetch(2, end)
  t.equal(partition.highWatermark, 10, 'the controller may have said yes')
  const answer = { ok: true, leaderEpoch: 5, partitionEpoch: 8, isr: [1, 2, 3], recovering: false }
  t.notOk(partition.isrSettled(answer as never))
  t.same(partition.leadership?.isr, [1, 2, 3])
  fetch(3, end)
  t.equal(partition.highWatermark, end)
  // The metadata log tells the same later, and an older state.
  partition.apply(replicated({ isr: [1, 2], partitionEpoch: 7 }))
  partition.apply(replicated({ isr: [1, 2, 3], partitionEpoch: 8 }))
  t.same(partition.leadership?.isr, [1, 2, 3])
})

t.test('high watermark: one that is put out counts until that is committed', async (t) => {
  const world = lead()
  const { partition, write, fetch, changes } = world
  fetch(2, 10)
  fetch(3, 10)
  const end = write()
  world.nowMs += 40_000
  fetch(2, end)
  partition.shrinkIsr()
  t.same(
    changes.map(({ isr }) => isr.map(({ brokerId }) => brokerId)),
    [[1, 2]],
  )
  partition.shrinkIsr()
  t.equal(changes.length, 1, 'one proposal at a time')
  t.equal(partition.highWatermark, 10)
  partition.apply(replicated({ isr: [1, 2], partitionEpoch: 8 }))
  t.equal(partition.highWatermark, end)
  t.equal(world.withdrawals > 0, true, 'the metadata log was faster than the answer')
})

t.test('isr: who has all that was written is in sync, however long ago it fetched', async (t) => {
  const world = lead()
  world.fetch(2, 10)
  world.fetch(3, 10)
  world.nowMs += 1_000_000
  world.partition.shrinkIsr()
  t.same(world.changes, [])
})

t.test('isr: a follower joins at the start of the epoch, not at the high watermark', async (t) => {
  const { fetch, changes, log, partition } = lead({ isr: [1], leader: 2 })
  log.nextOffset = 14
  partition.apply(replicated({ isr: [1, 2], leaderEpoch: 6, partitionEpoch: 8 }))
  t.equal(partition.highWatermark, 10)
  fetch(3, 12)
  t.same(changes, [], 'what lies between may have been committed by the last leader')
  fetch(3, 14)
  t.equal(changes.length, 1)
})

t.test('isr: fenced brokers, those that leave, and earlier lives stay outside', async (t) => {
  const { fetch, changes, epochs } = lead({ isr: [1, 2] })
  epochs.delete(3)
  fetch(3, 10)
  epochs.set(3, 31)
  fetch(3, 10)
  t.same(changes, [])
  fetch(3, 10, 31)
  t.equal(changes.length, 1)
  fetch(3, 10, 30)
  t.equal(changes.length, 1, 'a late fetch of the life before')
})

t.test('high watermark: who is about to join is waited for, until it is fenced', async (t) => {
  const { partition, write, fetch, epochs } = lead({ isr: [1] })
  fetch(2, 10)
  const end = write()
  t.equal(partition.highWatermark, 10)
  partition.isrSettled({ ok: false, error: errors.ineligibleReplica, message: '' })
  t.equal(partition.highWatermark, 10)
  epochs.delete(2)
  partition.brokersChanged()
  t.equal(partition.highWatermark, end)
})

t.test('high watermark: who comes back with much to copy is not waited for', async (t) => {
  const { partition, write, fetch, epochs } = lead({ isr: [1, 2] })
  fetch(2, 10)
  t.equal(partition.highWatermark, 10)
  epochs.delete(2)
  partition.apply(replicated({ isr: [1], partitionEpoch: 8 }))
  const before = write()
  t.equal(partition.highWatermark, before, 'it is out of sync')
  epochs.set(2, 40)
  partition.brokersChanged()
  fetch(2, 3, 40)
  const end = write()
  t.equal(partition.highWatermark, end, 'had everything a moment ago, in the life before')
  fetch(2, end, 40)
  const next = write()
  t.equal(partition.highWatermark, end, 'is about to join')
  t.ok(next > end)
})

t.test('isr: what the controller says to a proposal', async (t) => {
  const refused = (error: (typeof errors)[keyof typeof errors]): boolean => {
    const { fetch, partition } = lead({ isr: [1, 2] })
    fetch(3, 10)
    const again = partition.isrSettled({ ok: false, error, message: '' })
    t.equal(partition.leadership?.isProposing, error !== errors.ineligibleReplica, error.name)
    return again
  }
  t.equal(refused(errors.ineligibleReplica), false, 'the committed one stands')
  t.equal(refused(errors.invalidUpdateVersion), false, 'metadata will tell')
  t.equal(refused(errors.fencedLeaderEpoch), false)
  t.equal(refused(errors.notController), true)
  t.equal(refused(errors.unknownServerError), true)
})

t.test('isr: an unclean leader settles its log before anybody joins', async (t) => {
  const { fetch, changes, partition } = lead({ isr: [1], recovering: true })
  t.match(changes, [{ recovering: false, isr: [{ brokerId: 1, brokerEpoch: 10 }] }])
  fetch(2, 10)
  t.equal(changes.length, 1)
  partition.apply(replicated({ isr: [1], partitionEpoch: 8 }))
  fetch(2, 10)
  t.equal(changes.length, 2)
})

t.test('isr: an unclean leader asks again when something else came in between', async (t) => {
  const { fetch, changes, partition } = lead({ isr: [1], recovering: true })
  // A reassignment began, and made the proposal void.
  partition.apply(
    replicated({ isr: [1], recovering: true, replicas: [1, 2, 3, 4], partitionEpoch: 8 }),
  )
  t.match(changes, [{ partitionEpoch: 7 }, { partitionEpoch: 8, recovering: false }])
  const refusal = { ok: false, error: errors.ineligibleReplica, message: '' } as const
  partition.isrSettled(refusal)
  t.equal(changes.length, 2)
  partition.shrinkIsr()
  t.equal(changes.length, 3)
  partition.apply(replicated({ isr: [1], partitionEpoch: 9 }))
  fetch(2, 10)
  t.match(changes[3]?.isr, [{ brokerId: 1 }, { brokerId: 2 }])
})

t.test('min.insync.replicas: below it nothing is committed', async (t) => {
  const { partition, write, fetch, log } = lead()
  log.config.minInsyncReplicas = 2
  fetch(2, 10)
  fetch(3, 10)
  const end = write()
  const committed = partition.whenCommitted(end)
  partition.apply(replicated({ isr: [1], partitionEpoch: 8 }))
  t.equal(await committed, errors.notEnoughReplicasAfterAppend)
  t.ok(partition.isUnderMinIsr)
  t.equal(partition.highWatermark, 10)
  partition.configure({ minInsyncReplicas: 1 } as never)
  t.notOk(partition.isUnderMinIsr)
  t.equal(partition.highWatermark, 10, 'the others are about to come back, and are waited for')
})

t.test('min.insync.replicas: of one replica one is enough', async (t) => {
  const { partition, log } = lead({ replicas: [1], isr: [1] })
  log.config.minInsyncReplicas = 3
  t.notOk(partition.isUnderMinIsr)
})

t.test('leader: when it stops being one, waiting appends and reads are told', async (t) => {
  const { partition, write, fetch } = lead()
  let wakes = 0
  partition.watch(() => wakes++, 'written')
  const committed = partition.whenCommitted(write())
  t.equal(wakes, 1)
  partition.apply(replicated({ leader: 2, leaderEpoch: 6, partitionEpoch: 8 }))
  t.equal(await committed, errors.notLeaderOrFollower)
  t.equal(wakes, 2)
  t.notOk(partition.leads)
  t.match(partition.append(Buffer.alloc(1), 'client'), { error: errors.notLeaderOrFollower })
  t.equal(await partition.whenCommitted(16), errors.notLeaderOrFollower)
  fetch(2, 10)
  t.equal(partition.checkLeaderEpoch(5), errors.fencedLeaderEpoch)
})

t.test('leader: told the same twice, nothing happens', async (t) => {
  const { partition, write } = lead()
  const committed = partition.whenCommitted(write())
  partition.apply(replicated())
  t.equal(partition.waitingAppendCount, 1)
  partition.apply(replicated({ leaderEpoch: 6, partitionEpoch: 8 }))
  t.equal(partition.waitingAppendCount, 1, 'it still leads, and what it has will be committed')
  partition.close()
  t.equal(await committed, errors.notLeaderOrFollower)
})

t.test('append: nobody is left waiting whose time is over', async (t) => {
  const { partition, write, fetch } = lead()
  const end = write()
  const [given, kept] = [partition.whenCommitted(end), partition.whenCommitted(end)]
  t.ok(given)
  if (given !== undefined) partition.abandon(given)
  t.equal(partition.waitingAppendCount, 1)
  fetch(2, end)
  fetch(3, end)
  t.equal(await kept, undefined)
  t.equal(partition.waitingAppendCount, 0)
})

t.test('leader: cut off from controller and followers, it serves no clients', async (t) => {
  const world = lead()
  const { partition, fetch } = world
  fetch(2, 10)
  fetch(3, 10)
  world.nowMs += 10_000
  t.notOk(partition.mayBeDeposed, 'the controller still knows it')
  const committed = partition.whenCommitted(world.write())
  partition.refuseIfDeposed()
  t.equal(partition.waitingAppendCount, 1)
  world.expired = true
  t.ok(partition.mayBeDeposed)
  partition.refuseIfDeposed()
  t.equal(await committed, errors.notLeaderOrFollower)
  fetch(2, 10)
  t.notOk(partition.mayBeDeposed, 'its followers would know of another leader')
  world.connection.closed = true
  t.ok(partition.mayBeDeposed, 'who closes may have gone to the new leader')
  world.connection = { closed: false }
  fetch(2, 10)
  t.notOk(partition.mayBeDeposed, 'it was only another connection')
  world.nowMs += 10_000
  partition.apply(replicated({ isr: [1], partitionEpoch: 8 }))
  t.notOk(partition.mayBeDeposed, 'alone in the ISR nobody else can be elected')
  fetch(2, 10)
  t.equal(world.changes.length, 1)
  world.nowMs += 10_000
  t.ok(partition.mayBeDeposed, 'the one that was to join may be in the ISR for the controller')
})

t.test('follower: appends what the leader of its epoch gives, and follows its ends', async (t) => {
  const { partition, log } = lead({ leader: 2 })
  const from = { leaderEpoch: 5, highWatermark: 14, logStartOffset: 3 }
  t.match(partition.appendFetched(Buffer.alloc(2), from), { ok: true, durable: undefined })
  t.equal(partition.highWatermark, 12, 'not beyond its own end')
  t.equal(log.logStartOffset, 3)
  t.match(partition.appendFetched(Buffer.alloc(2), { ...from, leaderEpoch: 4 }), {
    error: errors.fencedLeaderEpoch,
  })
  partition.apply(replicated({ leaderEpoch: 6, partitionEpoch: 8 }))
  t.match(partition.appendFetched(Buffer.alloc(2), { ...from, leaderEpoch: 6 }), {
    error: errors.notLeaderOrFollower,
  })
  t.equal(log.nextOffset, 12)
})

t.test('follower: cuts by epoch, as far as both may agree', async (t) => {
  const cut = (diverging: { epoch: number; endOffset: number }, highWatermark = 10): number[] => {
    const { partition, log } = lead({ leader: 2 })
    log.highWatermark = highWatermark
    log.nextOffset = 40
    log.leaderEpochs.assign(1, 0)
    log.leaderEpochs.assign(3, 20)
    log.leaderEpochs.assign(4, 30)
    partition.truncateToDivergence(5, diverging)
    return [log.nextOffset, partition.fetchPosition().lastFetchedEpoch, partition.highWatermark]
  }
  t.same(cut({ epoch: 3, endOffset: 25 }), [25, 3, 10], 'the leader has less of the epoch')
  t.same(cut({ epoch: 3, endOffset: 35 }), [30, 3, 10], 'this broker has less of it')
  t.same(cut({ epoch: 2, endOffset: 25 }), [20, 1, 10], 'it knows nothing of the epoch')
  t.same(cut({ epoch: -1, endOffset: -1 }), [10, 1, 10], 'the leader can not say')
  t.same(cut({ epoch: 1, endOffset: 5 }), [5, 1, 5], 'after an unclean election')
})

t.test('follower: an epoch that it led without writing is no part of its log', async (t) => {
  const { partition, log } = lead()
  log.leaderEpochs.assign(2, 3)
  t.equal(log.leaderEpochs.latest?.epoch, 2)
  partition.apply(replicated({ leaderEpoch: 6, partitionEpoch: 8 }))
  t.equal(partition.fetchPosition().lastFetchedEpoch, 6)
  partition.apply(replicated({ leader: 2, leaderEpoch: 7, partitionEpoch: 9 }))
  t.equal(partition.fetchPosition().lastFetchedEpoch, 2)
})

t.test('closest replica: in the rack of the consumer, in sync, and with the offset', async (t) => {
  const { partition, fetch } = lead({ isr: [1, 2] })
  fetch(2, 10)
  const brokers = new Map([
    [1, { rack: 'a' }],
    [2, { rack: 'b' }],
    [3, { rack: 'c' }],
  ])
  const at = { image: { brokers } as never, nodeId: 1 }
  t.equal(closestReplica(partition, { rack: 'b', offset: 10 }, at), 2)
  t.equal(closestReplica(partition, { rack: 'b', offset: 11 }, at), undefined)
  t.equal(closestReplica(partition, { rack: 'a', offset: 5 }, at), undefined)
  t.equal(closestReplica(partition, { rack: 'c', offset: 5 }, at), undefined)
  t.equal(closestReplica(partition, { rack: '', offset: 5 }, at), undefined)
})
