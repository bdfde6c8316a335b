/**
 * The oracle for the compiled codecs: reads and writes messages by walking the schema, one value at a time,
 * with Node's own Buffer methods. Slow, obvious, and nothing of protocol/bytes is in it.
 */
import type { AnyField, Fields } from '../../protocol/schema/field.ts'
import type { Values } from './random-message.ts'

export interface Wire {
  readonly version: number
  readonly flexible: boolean
}

export function interpretedEncode(fields: Fields, message: Values, wire: Wire): Buffer {
  const parts: Buffer[] = []
  const tagged: [tag: number, bytes: Buffer][] = []
  for (const [name, field] of Object.entries(fields)) {
    if (!field.isIn(wire.version)) continue
    const value = message[name] === undefined ? field.fallback : message[name]
    if (!field.isTagged) parts.push(encodeValue(field, value, wire))
    else if (!sameAsFallback(field, value))
      tagged.push([field.tag, encodeValue(field, value, wire)])
  }
  if (wire.flexible) {
    parts.push(varint(tagged.length))
    tagged.sort(([one], [other]) => one - other)
    for (const [tag, bytes] of tagged) parts.push(varint(tag), varint(bytes.length), bytes)
  }
  return Buffer.concat(parts)
}

function sameAsFallback(field: AnyField, value: unknown): boolean {
  if (Array.isArray(field.fallback)) return Array.isArray(value) && value.length === 0
  return value === field.fallback
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest])
    bytes.push(128 + (rest % 128))
  }
}

function fixed(size: number, fill: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.alloc(size)
  fill(bytes)
  return bytes
}

/** Length of a string, bytes or array; undefined for null. */
function prefix(length: number | undefined, wire: Wire, size: 2 | 4): Buffer {
  if (wire.flexible) return varint(length === undefined ? 0 : length + 1)
  return fixed(size, (bytes) => bytes.writeIntBE(length ?? -1, 0, size))
}

function encodeValue(field: AnyField, value: any, wire: Wire): Buffer {
  switch (field.kind) {
    case 'bool':
      return Buffer.from([value === true ? 1 : 0])
    case 'int8':
      return fixed(1, (bytes) => bytes.writeInt8(value))
    case 'int16':
      return fixed(2, (bytes) => bytes.writeInt16BE(value))
    case 'uint16':
      return fixed(2, (bytes) => bytes.writeUInt16BE(value))
    case 'int32':
      return fixed(4, (bytes) => bytes.writeInt32BE(value))
    case 'int64':
      return fixed(8, (bytes) => bytes.writeBigInt64BE(BigInt(value)))
    case 'float64':
      return fixed(8, (bytes) => bytes.writeDoubleBE(value))
    case 'uuid':
      return Buffer.from(value, 'hex')
    case 'string': {
      const bytes = value === null ? undefined : Buffer.from(value, 'utf8')
      return Buffer.concat([prefix(bytes?.length, wire, 2), bytes ?? Buffer.alloc(0)])
    }
    case 'bytes':
    case 'records':
      return Buffer.concat([prefix(value?.length, wire, 4), value ?? Buffer.alloc(0)])
    case 'array': {
      const elements = (value ?? []).map((each: unknown) => encodeValue(field.item!, each, wire))
      return Buffer.concat([prefix(value?.length, wire, 4), ...elements])
    }
    case 'struct': {
      if (!field.isNullableIn(wire.version)) return interpretedEncode(field.fields!, value, wire)
      if (value === null) return Buffer.from([0xff])
      return Buffer.concat([Buffer.from([1]), interpretedEncode(field.fields!, value, wire)])
    }
  }
}

/** Reads one message from the start of `bytes`, and tells how many of them it took. */
export function interpretedDecode(
  fields: Fields,
  bytes: Buffer,
  wire: Wire,
): { message: Values; byteLength: number } {
  const cursor = new Cursor(bytes)
  const message = decodeStruct(fields, cursor, wire)
  return { message, byteLength: cursor.at }
}

class Cursor {
  at = 0
  readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  take(count: number): Buffer {
    if (count < 0 || this.at + count > this.bytes.length) throw new RangeError('short')
    this.at += count
    return this.bytes.subarray(this.at - count, this.at)
  }

  varint(): number {
    let value = 0
    for (let weight = 1; weight < 2 ** 35; weight *= 128) {
      const byte = this.take(1).readUInt8()
      value += (byte % 128) * weight
      if (byte < 128) return value
    }
    throw new RangeError('long varint')
  }

  length(wire: Wire, size: 2 | 4): number {
    return wire.flexible ? this.varint() - 1 : this.take(size).readIntBE(0, size)
  }
}

function decodeStruct(fields: Fields, cursor: Cursor, wire: Wire): Values {
  const message: Values = {}
  for (const [name, field] of Object.entries(fields)) {
    const present = field.isIn(wire.version) && !field.isTagged
    message[name] = present ? decodeValue(field, cursor, wire) : field.fallback
  }
  if (!wire.flexible) return message
  for (let left = cursor.varint(); left > 0; left--) {
    const tag = cursor.varint()
    const value = new Cursor(cursor.take(cursor.varint()))
    for (const [name, field] of Object.entries(fields)) {
      if (field.tag !== tag || !field.isIn(wire.version)) continue
      message[name] = decodeValue(field, value, wire)
      if (value.at !== value.bytes.length) throw new RangeError('size of a tagged field')
    }
  }
  return message
}

function decodeValue(field: AnyField, cursor: Cursor, wire: Wire): unknown {
  const sized = (size: 2 | 4): number | undefined => {
    const length = cursor.length(wire, size)
    if (length >= 0) return length
    if (field.isNullableIn(wire.version)) return undefined
    throw new RangeError('null')
  }
  switch (field.kind) {
    case 'bool':
      return cursor.take(1).readInt8() !== 0
    case 'int8':
      return cursor.take(1).readInt8()
    case 'int16':
      return cursor.take(2).readInt16BE()
    case 'uint16':
      return cursor.take(2).readUInt16BE()
    case 'int32':
      return cursor.take(4).readInt32BE()
    case 'int64': {
      const value = Number(cursor.take(8).readBigInt64BE())
      return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, value))
    }
    case 'float64':
      return cursor.take(8).readDoubleBE()
    case 'uuid':
      return cursor.take(16).toString('hex')
    case 'string': {
      const length = sized(2)
      return length === undefined ? null : cursor.take(length).toString('utf8')
    }
    case 'bytes':
    case 'records': {
      const length = sized(4)
      return length === undefined ? null : cursor.take(length)
    }
    case 'array': {
      const length = sized(4)
      if (length === undefined) return null
      const list: unknown[] = []
      while (list.length < length) list.push(decodeValue(field.item!, cursor, wire))
      return list
    }
    case 'struct':
      if (field.isNullableIn(wire.version) && cursor.take(1).readInt8() < 0) return null
      return decodeStruct(field.fields!, cursor, wire)
  }
}
