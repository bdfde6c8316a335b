import { encodeRequest } from '../../protocol/headers.ts'
import { Produce } from '../../protocol/messages/produce.ts'
import type { LoadRequest } from '../lib/load.ts'

const version = 12

/** Requests with one prebuilt batch for one partition, `acks=all`. */
export function produceLoad(
  leader: { readonly host: string; readonly port: number },
  target: { readonly topic: string; readonly partition: number; readonly batch: Buffer },
): Pick<LoadRequest, 'host' | 'port' | 'frames' | 'check'> {
  const { topic, partition, batch } = target
  const request = {
    transactionalId: null,
    acks: -1,
    timeoutMs: 30_000,
    topicData: [{ name: topic, partitionData: [{ index: partition, records: batch }] }],
  }
  const frames = [encodeRequest(Produce, version, 1, 'bench', request).finish()]
  return { host: leader.host, port: leader.port, frames, check: { api: 'produce', version } }
}
