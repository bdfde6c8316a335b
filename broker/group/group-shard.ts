import { assert } from '../../base/assert.ts'
import type { Env } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { BatchBuilder } from '../../protocol/records/builder.ts'
import type { CompressionCodec } from '../../protocol/records/compression.ts'
import type { NotAppended } from '../log/append-result.ts'
import type { ClusterImage } from '../metadata/image.ts'
import type { Partition } from '../replica/partition.ts'
import { CommitTimeouts } from './commit-timeouts.ts'
import type { Group, GroupHost, Write } from './group.ts'
import type { GroupConfig } from './group-properties.ts'
import type { GroupRecord } from './group-record.ts'
import { OffsetStore } from './offset-store.ts'
import { encodeGroupRecord } from './record-codec.ts'
import { replayRecord, restoreHolders } from './replay.ts'

export interface GroupShardOptions {
  readonly env: Pick<Env, 'clock' | 'timers' | 'random'>
  readonly config: () => GroupConfig
  readonly image: ClusterImage
  readonly logger: Logger
  /** The partition of `__consumer_offsets` that the shard lives in. */
  readonly partition: Partition
}

/** A wait for what lies below an offset to be committed. */
interface CommitWait {
  readonly nextOffset: number
  readonly committing: Promise<ErrorInfo | undefined>
  readonly outcome: Promise<ErrorInfo | undefined>
}

const codecs: readonly CompressionCodec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
/** Tombstones of many keys are written in parts: well below the smallest max.message.bytes that makes sense. */
const partBytes = 256 * 1024

/**
 * The groups of one partition of `__consumer_offsets`.
 *
 * I1: state changes by `replay` only (classic groups excepted, which run ahead of their records), so that a shard
 *     which is loaded from its partition is equal to one that lived.
 * I2: nothing that may still be lost is told to a client: whoever writes waits for `committed`, whoever reads for `settled`.
 */
export class GroupShard implements GroupHost {
  readonly env: Pick<Env, 'clock' | 'timers' | 'random'>
  readonly image: ClusterImage
  readonly logger: Logger
  readonly partition: Partition
  readonly groups = new Map<string, Group>()
  readonly offsets = new OffsetStore()
  readonly #config: () => GroupConfig
  readonly #timeouts: CommitTimeouts<ErrorInfo | undefined>
  #state: 'loading' | 'active' | 'closed' = 'loading'
  /** Everything below was replayed. */
  #replayedOffset = 0
  /** For the offset that was asked for last. */
  #last: CommitWait | undefined
  /** One that took too long. */
  #late: CommitWait | undefined
  /** The disk has refused the last write. */
  #isRefusing = false

