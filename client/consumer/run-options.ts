import { checkTopicName } from '../topic.ts'
import { refuseUnknown } from '../options.ts'
import { integer } from './options.ts'
import type { AnyTopic } from './record.ts'

export interface RetryPolicy {
  /** How often the handler is called at most, the first time included. Default 1. */
  readonly attempts?: number
  /** Default 'exponential'. */
  readonly backoff?: 'exponential' | 'fixed'
  /** Before the second attempt. Default 200. */
  readonly initialMs?: number
  /** Default 30,000. */
  readonly maxMs?: number
}

export interface RunOptions {
  /** Handlers at work at a time. Default 1. */
  readonly concurrency?: number
  /** What is processed one after the other: a partition, a key within it, or nothing. Default 'partition'. */
  readonly order?: 'partition' | 'key' | 'none'
  readonly retry?: RetryPolicy
  /** Where records go whose handler failed for good; without one `run` fails. */
  readonly deadLetter?: AnyTopic | string
  /** A handler that takes longer makes the group give the partitions to others. The consumer's unless it is given. */
  readonly maxPollIntervalMs?: number
  /** Ends `run` when it is aborted; handlers that are at work are waited for. */
  readonly signal?: AbortSignal
}

export interface RunSettings {
  readonly concurrency: number
  readonly order: 'partition' | 'key' | 'none'
  readonly attempts: number
  readonly exponential: boolean
  readonly initialMs: number
  readonly maxMs: number
  readonly deadLetter: string | undefined
  readonly maxPollIntervalMs: number
  readonly signal: AbortSignal | undefined
}

const knownOptions: Readonly<Record<keyof RunOptions, true>> = {
  concurrency: true,
  order: true,
  retry: true,
  deadLetter: true,
  maxPollIntervalMs: true,
  signal: true,
}

const knownRetryOptions: Readonly<Record<keyof RetryPolicy, true>> = {
  attempts: true,
  backoff: true,
  initialMs: true,
  maxMs: true,
}

/** Throws `RangeError` at an option that does not exist or a value that can't be. */
export function runSettingsOf(options: RunOptions, maxPollIntervalMs: number): RunSettings {
  refuseUnknown('run', options, knownOptions)
  const retry = options.retry ?? {}
  refuseUnknown('retry', retry, knownRetryOptions)
  const order = options.order ?? 'partition'
  if (order !== 'partition' && order !== 'key' && order !== 'none')
    throw new RangeError(`order is "${String(order)}": partition, key or none`)
  const backoff = retry.backoff ?? 'exponential'
  if (backoff !== 'exponential' && backoff !== 'fixed')
    throw new RangeError(`retry.backoff is "${String(backoff)}": exponential or fixed`)
  const deadLetter =
    typeof options.deadLetter === 'object' ? options.deadLetter.name : options.deadLetter
  if (deadLetter !== undefined) checkTopicName(deadLetter)
  return {
    order,
    concurrency: integer('concurrency', options.concurrency, 1, 1),
    attempts: integer('retry.attempts', retry.attempts, 1, 1),
    exponential: backoff === 'exponential',
    initialMs: integer('retry.initialMs', retry.initialMs, 200, 0),
    maxMs: integer('retry.maxMs', retry.maxMs, 30_000, 0),
    deadLetter,
    maxPollIntervalMs: integer(
      'maxPollIntervalMs',
      options.maxPollIntervalMs,
      maxPollIntervalMs,
      1,
    ),
    signal: options.signal,
  }
}
