/**
 * What is checked of a batch before it goes into the log, in Apache Kafka's order and with its error codes.
 *
 * The header and the checksum always; the structure of every record when the batch isn't compressed. A compressed one
 * is stored as it came and opened only where a rule needs its records: keys on a compacted topic, a lower bound for
 * timestamps, another compression.type. What it may become then is bounded before it is made.
 */
import {
  batchHeaderBytes,
  batchMagic,
  compressionOf,
  computeCrc,
  hasDeleteHorizon,
  hasLogAppendTime,
  isControl,
  isTransactional,
  noTimestamp,
  patchMaxTimestamp,
  readBatchHeader,
  writeBatchHeader,
  type BatchHeader,
} from '../../protocol/records/batch.ts'
import {
  compress,
  CompressionError,
  type CompressionCodec,
} from '../../protocol/records/compression.ts'
import {
  decompressedBytesMaxDefault,
  checkRecordBytes,
  InvalidRecordError,
  recordBytesOf,
  RecordReader,
  type RecordSummary,
} from '../../protocol/records/record.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import type { LogConfig } from './log-config.ts'

export interface RecordError {
  /** Of the record in the batch, from 0. */
  readonly batchIndex: number
  readonly batchIndexErrorMessage: string
}

export interface BatchRefusal {
  readonly ok: false
  readonly error: ErrorInfo
  readonly message: string
  readonly recordErrors: readonly RecordError[]
}

export interface CheckedBatch {
  readonly ok: true
  /** The bytes to store: those that came, or recompressed ones. */
  readonly batch: Buffer
  readonly header: BatchHeader
  /** -1: the producer's own timestamps were kept. */
  readonly logAppendTimeMs: number
}

export interface BatchRules {
  readonly origin: 'client' | 'coordinator'
  readonly config: LogConfig
  readonly nowMs: number
}

/** A batch of a client may become this large when it is opened, or four times the largest batch allowed. */
const openedBytesMin = 1024 * 1024
/** Kafka reports the first three. */
const recordErrorsMax = 3
/** Length, attributes, deltas of time and offset, no key, no value, no headers: a byte each. */
const recordBytesMin = 7
/** 8 bits: codec, timestamp type, transactional, control, delete horizon. Later ones mean nothing yet. */
const knownAttributes = 0x7f

/** `bytes` may be changed even if it is refused. */
export function checkBatch(bytes: Buffer, rules: BatchRules): CheckedBatch | BatchRefusal {
  const header = readWholeBatch(bytes, rules.config)
  if ('error' in header) return header
  const refusal = rules.origin === 'client' ? checkClientHeader(header) : undefined
  if (refusal !== undefined) return refusal
  const opened = open(bytes, header, rules)
  if ('error' in opened) return opened
  const badRecords = checkTopicRules(header, opened, rules)
  if (badRecords !== undefined) return badRecords
  const stored = store(bytes, header, opened, rules)
  const { segmentBytes } = rules.config
  if (stored.header.sizeBytes > segmentBytes) {
    return refuse(
      errors.recordListTooLarge,
      `A batch of ${stored.header.sizeBytes} bytes does not fit into a segment of ${segmentBytes}`,
    )
  }
  return stored
}

/** Size, magic number and checksum of what must be exactly one batch. */
function readWholeBatch(bytes: Buffer, config: LogConfig): BatchHeader | BatchRefusal {
  if (bytes.length < batchHeaderBytes) {
    return bytes.length === 0
      ? refuse(errors.invalidRecord, 'There is no batch')
      : refuse(errors.corruptMessage, `${bytes.length} bytes are too few for a batch`)
  }
  const header = readBatchHeader(bytes, 0)
  if (header.magic !== batchMagic)
    return refuse(errors.invalidRecord, `A batch must have magic number 2, not ${header.magic}`)
  const { sizeBytes } = header
  if (sizeBytes > bytes.length || sizeBytes < batchHeaderBytes) {
    const isCut = sizeBytes > bytes.length
    const message = `A batch that says it has ${sizeBytes} bytes came with ${bytes.length}`
    return refuse(isCut ? errors.invalidRecord : errors.corruptMessage, message)
  }
  if (header.sizeBytes < bytes.length)
    return refuse(errors.invalidRecord, 'There must be exactly one batch for a partition')
  if (header.sizeBytes > config.maxMessageBytes) {
    return refuse(
      errors.messageTooLarge,
      `A batch of ${header.sizeBytes} bytes is larger than max.message.bytes, ${config.maxMessageBytes}`,
    )
  }
  if (computeCrc(bytes, 0, header.sizeBytes) !== header.crc)
    return refuse(errors.corruptMessage, 'The checksum of the batch is wrong')
  return header
}

