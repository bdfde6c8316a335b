/** What a partition's log is asked, and what it answers. */
import type { Payload } from '../../base/payload.ts'
import type { ErrorInfo } from '../../protocol/errors.ts'
import type { RecordError } from './batch-validation.ts'

export interface AppendOptions {
  /** A client sends one data batch; a coordinator may send control batches; a replica copies its leader's. */
  readonly origin: 'client' | 'replica' | 'coordinator'
  readonly leaderEpoch: number
}

export type AppendResult = Appended | NotAppended

export interface Appended {
  readonly ok: true
  readonly baseOffset: number
  readonly nextOffset: number
  /** -1: the producer's own timestamps were kept. */
  readonly logAppendTimeMs: number
  readonly logStartOffset: number
  /** An idempotent producer's retry: the batch is in the log already. */
  readonly duplicate: boolean
}

export interface NotAppended {
  readonly ok: false
  readonly error: ErrorInfo
  readonly message: string
  readonly recordErrors: readonly RecordError[]
  readonly logStartOffset: number
}

export type ReadResult =
  /** `payload` undefined: nothing is there (yet). */
  | { readonly ok: true; readonly payload: Payload | undefined; readonly nextOffset: number }
  | { readonly ok: false; readonly error: ErrorInfo; readonly message: string }