  constructor(options: GroupShardOptions) {
    this.env = options.env
    this.image = options.image
    this.logger = options.logger
    this.partition = options.partition
    this.#config = options.config
    this.#timeouts = new CommitTimeouts<ErrorInfo | undefined>(options.env, {
      delayMs: this.config.offsetsCommitTimeoutMs,
      onTimeout: () => coordinatorErrorFor(errors.requestTimedOut),
    })
  }

  get config(): GroupConfig {
    return this.#config()
  }

  get state(): 'loading' | 'active' | 'closed' {
    return this.#state
  }

  write(records: readonly GroupRecord[], options: { readonly replay?: boolean } = {}): Write {
    if (this.#state !== 'active') return { ok: false, error: errors.notCoordinator }
    if (records.length === 0) return { ok: true, committed: this.settled() }
    const appended = this.partition.append(this.#batchOf(records), 'coordinator')
    if (!appended.ok) return this.#refused(appended)
    this.#isRefusing = false
    this.#replayedOffset = appended.nextOffset
    if (options.replay !== false) for (const record of records) replayRecord(this, record)
    return { ok: true, committed: this.#committed(appended.nextOffset) }
  }

  /**
   * For records that need not be one batch. Undefined when all are committed; when an error comes back some may be
   * written, and the same call may be made again.
   */
  async writeInParts(records: readonly GroupRecord[]): Promise<ErrorInfo | undefined> {
    let committed: Promise<ErrorInfo | undefined> = this.settled()
    for (const part of partsOf(records)) {
      const written = this.write(part)
      if (!written.ok) return written.error
      committed = written.committed
    }
    return committed
  }

  /** Resolves when everything replayed so far can not be lost any more, or with the error to answer instead. */
  settled(): Promise<ErrorInfo | undefined> {
    if (this.#state === 'closed') return Promise.resolve(errors.notCoordinator)
    return this.#committed(this.#replayedOffset)
  }

  /** For the loader: the next record of the partition. */
  replay(record: GroupRecord): void {
    assert(this.#state === 'loading', 'I1: a shard that serves changes by what it writes')
    replayRecord(this, record)
  }

  /** Everything in the partition was replayed: from now on clients are served. */
  activate(nextOffset: number): void {
    assert(this.#state === 'loading', 'a shard is loaded once')
    this.#state = 'active'
    this.#replayedOffset = nextOffset
    restoreHolders(this)
    for (const group of this.groups.values()) group.loaded()
  }

  /** The partition went elsewhere or away. Parked requests are answered with `error`. */
  close(error: ErrorInfo): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    for (const group of this.groups.values()) group.close(error)
    this.groups.clear()
  }

  /** A full disk refuses every write: that is worth one line, not one for each. */
  #refused({ error, message }: NotAppended): Write {
    const about = { partition: this.partition.index, error: error.name, message }
    if (error !== errors.kafkaStorageError) {
      this.logger.debug(about, 'Records of groups were refused')
    } else if (!this.#isRefusing) {
      this.#isRefusing = true
      this.logger.error(about, 'Records of groups can not be written')
    }
    return { ok: false, error: coordinatorErrorFor(error) }
  }

  #batchOf(records: readonly GroupRecord[]): Buffer {
    const codec = codecs[this.config.offsetsTopicCompressionCodec] ?? 'none'
    const builder = new BatchBuilder({ codec })
    const nowMs = this.env.clock.wallMs()
    for (const record of records) {
      const { key, value } = encodeGroupRecord(record)
      builder.append(key, value, [], nowMs)
    }
    return builder.finish()
  }

  #committed(nextOffset: number): Promise<ErrorInfo | undefined> {
    const { partition } = this
    // Readers wait for the same offset as the writer before them: while nothing is committed, they must not pile up.
    if (this.#last?.nextOffset !== nextOffset) {
      const committing = partition.whenCommitted(nextOffset, 'coordinator')
      if (committing === undefined) return Promise.resolve(undefined)
      const wait = {
        nextOffset,
        committing,
        outcome: committing.then((error) => this.#outcome(error)),
      }
      this.#last = wait
      void wait.outcome.then(() => this.#settledWith(wait))
    }
    const wait = this.#last
    // Too late is not lost: the shard goes on, and what was replayed counts when it is committed after all.
    return this.#timeouts.within(wait.outcome, () => this.#gaveUp(wait))
  }

  #settledWith(wait: CommitWait): void {
    if (this.#last === wait) this.#last = undefined
    if (this.#late === wait) this.#late = undefined
  }

  /** Of the waits that nobody waits for any more the furthest is kept: it tells when what was replayed is lost. */
  #gaveUp(wait: CommitWait): void {
    const late = this.#late
    if (late === wait) return
    if (late === undefined || late.nextOffset < wait.nextOffset) {
      this.#late = wait
      if (late !== undefined) this.partition.abandon(late.committing)
    } else this.partition.abandon(wait.committing)
  }

  #outcome(error: ErrorInfo | undefined): ErrorInfo | undefined {
    if (error === undefined) return undefined
    // What was replayed may be lost: only the partition itself can tell what is true.
    this.close(errors.notCoordinator)
    return coordinatorErrorFor(error)
  }
}

/** What clients of a coordinator understand: they find it again on the first two. */
function coordinatorErrorFor(error: ErrorInfo): ErrorInfo {
  switch (error) {
    case errors.notLeaderOrFollower:
    case errors.kafkaStorageError:
      return errors.notCoordinator
    case errors.unknownTopicOrPartition:
    case errors.notEnoughReplicas:
    case errors.requestTimedOut:
      return errors.coordinatorNotAvailable
    default:
      return errors.unknownServerError
  }
}

function* partsOf(records: readonly GroupRecord[]): Generator<readonly GroupRecord[]> {
  let part: GroupRecord[] = []
  let bytes = 0
  for (const record of records) {
    const { key, value } = encodeGroupRecord(record)
    const size = key.length + (value?.length ?? 0)
    if (bytes + size > partBytes && part.length > 0) {
      yield part
      part = []
      bytes = 0
    }
    part.push(record)
    bytes += size
  }
  if (part.length > 0) yield part
}
