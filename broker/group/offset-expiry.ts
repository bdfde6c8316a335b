import type { Env, Timer } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import type { Group } from './group.ts'
import type { GroupConfig } from './group-properties.ts'
import type { GroupRecord } from './group-record.ts'
import type { GroupShard } from './group-shard.ts'
import { offsetTombstone } from './offset-tombstones.ts'

export interface OffsetExpiryOptions {
  readonly env: Pick<Env, 'clock' | 'timers'>
  readonly config: () => GroupConfig
  readonly shards: () => Iterable<GroupShard>
  readonly logger: Logger
}

const msPerMinute = 60_000
/** A slice of the work; then others have their turn. */
const sliceMs = 5

/** Removes offsets that nobody has used for long, and groups that have neither members nor offsets. */
export class OffsetExpiry {
  readonly #options: OffsetExpiryOptions
  #timer: Timer | undefined
  #stopped = false

  constructor(options: OffsetExpiryOptions) {
    this.#options = options
  }

  start(): void {
    const { env, config } = this.#options
    const delayMs = config().offsetsRetentionCheckIntervalMs
    this.#timer = env.timers.after(delayMs, () => {
      void this.run().then(() => {
        if (!this.#stopped) this.start()
      })
    })
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  /** Looks at every group once. Never rejects. */
  async run(): Promise<void> {
    for (const shard of this.#options.shards()) await this.#shard(shard)
  }

  async #shard(shard: GroupShard): Promise<void> {
    const { clock, timers } = this.#options.env
    const retentionMs = this.#options.config().offsetsRetentionMinutes * msPerMinute
    let records: GroupRecord[] = []
    let sliceEndMs = clock.monotonicMs() + sliceMs
    // Groups may come and go while others have their turn: an iterator of a map bears it.
    for (const group of shard.groups.values()) {
      const expired = expiredRecords(shard, group, { nowMs: clock.wallMs(), retentionMs })
      // Not as arguments of one call: a group may have more offsets than a call takes.
      for (const record of expired) records.push(record)
      if (clock.monotonicMs() < sliceEndMs) continue
      // Written before anybody else can change what they are about.
      this.#write(shard, records)
      records = []
      await new Promise<void>((resolve) => timers.soon(resolve))
      if (this.#stopped || shard.state !== 'active') return // re-check: awaited
      sliceEndMs = clock.monotonicMs() + sliceMs
    }
    this.#write(shard, records)
  }

  #write(shard: GroupShard, records: readonly GroupRecord[]): void {
    if (records.length === 0) return
    void shard.writeInParts(records).then((error) => {
      const { logger } = this.#options
      const about = { partition: shard.partition.index, count: records.length }
      if (error === undefined) logger.info(about, 'Offsets and groups expired')
      else logger.warn({ ...about, error: error.name }, 'Expired offsets could not be removed')
    })
  }
}

/** What erases the expired offsets of a group, and the group itself when nothing of it is left. */
function expiredRecords(
  shard: Pick<GroupShard, 'offsets'>,
  group: Group,
  time: { readonly nowMs: number; readonly retentionMs: number },
): GroupRecord[] {
  const records: GroupRecord[] = []
  let keeps = false
  for (const [topic, partitions] of shard.offsets.ofGroup(group.id)) {
    const subscribed = group.isSubscribedTo(topic)
    for (const [partition, offset] of partitions) {
      if (!subscribed && group.offsetExpired(topic, offset, time.nowMs, time.retentionMs)) {
        records.push(offsetTombstone(group.id, topic, partition))
      } else keeps = true
    }
  }
  if (!keeps && group.isEmpty) records.push(...group.tombstones())
  return records
}
