/** What the event loop and the worker that cleans logs tell each other: one job at a time. */
import { StorageError } from '../../../base/env.ts'
import {
  CleaningCancelledError,
  DamagedLogError,
  type CleanedGroup,
  type CleanJob,
  type CleanStats,
} from './clean-job.ts'

export type CleanRequest =
  | { readonly type: 'run'; readonly job: CleanJob }
  /** The answer to `group`. */
  | { readonly type: 'replaced'; readonly isReplaced: boolean }
  | { readonly type: 'cancel' }

export type CleanReply =
  /** Waits for `replaced`. */
  | { readonly type: 'group'; readonly group: CleanedGroup }
  | { readonly type: 'done'; readonly stats: CleanStats }
  | { readonly type: 'failed'; readonly failure: CleanFailure }

/** An error, since classes don't survive the way. */
export interface CleanFailure {
  readonly kind: 'storage' | 'damaged' | 'cancelled' | 'bug'
  readonly message: string
  readonly code: string
  readonly path: string
}

export function failureOf(error: unknown): CleanFailure {
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof StorageError)
    return { kind: 'storage', message, code: error.code, path: error.path }
  if (error instanceof DamagedLogError) return { kind: 'damaged', message, code: '', path: '' }
  if (error instanceof CleaningCancelledError)
    return { kind: 'cancelled', message, code: '', path: '' }
  const stack = error instanceof Error ? (error.stack ?? message) : message
  return { kind: 'bug', message: stack, code: '', path: '' }
}

export function errorOf({ kind, message, code, path }: CleanFailure): Error {
  switch (kind) {
    case 'storage':
      return new StorageError(message, { code, path })
    case 'damaged':
      return new DamagedLogError(message)
    case 'cancelled':
      return new CleaningCancelledError(message)
    case 'bug':
      return new Error(message)
  }
}
