/**
 * The appends of one log: checks, offsets, the write, and what follows from it in memory.
 *
 * I1: an append is visible as a whole or not at all: memory changes only after the write has succeeded.
 */
import type { ErrorInfo } from '../../protocol/errors.ts'
import {
  isControl,
  nextOffsetOf,
  patchBatch,
  readBatchHeader,
  type BatchHeader,
} from '../../protocol/records/batch.ts'
import type { Appended, AppendOptions, AppendResult, NotAppended } from './append-result.ts'
import { checkBatch, type BatchRefusal } from './batch-validation.ts'
import type { DerivedState } from './derived-state.ts'
import type { LogConfig } from './log-config.ts'
import type { LogResources } from './log-resources.ts'
import type { LogSegments } from './log-segments.ts'
import { relativeOffsetMax } from './offset-index.ts'
import { markerOf, replayBatch } from './producer-replay.ts'
import type { ProducerCheck } from './producer-state.ts'
import { splitReplicaBatches, startOfFirstBatch } from './replica-batches.ts'

export interface WrittenLog {
  readonly owner: {
    readonly resources: LogResources
    readonly config: LogConfig
    readonly logStartOffset: number
    readonly nextOffset: number
    /** Starts a new segment at `baseOffset`. Throws `StorageError`. */
    roll(baseOffset: number): void
    /** Drops everything, and goes on at `offset`. Throws `StorageError`. */
    restartAt(offset: number): void
    deleteRecords(offset: number): void
  }
  readonly segments: LogSegments
  readonly derived: DerivedState
  /** Whole batches, `bytes` long together, are in the active segment. */
  written(nextOffset: number, bytes: number): void
}

export class LogWriter {
  readonly #log: WrittenLog
  /** Of the active segment, in [0, segment.jitter.ms). */
  #rollJitterMs = 0

  constructor(log: WrittenLog) {
    this.#log = log
    this.segmentBegins()
  }

  /** Draws by how much earlier the new active segment will roll, so that not all logs do at the same time. */
  segmentBegins(): void {
    const { config, resources } = this.#log.owner
    this.#rollJitterMs = config.segmentJitterMs * resources.env.random.fraction()
  }

  /** Throws `StorageError`; then nothing was appended. */
  append(batch: Buffer, options: AppendOptions): AppendResult {
    return options.origin === 'replica'
      ? this.#appendFromLeader(batch, options.leaderEpoch)
      : this.#appendOne(batch, options.origin, options.leaderEpoch)
  }

