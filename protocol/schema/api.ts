import { assert } from '../../base/assert.ts'
import type { Reader } from '../bytes/reader.ts'
import type { Writer } from '../bytes/writer.ts'
import { compileDecoder } from './decoder.ts'
import { compileEncoder } from './encoder.ts'
import type { Decoded, Encodable, Fields } from './field.ts'

/** The bytes of one message in one version. */
export interface Codec<T, In = T> {
  /** Throws `EncodeError`. */
  encode(writer: Writer, message: In): void
  /** Throws `ProtocolError`. Does not look at what follows the message. */
  decode(reader: Reader): T
}

export interface Message<F extends Fields> {
  readonly fields: F
  /** Compiled at the first call. */
  codec(version: number): Codec<Decoded<F>, Encodable<F>>
}

export interface Api<Q extends Fields, S extends Fields> {
  readonly key: number
  readonly name: string
  /** First and last version that has a codec. */
  readonly versions: readonly [first: number, last: number]
  /** What ApiVersions says; wider than `versions` where clients draw conclusions from it. */
  readonly advertised: readonly [first: number, last: number]
  /** From this version on: compact lengths, tagged fields, the newer headers (KIP-482). */
  readonly flexible: number
  readonly request: Message<Q>
  readonly response: Message<S>
}

export type AnyApi = Api<any, any>
export type RequestOf<A extends AnyApi> = A extends Api<infer Q, any> ? Decoded<Q> : never
export type ResponseOf<A extends AnyApi> = A extends Api<any, infer S> ? Decoded<S> : never
export type RequestInputOf<A extends AnyApi> = A extends Api<infer Q, any> ? Encodable<Q> : never
export type ResponseInputOf<A extends AnyApi> = A extends Api<any, infer S> ? Encodable<S> : never

/** `flexible` of an API that keeps its old layout for good. */
export const never = Infinity

interface Specification<Q extends Fields, S extends Fields> {
  readonly key: number
  readonly name: string
  readonly versions: readonly [first: number, last: number]
  readonly advertised?: readonly [first: number, last: number]
  readonly flexible: number
  /** In the order of the wire. */
  readonly request: Q
  readonly response: S
}

export function api<Q extends Fields, S extends Fields>(
  specification: Specification<Q, S>,
): Api<Q, S> {
  const { name, versions, flexible } = specification
  return {
    ...specification,
    advertised: specification.advertised ?? versions,
    request: message(`${name}.request`, specification.request, versions, flexible),
    response: message(`${name}.response`, specification.response, versions, flexible),
  }
}

function message<F extends Fields>(
  name: string,
  fields: F,
  versions: readonly [first: number, last: number],
  flexible: number,
): Message<F> {
  const codecs: (Codec<Decoded<F>, Encodable<F>> | undefined)[] = []
  return {
    fields,
    codec(version) {
      const known = codecs[version]
      if (known !== undefined) return known
      assert(
        version >= versions[0] && version <= versions[1],
        () => `${name} has no version ${version}`,
      )
      const layout = { name: `${name}.v${version}`, fields, version, flexible: version >= flexible }
      const codec = { encode: compileEncoder(layout), decode: compileDecoder(layout) }
      codecs[version] = codec
      return codec
    },
  }
}
