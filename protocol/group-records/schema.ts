/**
 * Records of `__consumer_offsets`. Key and value each begin with an int16. That of the key says what the record is about
 * (and which version of that, for offsets), that of the value which version of the value follows.
 */
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { never, type Codec } from '../schema/api.ts'
import { compileDecoder } from '../schema/decoder.ts'
import { compileEncoder } from '../schema/encoder.ts'
import type { Decoded, Encodable, Fields } from '../schema/field.ts'

/** A key or a value in all of its versions. */
export interface RecordSchema<F extends Fields> {
  readonly versions: readonly [first: number, last: number]
  /** With its version in front. */
  encode(version: number, fields: Encodable<F>): Buffer
  /** Of bytes behind the version. Throws `ProtocolError`. */
  decode(version: number, bytes: Buffer): Decoded<F>
}

const versionBytes = 2

interface Specification<F extends Fields> {
  readonly name: string
  readonly versions: readonly [first: number, last: number]
  /** Keys keep their old layout for good. */
  readonly flexible?: number
  readonly fields: F
}

export function recordSchema<F extends Fields>(specification: Specification<F>): RecordSchema<F> {
  const { name, versions, fields, flexible = never } = specification
  const codecs: (Codec<Decoded<F>, Encodable<F>> | undefined)[] = []
  const codec = (version: number): Codec<Decoded<F>, Encodable<F>> => {
    const known = codecs[version]
    if (known !== undefined) return known
    const layout = { name: `${name}.v${version}`, fields, version, flexible: version >= flexible }
    return (codecs[version] = { encode: compileEncoder(layout), decode: compileDecoder(layout) })
  }
  return {
    versions,
    encode(version, value) {
      const writer = new Writer(64)
      writer.int16(version)
      codec(version).encode(writer, value)
      return writer.finish()
    },
    decode(version, bytes) {
      return codec(version).decode(new Reader(bytes))
    },
  }
}

/** The int16 in front; undefined when the bytes are too few. */
export function versionOf(bytes: Buffer): number | undefined {
  return bytes.length < versionBytes ? undefined : bytes.readInt16BE(0)
}

export function behindVersion(bytes: Buffer): Buffer {
  return bytes.subarray(versionBytes)
}
