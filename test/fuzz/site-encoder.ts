/**
 * Encodes a request from its schema and remembers where everything is, so that a mutator can hit a
 * length, a count, an integer or a tag section on purpose. It is not the broker's own encoder: it
 * takes any value and never refuses.
 */
import type { Field, Fields } from '../../protocol/schema/field.ts'

type AnyField = Field<any, any, any, any>

/** How a number is written. */
export type Form = 'int8' | 'int16' | 'int32' | 'int64' | 'uvarint' | 'opaque'

export interface Site {
  readonly what: 'integer' | 'length' | 'count' | 'tags' | 'size' | 'element' | 'opaque'
  readonly form: Form
  /** The field's name. */
  readonly name: string
  readonly at: number
  /** Behind the number itself (or, for an element, behind the element). */
  readonly end: number
  readonly value: number
  /** Lengths and counts: whether null is an allowed value here. */
  readonly nullable: boolean
}

export interface EncodedRequest {
  /** With the size in front. */
  readonly frame: Buffer
  readonly sites: readonly Site[]
}

export interface RequestLayout {
  readonly key: number
  readonly version: number
  readonly flexible: boolean
  readonly fields: Fields
}

export class SiteEncoder {
  #buffer = Buffer.allocUnsafe(1 << 20)
  #at = 0
  #sites: Site[] = []
  #version = 0
  #flexible = false

