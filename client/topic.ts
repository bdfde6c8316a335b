import type { OptionalSerde, Serde } from './serde.ts'
import { bytes } from './serdes.ts'

/** Of a record whose headers have no serde: a header may travel without a value. */
export type PlainHeaders = Record<string, Buffer | null>

export type HeaderSerdes = Readonly<Record<string, Serde<unknown>>>

/** Of a topic whose headers have no types. */
export const noHeaderSerdes: HeaderSerdes = Object.freeze({})

/**
 * The name of a topic and how its keys, values and headers travel: made once, used by producers and consumers.
 * The name is part of the type, so that a record of several topics is told apart by its `topic`.
 */
export interface Topic<
  Key = Buffer,
  Value = Buffer,
  Headers = PlainHeaders,
  Name extends string = string,
> {
  readonly name: Name
  readonly key: Serde<Key>
  readonly value: Serde<Value>
  /** Only the headers that have a type; others travel as bytes. */
  readonly headers: HeaderSerdes
  /** Never set: carries the type of all headers of one record. */
  readonly headerType?: Headers
  /** For `seek` and `assign`. */
  partition(index: number): TopicPartition
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

type ValueOf<S> = S extends Serde<infer T> ? T : never
type OptionalKeys<H> = {
  [K in keyof H]: H[K] extends OptionalSerde<unknown> ? K : never
}[keyof H]

/** The headers of a record, by the serdes of its topic. */
export type HeadersOf<H extends HeaderSerdes> = string extends keyof H
  ? PlainHeaders
  : { [K in Exclude<keyof H, OptionalKeys<H>>]: ValueOf<H[K]> } & {
      [K in OptionalKeys<H>]?: ValueOf<H[K]> | undefined
    }

export interface TopicOptions<Key, Value, H extends HeaderSerdes> {
  /** Bytes unless it is given. */
  readonly key?: Serde<Key>
  /** Bytes unless it is given. */
  readonly value?: Serde<Value>
  /** By name. A header whose serde is `optional()` may be missing. */
  readonly headers?: H
}

const nameBytesMax = 249

/** Throws `RangeError` for a name that no broker takes. */
export function checkTopicName(name: string): void {
  if (/^[a-zA-Z0-9._-]+$/.test(name) && name.length <= nameBytesMax && !/^\.{1,2}$/.test(name))
    return
  throw new RangeError(
    `"${name}" can't be a topic: letters, digits, ".", "_" and "-", ${nameBytesMax} at most`,
  )
}

/** Describes a topic. Nothing is asked of a broker. */
export function topic<
  Key = Buffer,
  Value = Buffer,
  H extends HeaderSerdes = HeaderSerdes,
  Name extends string = string,
>(name: Name, options: TopicOptions<Key, Value, H> = {}): Topic<Key, Value, HeadersOf<H>, Name> {
  checkTopicName(name)
  return Object.freeze({
    name,
    key: options.key ?? (bytes() as unknown as Serde<Key>),
    value: options.value ?? (bytes() as unknown as Serde<Value>),
    headers: options.headers ?? noHeaderSerdes,
    partition: (index: number) => ({ topic: name, partition: index }),
  })
}