/** What only a client must not do. */
function checkClientHeader(header: BatchHeader): BatchRefusal | undefined {
  const { attributes, recordCount } = header
  if (header.baseOffset !== 0) return invalid(`The base offset must be 0, not ${header.baseOffset}`)
  if (recordCount <= 0) return invalid(`A batch must have records, not ${recordCount}`)
  if (header.lastOffsetDelta !== recordCount - 1) {
    return invalid(
      `${recordCount} records can't have the last offset delta ${header.lastOffsetDelta}`,
    )
  }
  // Each takes an offset: a batch of some bytes must not use up those of a topic.
  const isCompressed = compressionOf(attributes) !== 'none'
  const bytesMax = isCompressed ? decompressedBytesMaxDefault : header.sizeBytes - batchHeaderBytes
  if (recordCount * recordBytesMin > bytesMax)
    return invalid(`${recordCount} records are too many for a batch of ${header.sizeBytes} bytes`)
  if (isControl(attributes)) return invalid('Clients must not write control records')
  if (hasDeleteHorizon(attributes)) return invalid('Clients must not set a delete horizon')
  if ((attributes & ~knownAttributes) !== 0)
    return invalid(`Attributes ${attributes & 0xffff} have bits that mean nothing`)
  if (!Number.isSafeInteger(header.producerId) || header.producerId < -1)
    return invalid(`Producer id ${header.producerId} can't be`)
  if (header.producerId >= 0 && header.baseSequence < 0)
    return invalid(`An idempotent producer must send a sequence number, not ${header.baseSequence}`)
  if (header.producerId >= 0 && header.producerEpoch < 0)
    return invalid(`An idempotent producer must send an epoch, not ${header.producerEpoch}`)
  if (isTransactional(attributes) && header.producerId < 0)
    return invalid('A transactional batch must have a producer id')
  return undefined
}

/** A batch whose records could be looked at; `records` undefined: there was no need to. */
interface OpenedBatch {
  readonly codec: CompressionCodec
  readonly records: Buffer | undefined
  readonly summary: RecordSummary
}

function open(bytes: Buffer, header: BatchHeader, rules: BatchRules): OpenedBatch | BatchRefusal {
  const codec = compressionOf(header.attributes)
  if (codec === undefined)
    return refuse(errors.corruptMessage, `Codec ${header.attributes & 7} does not exist`)
  // Until the records are looked at, what the header says has to do.
  const summary: RecordSummary = {
    minTimestamp: header.maxTimestamp,
    maxTimestamp: header.maxTimestamp,
    firstNullKey: -1,
  }
  if (rules.origin !== 'client' || (codec !== 'none' && !mustOpen(codec, rules.config)))
    return { codec, records: undefined, summary }
  try {
    const bytesMax = Math.max(openedBytesMin, 4 * rules.config.maxMessageBytes)
    const records = recordBytesOf(bytes, header, bytesMax)
    const problem = checkRecordBytes(records, 0, records.length, header, summary)
    if (problem !== undefined) return invalid(problem)
    return { codec, records, summary }
  } catch (error) {
    if (!(error instanceof CompressionError)) throw error
    // Too large is the client's choice, damage is not: they get different codes.
    const isTooLarge = error.message.includes('would become more')
    return refuse(isTooLarge ? errors.invalidRecord : errors.corruptMessage, error.message)
  }
}

function mustOpen(codec: CompressionCodec, config: LogConfig): boolean {
  return (
    config.cleanupPolicy.compact ||
    targetCodec(codec, config) !== codec ||
    (config.messageTimestampType === 'CreateTime' &&
      config.messageTimestampBeforeMaxMs < Number.MAX_SAFE_INTEGER)
  )
}

/** Keys and timestamps. */
function checkTopicRules(
  header: BatchHeader,
  opened: OpenedBatch,
  rules: BatchRules,
): BatchRefusal | undefined {
  if (rules.origin !== 'client') return undefined
  if (rules.config.cleanupPolicy.compact && opened.summary.firstNullKey >= 0) {
    return refuseRecords(errors.invalidRecord, header, opened, (record) =>
      record.key === null ? 'Compacted topic cannot accept message without key' : undefined,
    )
  }
  if (!isExact(header) || !isExact(opened.summary)) {
    const message = `Timestamp ${header.maxTimestamp} of the batch, or of one of its records, is beyond 2^53`
    return refuse(errors.invalidTimestamp, message)
  }
  if (rules.config.messageTimestampType === 'LogAppendTime') return undefined
  if (hasLogAppendTime(header.attributes))
    return refuse(
      errors.invalidTimestamp,
      'Only the broker may set the timestamp type LogAppendTime',
    )
  return checkTimestamps(header, opened, rules)
}

/** Beyond 2^53 a number does not say which millisecond is meant. */
function isExact(times: {
  readonly baseTimestamp?: number
  readonly minTimestamp?: number
  readonly maxTimestamp: number
}): boolean {
  const { baseTimestamp = 0, minTimestamp = 0, maxTimestamp } = times
  return (
    Number.isSafeInteger(baseTimestamp) &&
    Number.isSafeInteger(minTimestamp) &&
    Number.isSafeInteger(maxTimestamp)
  )
}

