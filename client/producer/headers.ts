import type { RecordBytes, RecordHeaderInput } from '../../protocol/records/record-writer.ts'
import { clientError } from '../errors.ts'
import { isOptional, missingHeader, type Serde } from '../serde.ts'
import type { Topic } from '../topic.ts'

/** Without a serde a header travels as it is: bytes, or text as UTF-8. */
export type PlainHeader = RecordBytes | null | undefined

/** By name, as the topic says; or pairs, where a name may repeat. */
export type HeadersInput<Headers> =
  | (string extends keyof Headers ? Readonly<Record<string, PlainHeader>> : Readonly<Headers>)
  | readonly (readonly [name: string, value: PlainHeader])[]

const pairsOf = (headers: object): readonly (readonly [string, unknown])[] =>
  Array.isArray(headers) ? (headers as [string, unknown][]) : Object.entries(headers)

/** Throws `KafkaError` of kind "serde". A header that is undefined is left out. */
export function encodeHeaders<K, V, H>(
  topic: Topic<K, V, H>,
  headers: HeadersInput<H> | undefined,
): RecordHeaderInput[] {
  const encoded: RecordHeaderInput[] = []
  for (const [name, value] of pairsOf(headers ?? {})) {
    if (value === undefined) continue
    encoded.push({ key: name, value: encodeHeader(topic, name, value) })
  }
  for (const [name, serde] of Object.entries(topic.headers)) {
    const written = encoded.findLast(({ key }) => key === name)?.value ?? null
    if (written === null && !isOptional(serde))
      throw misfit(topic.name, name, missingHeader, undefined)
  }
  return encoded
}

/** What a serde made, if it can be written: without types, or with `any`, it may be anything. */
export function encodedBytes(made: unknown): RecordBytes {
  if (typeof made === 'string' || made instanceof Uint8Array) return made
  // Nobody waits for it: its rejection would end the process.
  if (made instanceof Promise) made.catch(() => undefined)
  const what = made instanceof Promise ? 'a promise' : made === null ? 'null' : typeof made
  throw new TypeError(`encode returned ${what} instead of bytes or a string`)
}

function encodeHeader<K, V, H>(
  topic: Topic<K, V, H>,
  name: string,
  value: unknown,
): RecordBytes | null {
  if (value === null) return null
  const serde: Serde<unknown> | undefined = Object.hasOwn(topic.headers, name)
    ? topic.headers[name]
    : undefined
  if (serde === undefined) {
    if (typeof value === 'string' || value instanceof Uint8Array) return value
    throw misfit(topic.name, name, `${typeof value} is neither bytes nor a string`, undefined)
  }
  try {
    return encodedBytes(serde.encode(value))
  } catch (error) {
    throw misfit(topic.name, name, error instanceof Error ? error.message : String(error), error)
  }
}

function misfit(topic: string, header: string, why: string, cause: unknown): Error {
  const message = `The header "${header}" of a record of ${topic} does not fit: ${why}`
  return clientError('SERDE', message, { retriable: false, topic, cause })
}
