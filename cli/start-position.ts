import type { Admin } from '../client/admin.ts'
import { specialTimestamp } from '../client/special-timestamp.ts'
import { CliError } from './errors.ts'

/** Where reading begins, the same for every partition. */
export type StartPosition =
  | { readonly kind: 'start' }
  | { readonly kind: 'end' }
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'last'; readonly count: number }
  | { readonly kind: 'time'; readonly timestamp: number }

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** start, end, OFFSET, -COUNT (the last ones), @MILLISECONDS, @DATE or @-1h. */
export function parsePosition(text: string, nowMs: number): StartPosition {
  if (text === 'start' || text === 'beginning') return { kind: 'start' }
  if (text === 'end') return { kind: 'end' }
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text)))
    return { kind: 'offset', offset: Number(text) }
  if (/^-\d+$/.test(text) && Number.isSafeInteger(Number(text)))
    return { kind: 'last', count: -Number(text) }
  if (text.startsWith('@')) {
    const timestamp = parseTime(text.slice(1), nowMs)
    if (timestamp !== undefined) return { kind: 'time', timestamp }
  }
  throw CliError.usage(
    `--from does not understand "${text}"`,
    'use start, end, an OFFSET, -COUNT for the last ones, or @TIME: @1700000000000, @2026-01-31T12:00:00Z, @-1h',
  )
}

/** ISO 8601, of which a date alone is midnight in UTC. `Date.parse` alone takes "Route 66" for a year. */
const datePattern = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?$/

/** MILLISECONDS, -1h (of s, m, h, d) or a DATE; undefined for anything else, and for times before 1970. */
export function parseTime(text: string, nowMs: number): number | undefined {
  const ago = /^-(\d+)([smhd])$/.exec(text)
  const unit = unitMs[ago?.[2] ?? '']
  let timestamp = NaN
  if (/^\d+$/.test(text)) timestamp = Number(text)
  else if (ago !== null && unit !== undefined) timestamp = nowMs - Number(ago[1]) * unit
  else if (datePattern.test(text)) timestamp = Date.parse(text.replace(',', '.'))
  return Number.isSafeInteger(timestamp) && timestamp >= 0 ? timestamp : undefined
}

export interface Range {
  readonly partition: number
  readonly from: number
  /** What is there now ends before this offset. */
  readonly end: number
}

/** Turns a position into offsets. */
export async function resolvePosition(
  admin: Admin,
  topic: string,
  partitions: readonly number[],
  position: StartPosition,
): Promise<Range[]> {
  const ends = await admin.listOffsets(topic, partitions, specialTimestamp.latest)
  const starts = await admin.listOffsets(topic, partitions, specialTimestamp.earliest)
  const found =
    position.kind === 'time' ? await admin.listOffsets(topic, partitions, position.timestamp) : []
  return partitions.map((partition, at) => {
    const start = starts[at]?.offset ?? 0
    const end = ends[at]?.offset ?? 0
    switch (position.kind) {
      case 'start':
        return { partition, from: start, end }
      case 'end':
        return { partition, from: end, end }
      case 'offset': {
        // Partitions differ: where one does not reach as far, the others are still meant.
        const nearest = Math.min(Math.max(position.offset, start), end)
        return { partition, from: partitions.length === 1 ? position.offset : nearest, end }
      }
      case 'last':
        return { partition, from: Math.max(start, end - position.count), end }
      case 'time': {
        const offset = found[at]?.offset ?? -1
        // No record is that late yet.
        return { partition, from: offset < 0 ? end : offset, end }
      }
    }
  })
}