  encode(layout: RequestLayout, correlationId: number, message: object): EncodedRequest {
    this.#at = 0
    this.#sites = []
    this.#version = layout.version
    this.#flexible = layout.flexible
    this.#number('size', 'int32', 'size', 0)
    this.#number('integer', 'int16', 'apiKey', layout.key)
    this.#number('integer', 'int16', 'apiVersion', layout.version)
    this.#number('opaque', 'int32', 'correlationId', correlationId)
    const clientId = Buffer.from('fuzz')
    this.#number('length', 'int16', 'clientId', clientId.length, true)
    this.#raw(clientId)
    if (layout.flexible) this.#number('tags', 'uvarint', 'header', 0)
    this.#struct(layout.fields, message as Record<string, unknown>)
    this.#buffer.writeInt32BE(this.#at - 4, 0)
    return { frame: Buffer.from(this.#buffer.subarray(0, this.#at)), sites: this.#sites }
  }

  #struct(fields: Fields, message: Record<string, unknown>): void {
    const tagged: [string, AnyField][] = []
    for (const [name, field] of Object.entries(fields)) {
      if (!field.isIn(this.#version)) continue
      if (field.isTagged) {
        if (message[name] !== undefined) tagged.push([name, field])
      } else {
        this.#value(name, field, message[name])
      }
    }
    if (!this.#flexible) return
    this.#number('tags', 'uvarint', 'tags', tagged.length)
    for (const [name, field] of tagged.toSorted(([, one], [, other]) => one.tag - other.tag)) {
      this.#number('integer', 'uvarint', `${name} tag`, field.tag)
      this.#sized(name, () => this.#value(name, field, message[name]))
    }
  }

  #value(name: string, field: AnyField, value: unknown): void {
    switch (field.kind) {
      case 'bool':
        this.#number('integer', 'int8', name, value === true ? 1 : 0)
        break
      case 'int8':
      case 'int16':
      case 'int32':
      case 'int64':
        this.#number('integer', field.kind, name, Number(value))
        break
      case 'uint16':
        this.#number('integer', 'int16', name, (Number(value) << 16) >> 16)
        break
      case 'float64':
        this.#at = this.#buffer.writeDoubleBE(Number(value), this.#at)
        break
      case 'uuid':
        this.#raw(Buffer.from(value as string, 'hex'))
        break
      case 'string':
        this.#blob(name, field, 'int16', value === null ? null : Buffer.from(value as string))
        break
      case 'bytes':
      case 'records':
        this.#blob(name, field, 'int32', value as Buffer | null)
        break
      case 'array':
        this.#array(name, field, value as readonly unknown[] | null)
        break
      case 'struct':
        this.#nested(name, field, value as Record<string, unknown> | null)
        break
    }
  }

  #nested(name: string, field: AnyField, value: Record<string, unknown> | null): void {
    if (field.isNullableIn(this.#version)) {
      this.#number('integer', 'int8', name, value === null ? -1 : 1)
    }
    if (value !== null) this.#struct(field.fields!, value)
  }

  #blob(name: string, field: AnyField, form: Form, value: Buffer | null): void {
    this.#length('length', name, field, form, value?.length ?? -1)
    if (value !== null) this.#raw(value)
  }

  #array(name: string, field: AnyField, value: readonly unknown[] | null): void {
    this.#length('count', name, field, 'int32', value?.length ?? -1)
    const item: AnyField = field.item!
    for (const element of value ?? []) {
      const at = this.#at
      this.#value(name, item, element)
      this.#sites.push({
        what: 'element',
        form: 'opaque',
        name,
        at,
        end: this.#at,
        value: 0,
        nullable: false,
      })
    }
  }

  /** Compact lengths are one more than they say, and 0 is null. */
  #length(what: 'length' | 'count', name: string, field: AnyField, form: Form, value: number) {
    const nullable = field.isNullableIn(this.#version)
    if (this.#flexible) this.#number(what, 'uvarint', name, value + 1, nullable)
    else this.#number(what, form, name, value, nullable)
  }

  /** A tagged field's value behind its size. */
  #sized(name: string, write: () => void): void {
    const at = this.#at
    const siteCount = this.#sites.length
    this.#at += 5
    write()
    const size = this.#at - at - 5
    const prefix = numberBytes('uvarint', size)
    this.#buffer.copyWithin(at + prefix.length, at + 5, this.#at)
    prefix.copy(this.#buffer, at)
    const shift = 5 - prefix.length
    this.#at -= shift
    for (let site = siteCount; site < this.#sites.length; site++) {
      const moved = this.#sites[site]!
      this.#sites[site] = { ...moved, at: moved.at - shift, end: moved.end - shift }
    }
    const end = at + prefix.length
    this.#sites.push({ what: 'size', form: 'uvarint', name, at, end, value: size, nullable: false })
  }

  #number(what: Site['what'], form: Form, name: string, value: number, nullable = false): void {
    const at = this.#at
    this.#raw(numberBytes(form, value))
    this.#sites.push({ what, form, name, at, end: this.#at, value, nullable })
  }

  #raw(bytes: Buffer): void {
    if (this.#at + bytes.length + 16 > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(2 * (this.#buffer.length + bytes.length))
      this.#buffer.copy(grown, 0, 0, this.#at)
      this.#buffer = grown
    }
    this.#at += bytes.copy(this.#buffer, this.#at)
  }
}

/** A number in its form; what does not fit wraps. */
export function numberBytes(form: Form, value: number): Buffer {
  switch (form) {
    case 'int8':
      return Buffer.of(value & 0xff)
    case 'int16':
      return Buffer.of((value >> 8) & 0xff, value & 0xff)
    case 'int32': {
      const bytes = Buffer.allocUnsafe(4)
      bytes.writeInt32BE(value | 0)
      return bytes
    }
    case 'int64': {
      const bytes = Buffer.allocUnsafe(8)
      bytes.writeBigInt64BE(BigInt.asIntN(64, BigInt(Math.trunc(value))))
      return bytes
    }
    case 'uvarint': {
      const bytes: number[] = []
      let left = value >>> 0
      while (left > 0x7f) {
        bytes.push((left & 0x7f) | 0x80)
        left >>>= 7
      }
      bytes.push(left)
      return Buffer.from(bytes)
    }
    case 'opaque':
      return Buffer.alloc(0)
  }
}
