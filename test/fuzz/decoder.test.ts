/** The fuzzer's inputs against the decoders alone: nothing but typed errors, and none that take long. */
import t from 'tap'

import { apis } from '../../protocol/apis.ts'
import { ProtocolError } from '../../protocol/bytes/protocol-error.ts'
import { Reader } from '../../protocol/bytes/reader.ts'
import { decodeRequestHeader } from '../../protocol/request-header.ts'
import { Produce } from '../../protocol/messages/produce.ts'
import { computeCrc, readBatchHeader } from '../../protocol/records/batch.ts'
import { CompressionError } from '../../protocol/records/compression.ts'
import { InvalidRecordError, recordsOf } from '../../protocol/records/record.ts'
import type { RequestOf } from '../../protocol/schema/api.ts'
import { seedOfRun } from '../clients/random.ts'
import { InputGenerator } from './inputs.ts'
import { cpuTimeMs } from '../support/cpu-time.ts'

const inputCount = 30_000
/** Far above what any of these inputs needs on a busy machine. */
const millisecondsMax = 500

const seed = seedOfRun()
t.comment(`SEED=${seed}`)
const world = { topics: ['fuzz-0', 'fuzz-1'], topicIds: ['0123456789abcdef0123456789abcdef'] }
const generator = new InputGenerator(seed, new Set(apis.keys()), world, 1_760_000_000_000)

t.test('decoders: spoiled frames and batches give typed errors', async (t) => {
  const outcomes = { requests: 0, protocolErrors: 0, batches: 0, batchErrors: 0 }
  for (let index = 0; index < inputCount; index++) {
    const { bytes, description } = generator.input(index)
    const began = cpuTimeMs()
    try {
      for (const batch of decode(bytes)) {
        if (!isWhole(batch)) continue
        outcomes.batches++
        try {
          for (const record of recordsOf(batch, { decompressedBytesMax: 1 << 20 })) void record.key
        } catch (error) {
          if (!(error instanceof InvalidRecordError || error instanceof CompressionError))
            throw error
          outcomes.batchErrors++
        }
      }
      outcomes.requests++
    } catch (error) {
      if (!(error instanceof ProtocolError)) t.fail(`input ${index}: ${description}`, { error })
      outcomes.protocolErrors++
    }
    const took = cpuTimeMs() - began
    if (took > millisecondsMax) t.fail(`input ${index}: ${description} took ${took} ms`)
  }
  t.comment(JSON.stringify(outcomes))
  for (const [outcome, count] of Object.entries(outcomes)) t.ok(count > 500, `${count} ${outcome}`)
})

/** The record fields of a Produce request; nothing for others. */
function decode(frame: Buffer): Buffer[] {
  const reader = new Reader(frame, 4)
  const { apiKey, apiVersion } = decodeRequestHeader(reader)
  const api = apis.get(apiKey)
  if (api === undefined || apiVersion < api.versions[0] || apiVersion > api.versions[1]) return []
  const request: unknown = api.request.codec(apiVersion).decode(reader)
  reader.finish()
  if (apiKey !== Produce.key) return []
  return (request as RequestOf<typeof Produce>).topicData
    .flatMap(({ partitionData }) => partitionData)
    .flatMap(({ records }) => records ?? [])
}

/** What a broker would look into: one batch with a good CRC. */
function isWhole(batch: Buffer): boolean {
  if (batch.length < 61) return false
  const { sizeBytes, magic, crc } = readBatchHeader(batch, 0)
  return magic === 2 && sizeBytes === batch.length && computeCrc(batch, 0, sizeBytes) === crc
}
