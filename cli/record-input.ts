import type { RecordHeaderInput } from '../protocol/records/builder.ts'
import { CliError } from './errors.ts'

/** A record to produce, as a line of input gives it. */
export interface InputRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeaderInput[]
  /** Undefined: where the key leads. */
  readonly partition: number | undefined
  /** Milliseconds since 1970; undefined: now. */
  readonly timestamp: number | undefined
}

export interface LineFormat {
  /** For lines that bring none. */
  readonly key: Buffer | null
  /** Between key and value in a line; undefined: lines are values. */
  readonly keySeparator: string | undefined
  readonly headers: readonly RecordHeaderInput[]
  readonly json: boolean
}

/** The inverse of what `consume` prints in the same format. Throws `CliError`. */
export function parseLine(line: Buffer, lineNumber: number, format: LineFormat): InputRecord {
  if (format.json) return parseJsonLine(line, lineNumber, format)
  const { headers, keySeparator } = format
  const common = { headers, partition: undefined, timestamp: undefined }
  const at = keySeparator === undefined ? -1 : line.indexOf(keySeparator)
  if (keySeparator === undefined || at < 0) return { key: format.key, value: line, ...common }
  return {
    key: line.subarray(0, at),
    value: line.subarray(at + Buffer.byteLength(keySeparator)),
    ...common,
  }
}

function parseJsonLine(line: Buffer, lineNumber: number, format: LineFormat): InputRecord {
  const fail = (why: string): CliError => CliError.usage(`Line ${lineNumber} of the input ${why}`)
  let parsed: unknown
  try {
    parsed = JSON.parse(line.toString())
  } catch {
    throw fail('is not JSON')
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw fail('is not a JSON object')
  const fields = new Map<string, unknown>(Object.entries(parsed))
  const bytes = (name: string, fallback: Buffer | null): Buffer | null =>
    bytesOf(fields.get(name), fields.get(`${name}_base64`), () =>
      fail(`has a ${name}_base64 that is not base64`),
    ) ?? (fields.has(name) ? null : fallback)
  const number = (name: string): number | undefined => {
    const value = fields.get(name) ?? undefined
    if (value === undefined) return undefined
    const isDigits = typeof value === 'string' && /^\d+$/.test(value)
    const found = typeof value === 'number' || isDigits ? Number(value) : NaN
    if (!Number.isSafeInteger(found) || found < 0)
      throw fail(`has a ${name} that is no whole number`)
    return found
  }
  const headers = [...format.headers]
  const given = fields.get('headers') ?? []
  if (!Array.isArray(given)) throw fail('has headers that are no list')
  for (const header of given as unknown[]) {
    const { key, value, value_base64: base64 } = (header ?? {}) as Record<string, unknown>
    if (typeof key !== 'string') throw fail('has a header without a key')
    const bad = (): CliError => fail(`has a header ${key} whose value_base64 is not base64`)
    headers.push({ key, value: bytesOf(value, base64, bad) })
  }
  return {
    key: bytes('key', format.key),
    value: bytes('value', null),
    headers,
    partition: number('partition'),
    timestamp: number('timestamp'),
  }
}

/** Null for what is null or absent. Anything but text is passed on as the JSON that it is. */
function bytesOf(value: unknown, base64: unknown, bad: () => CliError): Buffer | null {
  if (base64 !== undefined && base64 !== null) {
    const isBase64 = typeof base64 === 'string' && base64Pattern.test(base64)
    if (!isBase64) throw bad()
    return Buffer.from(base64, 'base64')
  }
  if (value === undefined || value === null) return null
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
}

/** Node skips what it does not know. */
const base64Pattern = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/
