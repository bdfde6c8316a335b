// The sizes that a group may have: nothing in its expiry may depend on them.
import t from 'tap'
import { zeroUuid } from '../../../base/uuid.ts'
import { OffsetExpiry } from '../../../broker/group/offset-expiry.ts'
import { handler as findCoordinator } from '../../../broker/handlers/find-coordinator.ts'
import { silentLogger } from '../../../base/logger.ts'
import { GroupCalls } from '../../support/group-calls.ts'

t.test('expiry: a group with very many offsets', async (t) => {
  const calls = await GroupCalls.open({ flushPolicy: 'ack' })
  await calls.call(findCoordinator, 4, { keyType: 0, coordinatorKeys: [''] })
  const shard = calls.shard('large')
  const value = {
    offset: 1,
    leaderEpoch: -1,
    metadata: '',
    commitTimestampMs: 0,
    expireTimestampMs: 0,
    topicId: zeroUuid,
  }
  const count = 150_000
  const records = Array.from({ length: count }, (_, partition) => {
    return { type: 'offsetCommit', group: 'large', topic: 'topic', partition, value } as const
  })
  const written = shard.writeInParts(records)
  await calls.advance(1000)
  t.equal(await written, undefined)
  t.equal(shard.offsets.count, count)
  const expiry = new OffsetExpiry({
    env: shard.env,
    config: () => shard.config,
    shards: () => [shard],
    logger: silentLogger,
  })
  const run = expiry.run()
  await calls.advance(1000)
  await run
  t.equal(shard.offsets.count, 0)
  t.equal(shard.groups.has('large'), false)
})
