// Shards on a simulated disk: what is loaded is what was written, what is told can't be taken back.
import t from 'tap'
import { zeroUuid } from '../../../base/uuid.ts'
import { partitionOfGroup } from '../../../broker/group/group-partition.ts'
import type { GroupRecord } from '../../../broker/group/group-record.ts'
import { GroupShard } from '../../../broker/group/group-shard.ts'
import { encodeGroupRecord } from '../../../broker/group/record-codec.ts'
import { handler as findCoordinator } from '../../../broker/handlers/find-coordinator.ts'
import { handler as listGroups } from '../../../broker/handlers/list-groups.ts'
import { handler as offsetCommit } from '../../../broker/handlers/offset-commit.ts'
import { handler as offsetFetch } from '../../../broker/handlers/offset-fetch.ts'
import { errors } from '../../../protocol/errors.ts'
import { BatchBuilder } from '../../../protocol/records/builder.ts'
import { controlBatch } from '../../../protocol/records/control.ts'
import { GroupCalls, type GroupCallsOptions } from '../../support/group-calls.ts'
import { Seeded } from '../log/seeded.ts'

async function opened(options?: GroupCallsOptions): Promise<GroupCalls> {
  const calls = await GroupCalls.open({ flushPolicy: 'ack', ...options })
  calls.addTopic('topic', 4)
  await calls.call(findCoordinator, 4, { keyType: 0, coordinatorKeys: [''] })
  return calls
}

function offsetRecord(group: string, offset: number | null, partition = 0): GroupRecord {
  const value =
    offset === null
      ? null
      : {
          offset,
          leaderEpoch: -1,
          metadata: '',
          commitTimestampMs: 1,
          expireTimestampMs: -1,
          topicId: zeroUuid,
        }
  return { type: 'offsetCommit', group, topic: 'topic', partition, value }
}

function commitRequest(
  groupId: string,
  partition: number,
  offset: number,
): Parameters<typeof offsetCommit.handle>[0] {
  const partitions = [
    {
      partitionIndex: partition,
      committedOffset: offset,
      committedLeaderEpoch: -1,
      committedMetadata: null,
    },
  ]
  return {
    groupId,
    memberId: '',
    generationIdOrMemberEpoch: -1,
    groupInstanceId: null,
    retentionTimeMs: -1,
    topics: [{ name: 'topic', topicId: zeroUuid, partitions }],
  }
}

t.test('group partition: as Kafka computes it', async (t) => {
  // Utils.abs(groupId.hashCode()) % 50 of Java.
  t.equal(partitionOfGroup('', 50), 0)
  t.equal(partitionOfGroup('a', 50), 97 % 50)
  t.equal(partitionOfGroup('group', 50), 47)
  t.equal(partitionOfGroup('console-consumer-54321', 50), 6)
  t.equal(partitionOfGroup('polygenelubricants', 50), 0, 'the hash is the least integer')
  t.equal(partitionOfGroup('grüße-𝄞', 50), 22)
})

t.test('shard: committed offsets survive power cuts, those told of too', async (t) => {
  const random = new Seeded()
  t.comment(`SEED=${random.seed}`)
  const calls = await opened({ seed: random.seed, logConfig: { segmentBytes: 2000 } })
  /** What the broker has acknowledged or told, by group and partition: it never goes back. */
  const known = new Map<string, number>()
  let next = 1
  for (let life = 0; life < 12; life++) {
    for (let step = 0; step < 40; step++) {
      const groupId = `group ${random.below(5)}`
      const partition = random.below(4)
      const key = `${groupId} ${partition}`
      const learn = (offset: number): void => {
        known.set(key, Math.max(known.get(key) ?? -1, offset))
      }
      if (random.below(3) > 0) {
        const offset = next++
        void calls
          .begin(offsetCommit, 8, commitRequest(groupId, partition, offset))
          .then((answer) => {
            if (answer.topics[0]?.partitions[0]?.errorCode === 0) learn(offset)
          })
      } else {
        const topics = [{ name: 'topic', partitionIndexes: [partition] }]
        void calls.begin(offsetFetch, 7, { groupId, topics }).then((answer) => {
          learn(answer.topics[0]?.partitions[0]?.committedOffset ?? -1)
        })
      }
      if (random.below(4) === 0) await calls.advance(random.below(3))
    }
    await calls.restart(random.below(2) === 0 ? 'kill' : 'power')
    for (const [key, offset] of known) {
      const partition = Number(key.slice(-1))
      const groupId = key.slice(0, -2)
      const stored = calls.shard(groupId).offsets.get(groupId, 'topic', partition)?.offset ?? -1
      t.ok(stored >= offset, `${key}: ${stored}, told of ${offset}`)
    }
  }
  t.ok(known.size > 10)
})