function checkTimestamps(
  header: BatchHeader,
  opened: OpenedBatch,
  { config, nowMs }: BatchRules,
): BatchRefusal | undefined {
  const { minTimestamp, maxTimestamp } = opened.summary
  const least = nowMs - config.messageTimestampBeforeMaxMs
  const most = nowMs + config.messageTimestampAfterMaxMs
  const isOut = (timestamp: number): boolean =>
    timestamp !== noTimestamp && (timestamp < Math.max(least, -1) || timestamp > most)
  if (!isOut(minTimestamp) && !isOut(maxTimestamp) && !isOut(header.maxTimestamp)) return undefined
  const range = `should be within ${Math.max(least, 0)} and ${most}`
  if (opened.records === undefined) {
    const message = `Timestamp ${header.maxTimestamp} of the batch ${range}`
    return refuse(errors.invalidTimestamp, message)
  }
  return refuseRecords(errors.invalidTimestamp, header, opened, (record) =>
    isOut(record.timestamp) ? `Timestamp ${record.timestamp} ${range}` : undefined,
  )
}

/** The batch as it will be stored, with the broker's clock where the topic says so. */
function store(
  bytes: Buffer,
  header: BatchHeader,
  opened: OpenedBatch,
  { config, nowMs }: BatchRules,
): CheckedBatch {
  const codec = targetCodec(opened.codec, config)
  const isRecompressed = codec !== opened.codec && opened.records !== undefined
  const batch =
    isRecompressed && opened.records !== undefined
      ? recompress(header, opened.records, codec, config)
      : bytes
  if (config.messageTimestampType === 'LogAppendTime') {
    patchMaxTimestamp(batch, 0, nowMs, { logAppendTime: true })
    return { ok: true, batch, header: readBatchHeader(batch, 0), logAppendTimeMs: nowMs }
  }
  // A producer may have got its greatest timestamp wrong; lookups and retention rely on it.
  const { maxTimestamp } = opened.summary
  if (opened.records !== undefined && maxTimestamp !== header.maxTimestamp) {
    patchMaxTimestamp(batch, 0, maxTimestamp, { logAppendTime: false })
    return { ok: true, batch, header: readBatchHeader(batch, 0), logAppendTimeMs: -1 }
  }
  return {
    ok: true,
    batch,
    header: isRecompressed ? readBatchHeader(batch, 0) : header,
    logAppendTimeMs: -1,
  }
}

function recompress(
  header: BatchHeader,
  records: Buffer,
  codec: CompressionCodec,
  config: LogConfig,
): Buffer {
  const compressed = compress(codec, records, levelOf(codec, config))
  const batch = Buffer.allocUnsafe(batchHeaderBytes + compressed.length)
  compressed.copy(batch, batchHeaderBytes)
  const codecNumber = ['none', 'gzip', 'snappy', 'lz4', 'zstd'].indexOf(codec)
  const attributes = (header.attributes & ~7) | codecNumber
  writeBatchHeader(batch, 0, batch.length, { ...header, attributes })
  return batch
}

function targetCodec(codec: CompressionCodec, config: LogConfig): CompressionCodec {
  if (config.compressionType === 'producer') return codec
  return config.compressionType === 'uncompressed' ? 'none' : config.compressionType
}

function levelOf(codec: CompressionCodec, config: LogConfig): number | undefined {
  if (codec === 'gzip') return config.compressionGzipLevel
  if (codec === 'zstd') return config.compressionZstdLevel
  return codec === 'lz4' ? config.compressionLz4Level : undefined
}

/** Refuses the batch for those of its records that `whyBad` names a reason for. */
function refuseRecords(
  error: ErrorInfo,
  header: BatchHeader,
  opened: OpenedBatch,
  whyBad: (record: {
    readonly key: Buffer | null
    readonly timestamp: number
  }) => string | undefined,
): BatchRefusal {
  const recordErrors: RecordError[] = []
  const records = opened.records ?? Buffer.alloc(0)
  try {
    let batchIndex = 0
    for (const record of new RecordReader(records, 0, records.length, header)) {
      const reason = whyBad(record)
      if (reason !== undefined) recordErrors.push({ batchIndex, batchIndexErrorMessage: reason })
      batchIndex++
    }
  } catch (failure) {
    if (!(failure instanceof InvalidRecordError)) throw failure
  }
  const first = recordErrors.slice(0, recordErrorsMax).map((each) => each.batchIndexErrorMessage)
  const message = `One or more records have been rejected due to ${recordErrors.length} record errors: ${first.join('; ')}`
  return { ok: false, error, message, recordErrors }
}

function invalid(message: string): BatchRefusal {
  return refuse(errors.invalidRecord, message)
}

function refuse(error: ErrorInfo, message: string): BatchRefusal {
  return { ok: false, error, message, recordErrors: [] }
}
