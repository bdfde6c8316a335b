import { mebibyte } from './client.ts'

/** What was read in a time, and how much of that went by without partitions. */
export interface Consumed {
  readonly fromWallMs: number
  readonly elapsedMs: number
  readonly rebalanceMs: number
  readonly records: number
  readonly bytes: number
}

export const summaryHeader =
  'start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, ' +
  'rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec'

export const detailsHeader =
  'time, threadId, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, ' +
  'rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec'

/** Kafka's line, figure by figure. */
export function summaryLine(consumed: Consumed, format: (wallMs: number) => string): string {
  const { fromWallMs, elapsedMs, rebalanceMs, records, bytes } = consumed
  const megabytes = bytes / mebibyte
  const fetchMs = elapsedMs - rebalanceMs
  return [
    format(fromWallMs),
    format(fromWallMs + elapsedMs),
    megabytes.toFixed(4),
    ((1000 * megabytes) / elapsedMs).toFixed(4),
    records,
    ((1000 * records) / elapsedMs).toFixed(4),
    rebalanceMs,
    fetchMs,
    ((1000 * megabytes) / fetchMs).toFixed(4),
    ((1000 * records) / fetchMs).toFixed(4),
  ].join(', ')
}

/** The same of an interval; totals are those since the start. */
export function detailsLine(
  interval: Consumed,
  total: { readonly records: number; readonly bytes: number },
  format: (wallMs: number) => string,
): string {
  const { fromWallMs, elapsedMs, rebalanceMs, records, bytes } = interval
  const megabytes = bytes / mebibyte
  const fetchMs = elapsedMs - rebalanceMs
  const perFetchSecond = (amount: number): number => (fetchMs <= 0 ? 0 : (1000 * amount) / fetchMs)
  return [
    format(fromWallMs + elapsedMs),
    0,
    (total.bytes / mebibyte).toFixed(4),
    ((1000 * megabytes) / elapsedMs).toFixed(4),
    total.records,
    ((1000 * records) / elapsedMs).toFixed(4),
    rebalanceMs,
    fetchMs,
    perFetchSecond(megabytes).toFixed(4),
    perFetchSecond(records).toFixed(4),
  ].join(', ')
}

export function consumedJson(consumed: Consumed): object {
  const { fromWallMs, elapsedMs, rebalanceMs, records, bytes } = consumed
  const fetchMs = elapsedMs - rebalanceMs
  return {
    start_time: new Date(fromWallMs).toISOString(),
    records,
    bytes,
    elapsed_ms: elapsedMs,
    rebalance_ms: rebalanceMs,
    records_per_second: (1000 * records) / elapsedMs,
    mib_per_second: (1000 * bytes) / mebibyte / elapsedMs,
    fetch_records_per_second: (1000 * records) / fetchMs,
    fetch_mib_per_second: (1000 * bytes) / mebibyte / fetchMs,
  }
}
