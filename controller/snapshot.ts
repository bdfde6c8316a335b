import type { Timers } from '../base/env.ts'
import type { ClusterImage } from '../broker/metadata/image.ts'
import { crc32c } from '../protocol/bytes/crc32c.ts'
import {
  decodeRecord,
  encodeRecord,
  MetadataFormatError,
  packValue,
  unpackValue,
} from '../protocol/metadata-records/codec.ts'
import type { MetadataRecord } from '../protocol/metadata-records/records.ts'
import type { MetadataKeys } from './keys.ts'
import type { MetadataStore, StoreOperation } from './store/metadata-store.ts'

export interface SnapshotHead {
  /** The snapshot is the image as of this batch. */
  readonly offset: number
  readonly epoch: number
  readonly chunkCount: number
  readonly crc: number
}

/** Records of one chunk: small enough for a transaction, and a few milliseconds to encode. */
const chunkRecordsMax = 2000
/** An estimate of a record's bytes bounds a chunk: names and values are the only long fields. */
const chunkBytesMax = 400 * 1024
const featureLevel = 1

export interface SnapshotOptions {
  readonly keys: MetadataKeys
  /** Of the reign that writes it. */
  readonly epoch: number
  readonly timers: Timers
  /** Carries out operations that may be repeated; false: another controller reigns. */
  readonly transact: (operations: readonly StoreOperation[]) => Promise<boolean>
}

/**
 * Stores the image, then makes that the snapshot which holds, in one transaction with the removal of what is older:
 * the snapshot before it stays, and the log behind that one. The image must not change meanwhile.
 * Undefined: another controller reigns.
 */
export async function writeSnapshot(
  options: SnapshotOptions,
  image: ClusterImage,
  previous: SnapshotHead | undefined,
): Promise<SnapshotHead | undefined> {
  const { keys, epoch, transact } = options
  const { offset } = image
  let chunkCount = 0
  let crc = 0
  for (const chunk of chunksOf(image.toRecords())) {
    const value = packValue(chunk)
    const key = keys.snapshotChunk(offset, chunkCount)
    if (!(await transact([{ kind: 'put', key, value }]))) return undefined
    crc = crc32c(value, crc)
    chunkCount++
    await turnOf(options.timers)
  }
  const head = { offset, epoch, chunkCount, crc }
  const put: StoreOperation = { kind: 'put', key: keys.snapshotHead, value: headValue(head) }
  return (await transact([put, ...removals(keys, previous)])) ? head : undefined
}

export function headValue({ offset, epoch, chunkCount, crc }: SnapshotHead): Buffer {
  return packValue([offset, epoch, chunkCount, crc, featureLevel])
}

/** Undefined: there is none yet. Throws `MetadataFormatError` when it is damaged. */
export async function readSnapshotHead(
  store: MetadataStore,
  keys: MetadataKeys,
): Promise<SnapshotHead | undefined> {
  const stored = await store.get(keys.snapshotHead)
  if (stored === undefined) return undefined
  const fields = unpackValue(stored.value)
  if (Array.isArray(fields)) {
    const [offset, epoch, chunkCount, crc] = fields as unknown[]
    if ([offset, epoch, chunkCount, crc].every(Number.isSafeInteger)) {
      return { offset, epoch, chunkCount, crc } as SnapshotHead
    }
  }
  throw new MetadataFormatError('The head of the metadata snapshot is damaged')
}

/** Replaces what is in the image by the snapshot. */
export async function loadSnapshot(
  options: { readonly store: MetadataStore; readonly keys: MetadataKeys },
  head: SnapshotHead,
  image: ClusterImage,
): Promise<void> {
  const records: MetadataRecord[] = []
  let crc = 0
  for (let chunk = 0; chunk < head.chunkCount; chunk++) {
    const stored = await options.store.get(options.keys.snapshotChunk(head.offset, chunk))
    if (stored === undefined) {
      throw new MetadataFormatError(
        `Chunk ${chunk} of ${head.chunkCount} of the metadata snapshot ${head.offset} is missing`,
      )
    }
    crc = crc32c(stored.value, crc)
    const encoded = unpackValue(stored.value)
    if (!Array.isArray(encoded)) throw new MetadataFormatError('A chunk of the snapshot is damaged')
    for (const record of encoded) records.push(decodeRecord(record))
  }
  if (crc !== head.crc) {
    throw new MetadataFormatError(
      `The metadata snapshot ${head.offset} is damaged: its checksum differs`,
    )
  }
  image.reset()
  image.apply(head.offset, records)
}

function removals(keys: MetadataKeys, previous: SnapshotHead | undefined): StoreOperation[] {
  if (previous === undefined) return []
  return [
    {
      kind: 'removeRange',
      from: keys.snapshotChunk(0, 0),
      to: keys.snapshotChunk(previous.offset, 0),
    },
    { kind: 'removeRange', from: keys.batch(0), to: keys.batch(previous.offset + 1) },
  ]
}

/** Records in the form of stored chunks, before packing. */
export function* chunksOf(records: Iterable<MetadataRecord>): Generator<unknown[][]> {
  let chunk: unknown[][] = []
  let bytes = 0
  for (const record of records) {
    chunk.push(encodeRecord(record))
    bytes += estimatedBytes(record)
    if (chunk.length < chunkRecordsMax && bytes < chunkBytesMax) continue
    yield chunk
    chunk = []
    bytes = 0
  }
  if (chunk.length > 0) yield chunk
}

/** More than what a record takes when packed, without packing it. */
export function estimatedBytes(record: MetadataRecord): number {
  switch (record.type) {
    case 'config':
      return 48 + 3 * (record.resource.length + record.name.length + (record.value?.length ?? 0))
    case 'topic':
      return 48 + record.name.length
    case 'partition':
      return 64 + 20 * record.replicas.length
    case 'partitionChange':
      return record.changes.reduce((sum, change) => sum + 48 + 20 * change.replicas.length, 48)
    case 'registerBroker':
    case 'brokerChange':
    case 'unregisterBroker':
    case 'removeTopic':
    case 'producerIds':
    case 'feature':
    case 'epochStart':
    case 'noOp':
      return 512
  }
}

/** Lets the event loop do something else. */
function turnOf(timers: Timers): Promise<void> {
  return new Promise((resolve) => timers.soon(resolve))
}
