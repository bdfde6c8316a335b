import { setTimeout as sleep } from 'node:timers/promises'
import { KafkaError } from '../../client/errors.ts'
import { CliError } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** "30s", "500ms", "5m", "1h"; seconds where nothing is said. */
export function duration(name: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text)
  const ms = Number(match?.[1]) * (unitMs[match?.[2] ?? 's'] ?? 1)
  if (match !== null && Number.isSafeInteger(Math.round(ms))) return Math.round(ms)
  throw CliError.usage(`${name} must be a time like 30s, 5m or 500ms, not "${text}"`)
}

/** "1 partition", "2 partitions". */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** News for a person, on standard error. What was said last is not said again. */
export class Progress {
  #last = ''

  say(text: string): void {
    if (text === this.#last) return
    this.#last = text
    process.stderr.write(`${text}\n`)
  }
}

export interface WaitOptions<T> {
  /** Completes "Waited 30 s for ..." */
  readonly what: string
  readonly limitMs: number
  readonly look: () => Promise<T>
  readonly isDone: (seen: T) => boolean
  readonly progress: Progress
  /** What is still missing. */
  readonly text: (seen: T) => string
}

const lookEveryMs = 200

/** Looks until it is done. A cluster that can't be asked for a moment is looked at again. */
export async function waitUntil<T>(options: WaitOptions<T>): Promise<T> {
  const { what, limitMs, look, isDone, text, progress } = options
  const deadlineMs = performance.now() + limitMs
  for (;;) {
    const isLast = performance.now() >= deadlineMs
    try {
      const seen = await look()
      if (isDone(seen)) return seen
      if (isLast) {
        throw new CliError({
          code: 'TIMED_OUT',
          message: `Waited ${Math.max(0, Math.round(limitMs / 1000))} s for ${what}: ${text(seen)}`,
          exitCode: exitCodes.unreachable,
        })
      }
      progress.say(text(seen))
    } catch (error) {
      if (isLast || !(error instanceof Error) || !isPassing(error)) throw error
      progress.say(error.message)
    }
    await sleep(lookEveryMs)
  }
}

/** A cluster that starts for the first time tells its folder when all of it is there. */
function isPassing(error: Error): boolean {
  return error instanceof KafkaError
    ? error.retriable
    : 'code' in error && error.code === 'NO_CLUSTER'
}