t.test('shard: clients wait while it loads, and others have their turn', async (t) => {
  const calls = await opened({ flushPolicy: 'os' })
  const shard = calls.shard('group')
  for (let batch = 0; batch < 30; batch++) {
    const records = Array.from({ length: 50 }, (_, index) =>
      offsetRecord('group', batch * 50 + index),
    )
    t.equal(shard.write(records).ok, true)
  }
  // Simulated time stands still while the loader works: this clock moves whenever it is looked at.
  const { clock } = calls.machine.env
  const monotonicMs = clock.monotonicMs.bind(clock)
  let extraMs = 0
  await calls.crash('kill')
  Object.assign(clock, { monotonicMs: () => monotonicMs() + (extraMs += 3) })
  const starting = calls.restartSlowly()
  await starting
  t.equal(calls.groups.shardFor('group'), errors.coordinatorLoadInProgress)
  t.equal(calls.groups.isLoading, true)
  const listed = await calls.begin(listGroups, 4, {})
  t.equal(listed.errorCode, errors.coordinatorLoadInProgress.code)
  const refused = await calls.begin(offsetCommit, 8, commitRequest('group', 0, 1))
  t.equal(refused.topics[0]?.partitions[0]?.errorCode, errors.coordinatorLoadInProgress.code)
  calls.removeTopic('topic')
  let turns = 0
  while (calls.groups.isLoading) {
    turns++
    await calls.machine.simulation.step()
  }
  t.ok(turns >= 5, `${turns} turns`)
  await calls.advance(10)
  t.equal(calls.shard('group').offsets.count, 0, 'a topic was deleted meanwhile')
})

t.test('shard: is not served when its log can not be read', async (t) => {
  const calls = await opened()
  await calls.call(offsetCommit, 8, commitRequest('group', 0, 1))
  await calls.restartSlowly()
  const { log } = calls.partitions.get('__consumer_offsets', calls.groups.partitionFor('group'))!
  const error = errors.kafkaStorageError
  const read = log.read.bind(log)
  Object.assign(log, { read: () => ({ ok: false, error, message: 'broken' }) })
  await calls.advance(10)
  t.equal(calls.groups.shardFor('group'), errors.notCoordinator)
  t.equal(calls.groups.isLoading, false)
  t.match(await calls.call(listGroups, 4, {}), { errorCode: 0, groups: { length: 0 } })
  Object.assign(log, { read })
  await calls.advance(6000)
  t.equal(calls.shard('group').offsets.count, 1, 'it is tried again')
})

t.test('shard: compressed batches are written and loaded', async (t) => {
  for (const codec of ['1', '2', '3', '4']) {
    const calls = await opened({ properties: { 'offsets.topic.compression.codec': codec } })
    const records = Array.from({ length: 100 }, (_, index) => offsetRecord(`group ${index}`, index))
    const shard = calls.shard('a')
    shard.write(records)
    await calls.restart('kill')
    const loaded = [...calls.groups.shards()].find((each) => each.offsets.count > 0)
    t.equal(loaded?.offsets.count, 100)
    t.equal(loaded?.offsets.get('group 42', 'topic', 0)?.offset, 42)
  }
})

t.test('shard: a transaction counts when its marker says so', async (t) => {
  const calls = await opened()
  const { partition } = calls.shard('group')
  const transactional = (producerId: number, offset: number): Buffer => {
    const builder = new BatchBuilder({
      transactional: true,
      producerId,
      producerEpoch: 0,
      baseSequence: 0,
    })
    const { key, value } = encodeGroupRecord(offsetRecord(`by ${producerId}`, offset))
    builder.append(key, value, [], 1)
    return builder.finish()
  }
  const end = { producerEpoch: 0, coordinatorEpoch: 0, timestamp: 1 }
  for (const batch of [
    transactional(1, 10),
    transactional(2, 20),
    transactional(3, 30),
    controlBatch({ end: 'commit', producerId: 1, ...end }),
    controlBatch({ end: 'abort', producerId: 2, ...end }),
  ]) {
    t.equal(partition.append(batch, 'coordinator').ok, true)
  }
  await calls.advance(100)
  await calls.restart('kill')
  const { offsets } = calls.shard('group')
  t.equal(offsets.get('by 1', 'topic', 0)?.offset, 10)
  t.equal(offsets.count, 1)
})

t.test(
  'shard: what a transaction decides over is no newer than where it stands in the log',
  async (t) => {
    const calls = await opened()
    const { partition } = calls.shard('group')
    const written = (offset: number, producerId?: number): Buffer => {
      const builder = new BatchBuilder(
        producerId === undefined
          ? {}
          : { transactional: true, producerId, producerEpoch: 0, baseSequence: 0 },
      )
      const { key, value } = encodeGroupRecord(offsetRecord('group', offset))
      builder.append(key, value, [], 1)
      return builder.finish()
    }
    const end = { producerEpoch: 0, coordinatorEpoch: 0, timestamp: 1 }
    const commit = (producerId: number): Buffer =>
      controlBatch({ end: 'commit', producerId, ...end })
    for (const batch of [written(5, 1), written(6, 2), written(7), commit(2), commit(1)])
      t.equal(partition.append(batch, 'coordinator').ok, true)
    await calls.advance(100)
    await calls.restart('kill')
    t.equal(calls.shard('group').offsets.get('group', 'topic', 0)?.offset, 7)
    const later = calls.shard('group').partition
    for (const batch of [written(8, 3), written(9, 4), commit(4), commit(3)])
      t.equal(later.append(batch, 'coordinator').ok, true)
    await calls.advance(100)
    await calls.restart('kill')
    t.equal(calls.shard('group').offsets.get('group', 'topic', 0)?.offset, 9)
  },
)