  #appendOne(bytes: Buffer, origin: 'client' | 'coordinator', leaderEpoch: number): AppendResult {
    const checked = checkBatch(bytes, {
      origin,
      config: this.#log.owner.config,
      nowMs: this.#log.owner.resources.env.clock.wallMs(),
    })
    if (!checked.ok) return this.#refuseBatch(checked)
    const { batch, header } = checked
    const known = this.#checkProducer(batch, header, origin)
    if (known.kind === 'refused')
      return notAppended(this.#log.owner.logStartOffset, known.error, known.message)
    if (known.kind === 'duplicate') {
      const isLogTime = this.#log.owner.config.messageTimestampType === 'LogAppendTime'
      const nextOffset = known.baseOffset + header.lastOffsetDelta + 1
      return this.#appended(known.baseOffset, nextOffset, {
        logAppendTimeMs: isLogTime ? known.logAppendTimeMs : -1,
        duplicate: true,
      })
    }
    const baseOffset = this.#log.owner.nextOffset
    patchBatch(batch, 0, baseOffset, leaderEpoch)
    this.#write(batch, [readBatchHeader(batch, 0)])
    return this.#appended(baseOffset, this.#log.owner.nextOffset, {
      logAppendTimeMs: checked.logAppendTimeMs,
      duplicate: false,
    })
  }

  #appendFromLeader(bytes: Buffer, leaderEpoch: number): AppendResult {
    const { owner } = this.#log
    const { nextOffset: offset, logStartOffset } = owner
    const start = offset === logStartOffset ? startOfFirstBatch(bytes, offset) : undefined
    const nextOffset = start ?? offset
    const headers = splitReplicaBatches(bytes, { nextOffset, leaderEpoch })
    if ('error' in headers) return this.#refuseBatch(headers)
    const baseOffset = headers[0]?.baseOffset ?? nextOffset
    const isRestart = start !== undefined && headers.length > 0
    if (isRestart) owner.restartAt(start)
    try {
      this.#write(bytes, headers)
    } catch (error) {
      // Nothing was appended, so the log ends where it did.
      if (isRestart) owner.restartAt(logStartOffset)
      throw error
    }
    if (isRestart) owner.deleteRecords(logStartOffset)
    return this.#appended(baseOffset, this.#log.owner.nextOffset, {
      logAppendTimeMs: -1,
      duplicate: false,
    })
  }

  #checkProducer(
    batch: Buffer,
    header: BatchHeader,
    origin: 'client' | 'coordinator',
  ): ProducerCheck {
    const { producers } = this.#log.derived
    if (!isControl(header.attributes)) return producers.check(header, origin)
    const marker = markerOf(batch, header)
    if (marker === undefined) return { kind: 'new' }
    return producers.checkMarker(header, marker, { origin, transactionVersion: 0 })
  }

  /** Writes batches that lie one behind the other in `bytes`: as many as fit into a segment with one call. */
  #write(bytes: Buffer, headers: readonly BatchHeader[]): void {
    let from = 0
    let end = 0
    let run: BatchHeader[] = []
    for (const header of headers) {
      if (this.#mustRoll(header, end - from)) {
        this.#writeRun(bytes.subarray(from, end), run)
        this.#log.owner.roll(this.#segmentBaseFor(header))
        from = end
        run = []
      }
      end += header.sizeBytes
      run.push(header)
    }
    this.#writeRun(bytes.subarray(from, end), run)
  }

  #writeRun(bytes: Buffer, headers: readonly BatchHeader[]): void {
    if (headers.length === 0) return
    const { active } = this.#log.segments
    const { producers, epochs } = this.#log.derived
    active.write(bytes)
    const nowMs = this.#log.owner.resources.env.clock.wallMs()
    let at = 0
    for (const header of headers) {
      const from = at
      const completed = replayBatch(
        producers,
        header,
        () => bytes.subarray(from, from + header.sizeBytes),
        nowMs,
      )
      active.add(header)
      if (completed?.aborted === true) active.indexes.transactions.append(completed)
      if (header.leaderEpoch >= 0) epochs.assign(header.leaderEpoch, header.baseOffset)
      at += header.sizeBytes
    }
    const last = headers.at(-1)
    if (last !== undefined) this.#log.written(nextOffsetOf(last), bytes.length)
  }

  /** Where the log goes on; where the batch begins, when compaction has left a gap before it that no segment can hold. */
  #segmentBaseFor(header: BatchHeader): number {
    const { nextOffset } = this.#log.owner
    const fits = nextOffsetOf(header) - 1 - nextOffset <= relativeOffsetMax
    return fits ? nextOffset : header.baseOffset
  }

  /** `pendingBytes` are about to be written before the batch. */
  #mustRoll(header: BatchHeader, pendingBytes: number): boolean {
    const { active } = this.#log.segments
    if (nextOffsetOf(header) - 1 - active.baseOffset > relativeOffsetMax) return true
    const usedBytes = active.sizeBytes + pendingBytes
    if (usedBytes === 0) return false
    if (usedBytes + header.sizeBytes > this.#log.owner.config.segmentBytes) return true
    const { indexes } = active
    if (indexes.isFull) return true
    const rollMs = segmentMsMax(this.#log.owner.config) - this.#rollJitterMs
    if (indexes.firstTimestamp >= 0) return header.maxTimestamp - indexes.firstTimestamp > rollMs
    return this.#log.owner.resources.env.clock.wallMs() - active.lastAppendMs() > rollMs
  }

  #appended(
    baseOffset: number,
    nextOffset: number,
    rest: Pick<Appended, 'logAppendTimeMs' | 'duplicate'>,
  ): Appended {
    return {
      ok: true,
      baseOffset,
      nextOffset,
      logStartOffset: this.#log.owner.logStartOffset,
      ...rest,
    }
  }

  #refuseBatch({ error, message, recordErrors }: BatchRefusal): NotAppended {
    return {
      ok: false,
      error,
      message,
      recordErrors,
      logStartOffset: this.#log.owner.logStartOffset,
    }
  }
}

/** A compacted log rolls so early that max.compaction.lag.ms can be kept: only closed segments are cleaned. */
function segmentMsMax({ segmentMs, maxCompactionLagMs, cleanupPolicy }: LogConfig): number {
  return cleanupPolicy.compact ? Math.min(segmentMs, maxCompactionLagMs) : segmentMs
}

export function notAppended(
  logStartOffset: number,
  error: ErrorInfo,
  message: string,
): NotAppended {
  return { ok: false, error, message, recordErrors: [], logStartOffset }
}
