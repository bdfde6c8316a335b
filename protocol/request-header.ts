import { apis } from './apis.ts'
import type { Reader } from './bytes/reader.ts'

/** As `headers.ts` describes it. Clients write it and have no need of the table of all APIs, so it is apart. */
export interface RequestHeader {
  readonly apiKey: number
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string | null
  /** Whether the request and its response use compact lengths and tagged fields. */
  readonly flexible: boolean
}

/** Leaves the reader at the body. Keys and versions that are not known here are not refused: the caller knows better. */
export function decodeRequestHeader(reader: Reader): RequestHeader {
  const apiKey = reader.int16()
  const apiVersion = reader.int16()
  const correlationId = reader.int32()
  const clientId = reader.nullableString()
  const api = apis.get(apiKey)
  const flexible = api !== undefined && apiVersion >= api.flexible
  if (flexible) reader.skipTags()
  return { apiKey, apiVersion, correlationId, clientId, flexible }
}
