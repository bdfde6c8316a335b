// What a load generator can be asked to do. Frames are whole requests, size in front, built before anything is timed.
import type { GroupJob, GroupResult } from './groups.ts'
import type { HoldJob, HoldResult } from './holding.ts'
import type { MessageJob, MessageResult } from './messages.ts'
import type { Leader } from './topics.ts'

export type Job = ProduceJob | ReadJob | PacedJob | HoldJob | MessageJob | GroupJob

/** Closed loops: each connection keeps `depth` requests under way until it has sent `count`. */
export interface ProduceJob {
  readonly kind: 'produce'
  readonly connections: readonly ProducerConnection[]
}

export interface ProducerConnection extends Leader {
  /** Sent in turn, round and round. */
  readonly frames: readonly Uint8Array[]
  readonly count: number
  readonly depth: number
  /**
   * Where an answer holds its error code, counted from behind its size. Undefined: no answers come (acks=0); `fence` is
   * sent at the end then, and its answer says that everything before it was handled.
   */
  readonly errorAt: number | undefined
  readonly fence?: Uint8Array
}

/** Each connection reads one partition from an offset up to another, with one request under way, as a consumer does. */
export interface ReadJob {
  readonly kind: 'read'
  readonly connections: readonly ReaderConnection[]
  /** Checks the CRC of every batch, not only that of one answer in 256. */
  readonly isThorough: boolean
}

export interface ReaderConnection extends Leader {
  /** A fetch; the offset is written into it at `offsetAt`. */
  readonly frame: Uint8Array
  readonly offsetAt: number
  /** Of one answer; what is longer is refused. */
  readonly answerBytesMax: number
  readonly fromOffset: number
  /** Exclusive. */
  readonly untilOffset: number
  /** How often it reads that, one time after another. */
  readonly times: number
  /** So many records may stand behind `untilOffset`, and no more; absent: any number. */
  readonly behindMax?: number
}

/** An open loop: requests go out when they are due, whatever has been answered. Each sends one record to a partition of its own. */
export interface PacedJob {
  readonly kind: 'paced'
  readonly producers: readonly PacedProducer[]
  /** Of the same partitions, in the same order; empty: only acknowledgements are timed. */
  readonly readers: readonly ReaderConnection[]
  /** Of all connections together. */
  readonly requestsPerSecond: number
  readonly count: number
  /** Requests at the beginning whose latencies do not count. */
  readonly warmUpCount: number
}

export interface PacedProducer extends Leader {
  readonly frame: Uint8Array
  readonly errorAt: number
}

export interface ProduceResult {
  readonly elapsedMs: number
}

export interface ReadResult {
  readonly elapsedMs: number
  /** Of answers, everything in them. */
  readonly receivedBytes: number
  /** Of batches. */
  readonly recordBytes: number
  readonly records: number
  readonly checksum: string
  readonly answers: number
}

export interface PacedResult {
  readonly elapsedMs: number
  /** Encoded by harness/histogram.ts, from the moment a request was due. */
  readonly acknowledged: string
  /** To the arrival at the reader; undefined without readers. */
  readonly endToEnd?: string
  /** How late requests were written, after they were due: the generator's own part. */
  readonly sendDelay: string
}

export type ResultOf<J extends Job> = J extends ProduceJob
  ? ProduceResult
  : J extends ReadJob
    ? ReadResult
    : J extends HoldJob
      ? HoldResult
      : J extends MessageJob
        ? MessageResult
        : J extends GroupJob
          ? GroupResult
          : PacedResult

/** Between the harness and a generator. A job is prepared first: connected, nothing sent. */
export type ToGenerator = { readonly prepare: Job } | { readonly go: true }
export type FromGenerator =
  | { readonly prepared: true }
  | {
      readonly result:
        | ProduceResult
        | ReadResult
        | PacedResult
        | HoldResult
        | MessageResult
        | GroupResult
    }
  | { readonly error: string }
