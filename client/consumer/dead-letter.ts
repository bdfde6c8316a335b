import type { ClientEnv } from '../../base/env.ts'
import { KafkaError } from '../errors.ts'
import type { AnyRecord } from './record.ts'

/** What a consumer needs of a producer: the record as it travelled, acknowledged by all replicas when it resolves. */
export interface DeadLetterSender {
  send(
    topic: string,
    message: {
      readonly key: Buffer | null
      readonly value: Buffer | null
      readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[]
    },
    options: { readonly signal: AbortSignal },
  ): Promise<unknown>
}

export interface DeadLetter {
  readonly env: ClientEnv
  readonly sender: DeadLetterSender
  readonly topic: string
  readonly group: string | undefined
  readonly record: AnyRecord
  readonly error: Error
  readonly attempts: number
  readonly retrying: (error: Error, inMs: number) => void
}

const backoffMsMin = 100
const backoffMsMax = 5000
/** Of a message or stack in a header. */
const textBytesMax = 4096

/**
 * Writes a record and why it failed to the dead-letter topic: key, value and headers as they were, and the cause in
 * headers that begin with "dlq.". Tries until that succeeds or the partition is gone. Rejects when it can't succeed.
 */
export async function sendDeadLetter(letter: DeadLetter): Promise<void> {
  const { env, sender, topic, record } = letter
  const { signal } = record
  const message = {
    key: record.keyView,
    value: record.valueView,
    headers: [...record.rawHeaders, ...causeHeaders(letter)],
  }
  for (let backoffMs = backoffMsMin; ; backoffMs = Math.min(2 * backoffMs, backoffMsMax)) {
    try {
      await sender.send(topic, message, { signal })
      return
    } catch (error) {
      if (!(error instanceof KafkaError && error.retriable) || signal.aborted) throw error
      const inMs = backoffMs * (0.5 + env.random.fraction() / 2)
      letter.retrying(error, inMs)
      await new Promise<void>((resolve) => env.timers.after(inMs, resolve, { holdsProcess: true }))
      signal.throwIfAborted()
    }
  }
}

function causeHeaders({
  record,
  error,
  attempts,
  group,
}: DeadLetter): { key: string; value: Buffer }[] {
  const texts: Record<string, string> = {
    'dlq.topic': record.topic,
    'dlq.partition': String(record.partition),
    'dlq.offset': String(record.offset),
    'dlq.timestamp': String(record.timestamp),
    'dlq.attempts': String(attempts),
    'dlq.error': error.name,
    'dlq.error.message': error.message,
    'dlq.error.stack': error.stack ?? '',
  }
  if (error instanceof KafkaError) texts['dlq.error.code'] = error.code
  if (group !== undefined) texts['dlq.group'] = group
  return Object.entries(texts).map(([key, text]) => {
    return { key, value: Buffer.from(text).subarray(0, textBytesMax) }
  })
}
