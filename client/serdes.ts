import { loadMsgpack } from './msgpack.ts'
import { serde, type BaseSerde } from './serde.ts'

/** UTF-8, as Java's StringSerializer. */
export function string(): BaseSerde<string> {
  return serde({
    name: 'string',
    encode: (value) => {
      if (typeof value !== 'string') throw new TypeError(`${typeof value} is not a string`)
      return value
    },
    decode: (bytes) => bytes.utf8Slice(0, bytes.length),
  })
}

/** As they are. What a consumer gets is a view on the record, without a copy. */
export function bytes(): BaseSerde<Buffer> {
  return serde({
    name: 'bytes',
    encode: (value) => {
      if (!(value instanceof Uint8Array)) throw new TypeError(`${typeof value} is not bytes`)
      return value
    },
    decode: (view) => view,
  })
}

/** Four bytes, big-endian, as Java's IntegerSerializer. */
export function int32(): BaseSerde<number> {
  return serde({
    name: 'int32',
    encode: (value) => {
      if ((value | 0) !== value) throw new RangeError(`${String(value)} is not an int32`)
      const encoded = Buffer.allocUnsafe(4)
      encoded.writeInt32BE(value, 0)
      return encoded
    },
    decode: (view) => {
      expectLength(view, 4)
      return view.readInt32BE(0)
    },
  })
}

/** Eight bytes, big-endian, as Java's LongSerializer. */
export function int64(): BaseSerde<bigint> {
  return serde({
    name: 'int64',
    encode: (value) => {
      const encoded = Buffer.allocUnsafe(8)
      encoded.writeBigInt64BE(value, 0)
      return encoded
    },
    decode: (view) => {
      expectLength(view, 8)
      return view.readBigInt64BE(0)
    },
  })
}

const uuidPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Its 36 characters, as Java's UUIDSerializer. Lower case in memory. */
export function uuid(): BaseSerde<string> {
  const check = (text: string): string => {
    if (uuidPattern.test(text)) return text.toLowerCase()
    throw new RangeError(`"${text.slice(0, 40)}" is not a UUID`)
  }
  return serde({
    name: 'uuid',
    encode: check,
    decode: (view) => check(view.latin1Slice(0, view.length)),
  })
}

/** What any Standard Schema library (zod, valibot, arktype, ...) gives: standardschema.dev, version 1. */
export interface StandardSchema<T> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<T> | Promise<SchemaResult<T>>
    readonly types?: { readonly input: unknown; readonly output: T } | undefined
  }
}

export type SchemaResult<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/**
 * JSON. With a schema every value is checked on both ways, and a consumer gets what the schema makes of it;
 * a schema that transforms has to accept its own results, since a producer is given them.
 */
export function json<T>(schema?: StandardSchema<T>): BaseSerde<T> {
  return serde<T>({
    name: 'json',
    encode: (value) => {
      if (schema !== undefined) validated(schema, value)
      const encoded = JSON.stringify(value) as string | undefined
      if (encoded === undefined) throw new TypeError(`${typeof value} has no JSON`)
      return encoded
    },
    decode: (view) => {
      const value: unknown = JSON.parse(view.utf8Slice(0, view.length))
      return schema === undefined ? (value as T) : validated(schema, value)
    },
  })
}

function validated<T>(schema: StandardSchema<T>, value: unknown): T {
  const result = schema['~standard'].validate(value)
  if (result instanceof Promise) {
    // Nobody waits for it: its failure must not end the process.
    result.catch(() => undefined)
    throw new TypeError(
      `The schema of ${schema['~standard'].vendor} is asynchronous, and records are not waited for`,
    )
  }
  if (result.issues === undefined) return result.value
  throw new TypeError(result.issues.map(issueText).join('; '))
}

function issueText({ message, path }: SchemaIssue): string {
  if (path === undefined || path.length === 0) return message
  const keys = path.map((each) => String(typeof each === 'object' ? each.key : each))
  return `${keys.join('.')}: ${message}`
}

/** MessagePack, by msgpackr, which is loaded when the first value travels. */
export function msgpack<T>(): BaseSerde<T> {
  return serde<T>({
    name: 'msgpack',
    encode: (value) => loadMsgpack().pack(value),
    decode: (view) => loadMsgpack().unpack(view) as T,
  })
}

function expectLength(view: Buffer, count: number): void {
  if (view.length !== count) throw new RangeError(`${view.length} bytes instead of ${count}`)
}
