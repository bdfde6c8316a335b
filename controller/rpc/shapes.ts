/**
 * How values travel between brokers and the controller: objects as arrays of their fields in the order of the table, ids and
 * names as strings, absent and null as nil, errors as Kafka's codes. Fields behind the known ones are ignored, so a newer
 * peer may send more. `decode` checks everything, and throws `RpcFormatError` on what `encode` can't have written.
 */
import { errorByCode, type ErrorInfo } from '../../protocol/errors.ts'
import type { Outcome } from '../outcome.ts'

export interface Shape<T> {
  encode(value: T): unknown
  decode(value: unknown): T
}

/** The peer is no Millrace, or of another version. */
export class RpcFormatError extends Error {
  override readonly name = 'RpcFormatError'
  readonly code = 'RPC_FORMAT'
}

const same = <T>(value: T): T => value

export const integer: Shape<number> = {
  encode: same,
  decode: (value) => {
    if (typeof value === 'number' && Number.isSafeInteger(value)) return value
    throw unexpected('an integer', value)
  },
}

export const text: Shape<string> = {
  encode: same,
  decode: (value) => {
    if (typeof value === 'string') return value
    throw unexpected('a string', value)
  },
}

/** 32 lower-case hexadecimal digits. */
export const id: Shape<string> = {
  encode: same,
  decode: (value) => {
    if (typeof value === 'string' && /^[0-9a-f]{32}$/.test(value)) return value
    throw unexpected('an id', value)
  },
}

export const boolean: Shape<boolean> = {
  encode: same,
  decode: (value) => {
    if (typeof value === 'boolean') return value
    throw unexpected('a boolean', value)
  },
}

export const errorInfo: Shape<ErrorInfo> = {
  encode: (error) => error.code,
  decode: (value) => errorByCode(integer.decode(value)),
}

export function oneOf<const Words extends readonly string[]>(words: Words): Shape<Words[number]> {
  return {
    encode: (word) => words.indexOf(word),
    decode: (value) => {
      const word = words[integer.decode(value)]
      if (word !== undefined) return word
      throw unexpected(`a number below ${words.length}`, value)
    },
  }
}

export function list<T>(shape: Shape<T>): Shape<readonly T[]> {
  return {
    encode: (values) => values.map((value) => shape.encode(value)),
    decode: (value) => array(value).map((each) => shape.decode(each)),
  }
}

export function nullable<T>(shape: Shape<T>): Shape<T | null> {
  return {
    encode: (value) => (value === null ? null : shape.encode(value)),
    decode: (value) => (value === null ? null : shape.decode(value)),
  }
}

/** For a field that may be left out. */
export function optional<T>(shape: Shape<T>): Shape<T | undefined> {
  return {
    encode: (value) => (value === undefined ? null : shape.encode(value)),
    decode: (value) => (value === null || value === undefined ? undefined : shape.decode(value)),
  }
}

/** A field that may be left out takes a shape that allows it. */
export type Fields<T> = {
  readonly [Name in keyof T]-?: Shape<
    Record<string, never> extends Pick<T, Name> ? T[Name] | undefined : T[Name]
  >
}

export function object<T extends object>(fields: Fields<T>): Shape<T> {
  const entries = Object.entries(fields) as [string, Shape<unknown>][]
  return {
    encode: (value) =>
      entries.map(([name, shape]) => shape.encode((value as Record<string, unknown>)[name])),
    decode: (value) => {
      const values = array(value)
      const decoded: Record<string, unknown> = {}
      for (const [index, [name, shape]] of entries.entries()) {
        const field = shape.decode(values[index])
        if (field !== undefined) decoded[name] = field
      }
      return decoded as T
    },
  }
}

/** Arguments of a call. */
export function tuple<T extends readonly unknown[]>(
  ...shapes: { readonly [Index in keyof T]: Shape<T[Index]> }
): Shape<T> {
  return {
    encode: (values) => shapes.map((shape, index) => shape.encode(values[index])),
    decode: (value) => {
      const values = array(value)
      return shapes.map((shape, index) => shape.decode(values[index])) as unknown as T
    },
  }
}

/** [0, fields] or [code, message]; a refusal without an error would be none. */
export function outcome<T extends object>(fields: Fields<T>): Shape<Outcome<T>> {
  const answer = object<T>(fields)
  return {
    encode: (value) => (value.ok ? [0, answer.encode(value)] : [value.error.code, value.message]),
    decode: (value) => {
      const [code, body] = array(value)
      if (code === 0) return { ok: true, ...answer.decode(body) }
      return { ok: false, error: errorInfo.decode(code), message: text.decode(body) }
    },
  }
}

export function array(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw unexpected('an array', value)
}

function unexpected(wanted: string, value: unknown): RpcFormatError {
  return new RpcFormatError(`Expected ${wanted}, not ${value === null ? 'nil' : typeof value}`)
}
