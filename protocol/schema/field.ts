import type { Payload } from '../../base/payload.ts'
import { zeroUuid } from '../../base/uuid.ts'

/** How a value travels. `records` travels as `bytes` do; the name says what is inside. */
export type Kind =
  | 'bool'
  | 'int8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'int64'
  | 'float64'
  | 'uuid'
  | 'string'
  | 'bytes'
  | 'records'
  | 'array'
  | 'struct'

/** Behind every version that there is. */
export const forever = 32767
const untagged = -1

export type AnyField = Field<any, any, any, any>

interface Properties {
  readonly item?: AnyField | undefined
  readonly fields?: Fields | undefined
  readonly first?: number
  readonly last?: number
  readonly nullableFirst?: number
  readonly nullableLast?: number
  readonly tag?: number
  readonly fallback: unknown
  readonly isIgnorable?: boolean
}

/**
 * One field of a message: its kind, the versions that carry it, and the value that it has in all others.
 * T is what a decoder gives, In what an encoder takes, Absent what a decoder gives when the field is not
 * there and has no fallback. Every method returns a changed copy.
 */
export class Field<T, Optional extends boolean = false, In = T, Absent = never> {
  declare readonly $decoded: T
  declare readonly $encodable: In
  declare readonly $optional: Optional
  declare readonly $absent: Absent
  readonly kind: Kind
  /** What an array is made of. */
  readonly item: AnyField | undefined
  /** What a struct is made of. */
  readonly fields: Fields | undefined
  readonly first: number
  readonly last: number
  readonly nullableFirst: number
  readonly nullableLast: number
  /** -1: at its place in the order of fields. */
  readonly tag: number
  readonly fallback: unknown
  readonly isIgnorable: boolean
  readonly #properties: Properties

  constructor(kind: Kind, properties: Properties) {
    this.kind = kind
    this.#properties = properties
    this.item = properties.item
    this.fields = properties.fields
    this.first = properties.first ?? 0
    this.last = properties.last ?? forever
    this.nullableFirst = properties.nullableFirst ?? forever
    this.nullableLast = properties.nullableLast ?? forever
    this.tag = properties.tag ?? untagged
    this.fallback = properties.fallback
    this.isIgnorable = properties.isIgnorable ?? false
  }

  /** Only from version `first` on. */
  since(first: number): Field<T | Absent, true, In, Absent> {
    return this.#with({ first })
  }

  /** Not after version `last`. */
  until(last: number): Field<T | Absent, true, In, Absent> {
    return this.#with({ last })
  }

  /** The value of a field that the version does not carry, or that an encoder is not given. */
  or<const Fallback extends T>(fallback: Fallback): Field<Exclude<T, undefined>, true, In> {
    return this.#with({ fallback })
  }

  /** May be null in the versions from `nullableFirst` to `nullableLast`. */
  nullable(
    nullableFirst = 0,
    nullableLast: number = forever,
  ): Field<T | null, Optional, In | null, Absent> {
    return this.#with({ nullableFirst, nullableLast })
  }

  /** Travels behind the other fields, and only when it is not its fallback (KIP-482). */
  tagged(tag: number): Field<T | Absent, true, In, Absent> {
    return this.#with({ tag })
  }

  /** May be dropped in silence by a version that has no place for it; other fields then refuse to be encoded. */
  ignorable(): Field<T, Optional, In, Absent> {
    return this.#with({ isIgnorable: true })
  }

  /** Whether `version` carries it. */
  isIn(version: number): boolean {
    return this.first <= version && version <= this.last
  }

  isNullableIn(version: number): boolean {
    return this.nullableFirst <= version && version <= this.nullableLast
  }

  get isTagged(): boolean {
    return this.tag !== untagged
  }

  #with(changes: Partial<Properties>): any {
    return new Field(this.kind, { ...this.#properties, ...changes })
  }
}

export type Fields = { readonly [name: string]: AnyField }

/** True for `any`, which stands for the fields of an API that is known at run time only. */
type IsAny<T> = 0 extends 1 & T ? true : false

type OptionalKeys<F extends Fields> = {
  [K in keyof F]: F[K]['$optional'] extends true ? K : never
}[keyof F]

/** What a decoder returns: every field, whatever the version. Arrays of absent fields are frozen. */
export type Decoded<F extends Fields> =
  IsAny<F> extends true ? any : { [K in keyof F]: F[K]['$decoded'] }

/** What an encoder accepts: a field with a fallback may be left out. */
export type Encodable<F extends Fields> =
  IsAny<F> extends true
    ? any
    : { [K in Exclude<keyof F, OptionalKeys<F>>]: F[K]['$encodable'] } & {
        [K in OptionalKeys<F>]?: F[K]['$encodable'] | undefined
      }

export const noBytes: Buffer = Buffer.alloc(0)
export const noElements: readonly never[] = Object.freeze([])

export const bool: Field<boolean> = new Field('bool', { fallback: false })
export const int8: Field<number> = new Field('int8', { fallback: 0 })
export const int16: Field<number> = new Field('int16', { fallback: 0 })
export const uint16: Field<number> = new Field('uint16', { fallback: 0 })
export const int32: Field<number> = new Field('int32', { fallback: 0 })
export const int64: Field<number> = new Field('int64', { fallback: 0 })
export const float64: Field<number> = new Field('float64', { fallback: 0 })
export const uuid: Field<string> = new Field('uuid', { fallback: zeroUuid })
export const string: Field<string> = new Field('string', { fallback: '' })
/** Decodes to a view on what was received. Large ones and payloads are encoded without a copy. */
export const bytes: Field<Buffer, false, Buffer | Payload> = new Field('bytes', {
  fallback: noBytes,
})
/** Record batches; otherwise as `bytes`. */
export const records: Field<Buffer, false, Buffer | Payload> = new Field('records', {
  fallback: null,
})

export function array<F extends Fields>(
  fields: F,
): Field<Decoded<F>[], false, readonly Encodable<F>[]>
export function array<T, In>(item: Field<T, any, In>): Field<T[], false, readonly In[]>
export function array(of: Fields | AnyField): AnyField {
  const item = of instanceof Field ? of : struct(of)
  return new Field('array', { item, fallback: noElements })
}

export function struct<F extends Fields>(
  fields: F,
): Field<Decoded<F>, false, Encodable<F>, undefined> {
  return new Field('struct', { fields, fallback: undefined })
}
