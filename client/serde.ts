/**
 * How values of one type travel. `encode` may return a string, which is written as UTF-8 without a copy in between.
 * `null` never reaches a serde: it is Kafka's null, a tombstone in compacted topics.
 */
export interface Serde<T> {
  /** For messages and diagnostics: "json", "int64". */
  readonly name: string
  /** Throws when the value doesn't fit; the producer turns that into a `KafkaError` of kind "serde". */
  encode(value: T): Uint8Array | string
  /** `bytes` is a view that is valid only during the call. */
  decode(bytes: Buffer): T
}

/** Of a header that a record may lack. */
export interface OptionalSerde<T> extends Serde<T> {
  readonly isOptional: true
}

/** Whether a record may lack the header with this serde. */
export function isOptional(serde: Serde<unknown>): boolean {
  return 'isOptional' in serde && serde.isOptional === true
}

/** Of a header that a record must not lack. */
export const missingHeader = 'it is missing; optional() on its serde lets it be'

/** A serde that can be made optional, for headers. */
export interface BaseSerde<T> extends Serde<T> {
  optional(): OptionalSerde<T>
}

/** The common shape of all that `serdes.ts` offers. */
export function serde<T>(plain: Serde<T>): BaseSerde<T> {
  return { ...plain, optional: () => ({ ...plain, isOptional: true }) }
}
