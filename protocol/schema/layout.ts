import { assert, unreachable } from '../../base/assert.ts'
import type { AnyField, Fields } from './field.ts'

/** One message in one version: what encoder and decoder are compiled from. */
export interface Layout {
  /** For stack traces: `Produce.request.v9`. */
  readonly name: string
  readonly fields: Fields
  readonly version: number
  /** Compact lengths and tagged fields. */
  readonly flexible: boolean
}

/** Fields that the version carries at their place. */
export function plainFields(fields: Fields, version: number): [name: string, field: AnyField][] {
  return Object.entries(fields).filter(([, field]) => field.isIn(version) && !field.isTagged)
}

/** Fields that the version carries behind the others, in the order of their tags. */
export function taggedFields(fields: Fields, { version, flexible }: Layout): [string, AnyField][] {
  const tagged = Object.entries(fields).filter(([, field]) => field.isIn(version) && field.isTagged)
  assert(flexible || tagged.length === 0, 'tagged fields need a flexible version')
  return tagged.sort(([, one], [, other]) => one.tag - other.tag)
}

/** The source text of a fallback; `none` and `empty` are constants of the compiled code. */
export function fallbackSource({ fallback }: AnyField): string {
  if (Array.isArray(fallback) || fallback instanceof Uint8Array) {
    assert(fallback.length === 0, 'the fallback of an array or of bytes is empty')
    return Array.isArray(fallback) ? 'none' : 'empty'
  }
  return fallback === undefined ? 'undefined' : JSON.stringify(fallback)
}

/** Field names become identifiers of compiled code. They are ours; this makes sure of it. */
export function identifier(name: string): string {
  assert(/^[a-z][A-Za-z0-9]*$/.test(name), () => `${name} is a field name`)
  return name
}

/** The least bytes that a value takes in this version. */
export function wireBytesMin(field: AnyField, layout: Layout): number {
  switch (field.kind) {
    case 'bool':
    case 'int8':
      return 1
    case 'int16':
    case 'uint16':
      return 2
    case 'int32':
      return 4
    case 'int64':
    case 'float64':
      return 8
    case 'uuid':
      return 16
    case 'string':
      return layout.flexible ? 1 : 2
    case 'bytes':
    case 'records':
    case 'array':
      return layout.flexible ? 1 : 4
    case 'struct':
      return field.isNullableIn(layout.version) ? 1 : structBytesMin(field.fields ?? {}, layout)
    default:
      return unreachable(field.kind)
  }
}

function structBytesMin(fields: Fields, layout: Layout): number {
  let sum = layout.flexible ? 1 : 0
  for (const [, field] of plainFields(fields, layout.version)) sum += wireBytesMin(field, layout)
  return sum
}

/**
 * Estimated bytes of memory for a decoded value: a slot of 8, and what it points to. Characters of strings
 * and elements of arrays come on top: the former are on the wire as well, the latter are counted when read.
 */
export function objectBytes(field: AnyField, version: number): number {
  const slot = 8
  if (!field.isIn(version)) return slot
  switch (field.kind) {
    case 'bool':
    case 'int8':
    case 'int16':
    case 'uint16':
    case 'int32':
      return slot
    case 'int64':
    case 'float64':
    case 'array':
      return slot + 16
    case 'string':
      return slot + 24
    case 'uuid':
      return slot + 48
    case 'bytes':
    case 'records':
      return slot + 96
    case 'struct':
      return Object.values(field.fields ?? {}).reduce(
        (sum, each) => sum + objectBytes(each, version),
        slot + 24,
      )
    default:
      return unreachable(field.kind)
  }
}
