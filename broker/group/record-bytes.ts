/** What the codecs of all kinds of records share. */
import { behindVersion, versionOf, type RecordSchema } from '../../protocol/group-records/schema.ts'
import type { Decoded, Fields } from '../../protocol/schema/field.ts'
import type { GroupRecord } from './group-record.ts'

export interface EncodedRecord {
  readonly key: Buffer
  readonly value: Buffer | null
}

export type DecodedRecord =
  | { readonly ok: true; readonly record: GroupRecord }
  /** `known`: a type of Kafka's that groups here have no use for. */
  | { readonly ok: false; readonly problem: string; readonly known: boolean }

export type FieldsOf<S> = S extends RecordSchema<infer F> ? F : never

/**
 * No group has come so far by rebalances. Anybody may produce to an internal topic who says that he is an administrator,
 * and a number at the end of its range could not be counted on.
 */
export const epochMax = 2 ** 30

/** Null: a tombstone. */
export function decodeValue<F extends Fields>(
  schema: RecordSchema<F>,
  value: Buffer | null,
): Decoded<F> | null | 'unknown' {
  if (value === null) return null
  const version = versionOf(value)
  const [first, last] = schema.versions
  if (version === undefined || version < first || version > last) return 'unknown'
  return schema.decode(version, behindVersion(value))
}

export function unknownValue(keyVersion: number, value: Buffer | null): DecodedRecord {
  const version = value === null ? undefined : versionOf(value)
  const problem = `A record of type ${keyVersion} has a value of version ${version ?? '(none)'}`
  return { ok: false, problem, known: false }
}
