import { isUtf8 } from 'node:buffer'
import type { RecordHeader } from '../protocol/records/record.ts'
import type { OutputFormat } from './output.ts'

export interface PrintableRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
}

export interface RecordFormat {
  readonly json: boolean
  /** Printed behind the key; undefined: keys are not printed. */
  readonly keySeparator: string | undefined
  /** Printed in front of the key as `name=value,...` and a tab. */
  readonly headers: boolean
}

export interface FormatOptions {
  readonly output: OutputFormat
  readonly keys?: boolean
  readonly keySeparator?: string
  readonly headers?: boolean
  readonly json?: boolean
}

export function recordFormatOf(options: FormatOptions): RecordFormat {
  const keys = options.keys === true || options.keySeparator !== undefined
  return {
    json: options.json === true || options.output === 'json',
    keySeparator: keys ? (options.keySeparator ?? '\t') : undefined,
    headers: options.headers ?? false,
  }
}

const newline = Buffer.from('\n')

/** A record as one line, its bytes as they are. A value that is null prints as nothing. */
export function formatRecord(
  topic: string,
  partition: number,
  record: PrintableRecord,
  format: RecordFormat,
): Buffer {
  if (format.json) return Buffer.from(`${JSON.stringify(recordJson(topic, partition, record))}\n`)
  const parts: Buffer[] = []
  if (format.headers) {
    const headers = record.headers.map(({ key, value }) => `${key}=${value?.toString() ?? ''}`)
    parts.push(Buffer.from(`${headers.join(',')}\t`))
  }
  if (format.keySeparator !== undefined) {
    if (record.key !== null) parts.push(record.key)
    parts.push(Buffer.from(format.keySeparator))
  }
  if (record.value !== null) parts.push(record.value)
  parts.push(newline)
  return Buffer.concat(parts)
}

/** Offsets as text: a JSON number can't hold all of them. */
function recordJson(topic: string, partition: number, record: PrintableRecord): object {
  return {
    topic,
    partition,
    offset: String(record.offset),
    timestamp: record.timestamp,
    ...bytesJson('key', record.key),
    ...bytesJson('value', record.value),
    headers: record.headers.map(({ key, value }) => ({ key, ...bytesJson('value', value) })),
  }
}

/** As text where it is text, else in base64 under a name that says so. */
function bytesJson(name: string, bytes: Buffer | null): Record<string, string | null> {
  if (bytes === null || isUtf8(bytes)) return { [name]: bytes?.toString() ?? null }
  return { [`${name}_base64`]: bytes.toString('base64') }
}