t.test('shard: records that nobody knows are skipped', async (t) => {
  const calls = await opened()
  const { partition } = calls.shard('group')
  const builder = new BatchBuilder()
  for (let index = 0; index < 50; index++) builder.append(Buffer.from([0, 99]), null, [], 1)
  builder.append(Buffer.from([0, 1, 0, 9]), Buffer.alloc(3), [], 1)
  const { key, value } = encodeGroupRecord(offsetRecord('group', 5))
  builder.append(key, value, [], 1)
  partition.append(builder.finish(), 'coordinator')
  await calls.advance(100)
  await calls.restart('kill')
  t.equal(calls.shard('group').offsets.get('group', 'topic', 0)?.offset, 5)
})

t.test('shard: a batch that is too large changes nothing', async (t) => {
  const calls = await opened({ logConfig: { maxMessageBytes: 1000 } })
  const shard = calls.shard('group')
  const records = Array.from({ length: 100 }, (_, index) => offsetRecord('group', 1, index))
  const written = shard.write(records)
  t.same(written, { ok: false, error: errors.unknownServerError })
  t.equal(shard.offsets.count, 0)
  t.equal(shard.groups.size, 0)
})

t.test('shard: a failed flush unloads it, and nobody is told of success', async (t) => {
  const calls = await opened()
  const shard = calls.shard('group')
  calls.machine.env.disk.fail({ operation: 'sync', path: '.log', code: 'EIO', times: 1 })
  const answer = await calls.call(offsetCommit, 8, commitRequest('group', 0, 1))
  t.equal(answer.topics[0]?.partitions[0]?.errorCode, errors.notCoordinator.code)
  t.equal(shard.state, 'closed')
  t.equal(calls.groups.shardFor('group'), errors.notCoordinator)
  t.same(shard.write([offsetRecord('group', 2)]), { ok: false, error: errors.notCoordinator })
  t.equal(await shard.settled(), errors.notCoordinator)
})

t.test('shard: goes when its topic goes, and comes back empty', async (t) => {
  const calls = await opened()
  await calls.call(offsetCommit, 8, commitRequest('group', 0, 1))
  const shard = calls.shard('group')
  calls.removeTopic('__consumer_offsets')
  t.equal(shard.state, 'closed')
  t.equal(calls.groups.shardFor('group'), errors.coordinatorNotAvailable)
  await calls.advance(10)
  t.equal(calls.creations, 2, 'whoever asked had it created again')
  t.ok(calls.groups.shardFor('group') instanceof GroupShard)
  t.equal(calls.shard('group').offsets.count, 0)
})

t.test(
  'shard: while nothing is committed, those who ask again and again do not pile up',
  async (t) => {
    const calls = await opened({ flushPolicy: 'os' })
    const shard = calls.shard('group')
    const { partition } = shard
    const committing = new Set<Promise<unknown>>()
    const settle: ((error: undefined) => void)[] = []
    Object.assign(partition, {
      whenCommitted: () => {
        const waiting = new Promise((resolve) => settle.push(resolve))
        committing.add(waiting)
        return waiting
      },
      abandon: (waiting: Promise<unknown>) => committing.delete(waiting),
    })
    for (let seconds = 0; seconds < 100; seconds++) {
      void calls.begin(offsetFetch, 7, { groupId: 'group', topics: null })
      if (seconds % 10 === 0) void calls.begin(offsetCommit, 8, commitRequest('group', 0, seconds))
      await calls.advance(1000)
    }
    await calls.advance(10_000)
    t.equal(committing.size, 1, 'the furthest')
    for (const resolve of settle) resolve(undefined)
    await calls.advance(1)
    t.equal(shard.state, 'active')
  },
)

t.test('shard: one whose partition goes before its turn to be loaded is left alone', async (t) => {
  const calls = await opened()
  await calls.call(offsetCommit, 8, commitRequest('group', 0, 1))
  await calls.restartSlowly()
  const index = calls.groups.partitionFor('group')
  const { log } = calls.partitions.get('__consumer_offsets', index)!
  Object.defineProperty(log, 'nextOffset', { value: log.logStartOffset })
  calls.removeTopic('__consumer_offsets')
  await calls.advance(10)
  t.equal(calls.groups.isLoading, false)
})
