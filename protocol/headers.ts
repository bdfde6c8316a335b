import { ProtocolError } from './bytes/protocol-error.ts'
import { Reader, responseBudget } from './bytes/reader.ts'
import { Writer } from './bytes/writer.ts'
import type { AnyApi, RequestInputOf, ResponseInputOf, ResponseOf } from './schema/api.ts'

/**
 *   request   size int32 | apiKey int16 | apiVersion int16 | correlationId int32 | clientId string? | [v2: tags] | body
 *   response  size int32 | correlationId int32 | [v1: tags] | body
 *
 * The size does not count itself. The client id keeps its int16 length in v2 too.
 */
const sizeBytes = 4
/** A client finds out with ApiVersions what the broker speaks: it must understand any answer to that. */
const apiVersionsKey = 18

export function requestHeaderVersion(api: AnyApi, version: number): 1 | 2 {
  return version >= api.flexible ? 2 : 1
}

export function responseHeaderVersion(api: AnyApi, version: number): 0 | 1 {
  return version >= api.flexible && api.key !== apiVersionsKey ? 1 : 0
}

/** The whole frame, with its size in front. Throws `EncodeError`. */
export function encodeRequest<A extends AnyApi>(
  api: A,
  version: number,
  correlationId: number,
  clientId: string | null,
  request: RequestInputOf<A>,
): Writer {
  const writer = new Writer()
  writer.reserve(sizeBytes)
  writer.int16(api.key)
  writer.int16(version)
  writer.int32(correlationId)
  if (clientId === null) writer.int16(-1)
  else writer.string(clientId)
  if (requestHeaderVersion(api, version) === 2) writer.uvarint(0)
  api.request.codec(version).encode(writer, request)
  writer.patchInt32(0, writer.byteLength - sizeBytes)
  return writer
}

/** The whole frame, with its size in front. Throws `EncodeError`. */
export function encodeResponse<A extends AnyApi>(
  api: A,
  version: number,
  correlationId: number,
  response: ResponseInputOf<A>,
): Writer {
  const writer = new Writer()
  writer.reserve(sizeBytes)
  writer.int32(correlationId)
  if (responseHeaderVersion(api, version) === 1) writer.uvarint(0)
  api.response.codec(version).encode(writer, response)
  writer.patchInt32(0, writer.byteLength - sizeBytes)
  return writer
}

/** `frame` is without its size; views in the response are valid as long as it is. Throws `ProtocolError`. */
export function decodeResponse<A extends AnyApi>(
  api: A,
  version: number,
  frame: Buffer,
): { correlationId: number; response: ResponseOf<A> } {
  const reader = new Reader(frame, 0, frame.length, responseBudget)
  const correlationId = reader.int32()
  if (responseHeaderVersion(api, version) === 1) reader.skipTags()
  const response = api.response.codec(version).decode(reader)
  reader.finish()
  return { correlationId, response }
}

/** The id alone, by which a client finds out which request, and so which API and version, was answered. */
export function correlationIdOf(frame: Buffer): number {
  if (frame.length < 4) throw new ProtocolError(`A response has ${frame.length} bytes`)
  return frame.readInt32BE(0)
}
