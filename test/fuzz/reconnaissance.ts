/** What the fuzzer must know of the broker before it begins. */
import { decodeResponse, encodeRequest } from '../../protocol/headers.ts'
import { ApiVersions } from '../../protocol/messages/api-versions.ts'
import { Metadata } from '../../protocol/messages/metadata.ts'
import type { AnyApi, RequestInputOf, ResponseOf } from '../../protocol/schema/api.ts'
import type { Server } from '../clients/server.ts'
import { Wire } from './wire.ts'

/** Keys of the APIs that the broker advertises. */
export async function servedKeys(server: Server): Promise<Set<number>> {
  const { apiKeys } = await ask(server, ApiVersions, 0, {})
  return new Set(apiKeys.map(({ apiKey }) => apiKey))
}

/** Ids by topic, zeros for one that is not there. */
export async function topicIds(server: Server, topics: readonly string[]): Promise<string[]> {
  const asked = topics.map((name) => ({ name }))
  const { topics: known } = await ask(server, Metadata, 10, { topics: asked })
  return topics.map((name) => known.find((topic) => topic.name === name)?.topicId ?? '0'.repeat(32))
}

async function ask<A extends AnyApi>(
  server: Server,
  api: A,
  version: number,
  request: RequestInputOf<A>,
): Promise<ResponseOf<A>> {
  const wire = new Wire(server.host, server.port, '127.0.0.1')
  wire.send(encodeRequest(api, version, 1, 'fuzz', request).finish())
  const frame = await wire.receive(10_000)
  wire.destroy()
  if (frame === undefined) throw new Error(`no answer to ${api.name} (${wire.end})`)
  return decodeResponse(api, version, frame).response
}
