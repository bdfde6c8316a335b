import { dirname } from 'node:path'
import type { Disk } from '../base/env.ts'
import { ClusterImage } from '../broker/metadata/image.ts'
import { crc32c } from '../protocol/bytes/crc32c.ts'
import {
  decodeRecord,
  MetadataFormatError,
  packValue,
  unpackValue,
} from '../protocol/metadata-records/codec.ts'
import type { MetadataRecord } from '../protocol/metadata-records/records.ts'
import { leaderValue, readSeat, type Seat } from './election.ts'
import { foundedIn, foundingValue, generationIn } from './founding.ts'
import { clusterKeys as keys } from './keys.ts'
import { loadLog } from './metadata-log.ts'
import { chunksOf, headValue, readSnapshotHead } from './snapshot.ts'
import {
  AmbiguousError,
  revisionOfNothing,
  type MetadataStore,
  type StoreComparison,
  type StoreOperation,
} from './store/metadata-store.ts'

/**
 * The metadata of a cluster in a file, whatever store it was in, as one msgpack value:
 *
 *   ['millrace-metadata', version, crc32c of BODY, BODY]
 *
 * BODY is the packed [clusterId, generation, epoch, offset, [chunk...]], each chunk a packed array of records.
 */
interface Backup {
  readonly clusterId: string
  readonly generation: number
  /** Of the controller. */
  readonly epoch: number
  /** Of the last batch. */
  readonly offset: number
  readonly image: ClusterImage
}

const magic = 'millrace-metadata'
const formatVersion = 1
const readAttempts = 3
const transactionAttempts = 5
const pageBatches = 1000

/**
 * What brokers have seen since the backup was made must never seem newer than what they are told after a restore. So epochs
 * and offsets go on far beyond anything that can have been given out meanwhile.
 */
const epochLeap = 1000
const offsetLeap = 1_000_000_000
const producerIdLeap = 1_000_000_000

/** A consistent copy of a store that may be in use. */
export async function backUp(store: MetadataStore): Promise<Buffer> {
  if ((await store.get(keys.id)) === undefined) throw empty()
  for (let attempt = 1; ; attempt++) {
    try {
      return packBackup(await readStore(store))
    } catch (error) {
      // A controller may have replaced the snapshot while it was read.
      if (!(error instanceof MetadataFormatError) || attempt >= readAttempts) throw error
    }
  }
}

/** Writes the file under another name first: `path` is a whole backup or what it was. */
export async function backUpTo(
  path: string,
  { store, disk }: { readonly store: MetadataStore; readonly disk: Disk },
): Promise<{ readonly bytes: number }> {
  const bytes = await backUp(store)
  const file = disk.open(`${path}.new`, 'write')
  try {
    file.truncate(0)
    file.write([bytes], 0)
    await file.sync()
  } finally {
    file.close()
  }
  disk.rename(`${path}.new`, path)
  await disk.syncDirectory(dirname(path))
  return { bytes: bytes.length }
}

export interface Restored {
  readonly clusterId: string
  readonly epoch: number
  readonly topicCount: number
}

/**
 * Puts a backup into a store, in place of what is there; without one, makes a store that was itself put back
 * (by `etcdctl snapshot restore`, or a copied file) fit for its brokers again. No controller may run on it.
 */
export async function restore(store: MetadataStore, backup?: Uint8Array): Promise<Restored> {
  const seat = await readWornSeat(store)
  const present = (await store.get(keys.id)) === undefined ? undefined : await readExtent(store)
  if (backup === undefined && present === undefined) throw empty()
  const source = backup === undefined ? await readStore(store) : unpackBackup(backup)
  if (present !== undefined && present.clusterId !== source.clusterId) {
    throw new MetadataFormatError(
      `The metadata store holds cluster ${present.clusterId}, the backup is of ${source.clusterId}: ` +
        'restore it into an empty store, or into that of its own cluster',
    )
  }
  const { clusterId, image } = source
  const epoch = Math.max(source.epoch, seat.epoch, present?.epoch ?? 0) + epochLeap
  const offset = Math.max(source.offset, present?.offset ?? 0) + offsetLeap
  const generation = Math.max(source.generation, present?.generation ?? 0) + 1
  const fence = [{ key: keys.epoch, revision: seat.epochRevision }]
  let crc = 0
  let chunkCount = 0
  for (const chunk of chunksOf(raised(image, epoch))) {
    const value = packValue(chunk)
    const put = { kind: 'put' as const, key: keys.snapshotChunk(offset, chunkCount++), value }
    await transact(store, { comparisons: fence, operations: [put] })
    crc = crc32c(value, crc)
  }
  const leader = { nodeId: -1, incarnation: '', epoch, offset, endpoints: [], resigned: true }
  const epochValue = packValue([epoch, -1, ''])
  await transact(store, {
    // One that reigned all the time has left the epoch alone, but each of its batches rewrites `leader`.
    comparisons: [...fence, { key: keys.leader, revision: seat.leaderRevision }],
    operations: [
      { kind: 'removeRange', from: keys.batch(0), to: keys.batchEnd },
      { kind: 'removeRange', from: keys.snapshotChunk(0, 0), to: keys.snapshotChunk(offset, 0) },
      { kind: 'put', key: keys.id, value: foundingValue({ clusterId, generation }) },
      { kind: 'put', key: keys.epoch, value: epochValue },
      { kind: 'put', key: keys.leader, value: leaderValue(leader) },
      {
        kind: 'put',
        key: keys.snapshotHead,
        value: headValue({ offset, epoch, chunkCount, crc }),
      },
    ],
    isDone: async () => {
      const stored = await store.get(keys.epoch)
      const isOurs = stored !== undefined && epochValue.equals(stored.value)
      return isOurs && generationIn(await store.get(keys.id)) === generation
    },
  })
  return { clusterId, epoch, topicCount: image.topicsByName.size }
}

function empty(): MetadataFormatError {
  return new MetadataFormatError('The metadata store is empty: is it the right one')
}

interface Transaction {
  readonly comparisons: readonly StoreComparison[]
  readonly operations: readonly StoreOperation[]
  /** Whether it was carried out already; absent: it may be carried out twice. */
  readonly isDone?: () => Promise<boolean>
}

/** Repeats what was not answered. */
async function transact(
  store: MetadataStore,
  { comparisons, operations, isDone }: Transaction,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      const { ok } = await store.transact(comparisons, operations)
      if (ok || (attempt > 1 && (await isDone?.()) === true)) return
      throw new MetadataFormatError('A controller runs on this metadata store: stop it first')
    } catch (error) {
      if (!(error instanceof AmbiguousError) || attempt >= transactionAttempts) throw error
    }
  }
}

/** Where what is restored must go beyond. It rests upon as little as possible: the rest may be damaged, and is replaced. */
async function readExtent(store: MetadataStore): Promise<Omit<Backup, 'image'>> {
  const { clusterId, generation } = foundedIn(await store.get(keys.id))
  const head = await unlessDamaged(readSnapshotHead(store, keys))
  let offset = head?.offset ?? -1
  for (;;) {
    const { entries, more } = await store.range(keys.batch(offset + 1), keys.batchEnd, pageBatches)
    const last = entries.at(-1)
    if (last !== undefined) offset = keys.offsetOf(last.key)
    if (!more) return { clusterId, generation, epoch: head?.epoch ?? 0, offset }
  }
}

/** A seat that is damaged counts for nothing, but must stay as it is meanwhile. */
async function readWornSeat(store: MetadataStore): Promise<Omit<Seat, 'leader'>> {
  const seat = await unlessDamaged(readSeat({ store, keys }))
  if (seat !== undefined) return seat
  const epoch = await store.get(keys.epoch)
  const leader = await store.get(keys.leader)
  return {
    epoch: 0,
    epochRevision: epoch?.revision ?? revisionOfNothing,
    leaderRevision: leader?.revision ?? revisionOfNothing,
  }
}

async function unlessDamaged<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof MetadataFormatError) return undefined
    throw error
  }
}

async function readStore(store: MetadataStore): Promise<Backup> {
  const { clusterId, generation } = foundedIn(await store.get(keys.id))
  const { epoch } = await readSeat({ store, keys })
  const image = new ClusterImage(clusterId)
  const nobody = { applied: () => undefined, reloaded: () => undefined }
  await loadLog({ store, keys }, image, nobody)
  return { clusterId, generation, epoch, offset: image.offset, image }
}

function packBackup({ clusterId, generation, epoch, offset, image }: Backup): Buffer {
  const chunks = Array.from(chunksOf(image.toRecords()), packValue)
  const body = packValue([clusterId, generation, epoch, offset, chunks])
  return packValue([magic, formatVersion, crc32c(body, 0), body])
}

function unpackBackup(bytes: Uint8Array): Backup {
  const fields = unpackValue(bytes)
  if (!Array.isArray(fields) || fields[0] !== magic) {
    throw new MetadataFormatError('The file is no backup of metadata')
  }
  const [, version, crc, body] = fields as unknown[]
  if (version !== formatVersion) {
    throw new MetadataFormatError(
      `The backup has format ${String(version)}, this program knows ${formatVersion}`,
    )
  }
  if (!(body instanceof Uint8Array) || crc32c(body, 0) !== crc) {
    throw new MetadataFormatError('The backup is damaged: its checksum differs')
  }
  const [clusterId, generation, epoch, offset, chunks] = unpackValue(body) as [
    ...[clusterId: string, generation: number, epoch: number, offset: number],
    chunks: Uint8Array[],
  ]
  const image = new ClusterImage(clusterId)
  image.apply(Math.max(offset, 0), chunks.flatMap(recordsIn))
  return { clusterId, generation, epoch, offset, image }
}

function recordsIn(chunk: Uint8Array): MetadataRecord[] {
  const encoded = unpackValue(chunk)
  if (Array.isArray(encoded)) return encoded.map(decodeRecord)
  throw new MetadataFormatError('A chunk of the backup is damaged')
}

function* raised(image: ClusterImage, epoch: number): Generator<MetadataRecord> {
  for (const record of image.toRecords()) {
    if (record.type === 'epochStart') {
      yield { ...record, epoch, controllerId: -1 }
    } else if (record.type === 'producerIds') {
      yield { ...record, nextProducerId: record.nextProducerId + producerIdLeap }
    } else if (record.type === 'partition') {
      const leaderEpoch = record.leaderEpoch + epochLeap
      yield { ...record, leaderEpoch, partitionEpoch: record.partitionEpoch + epochLeap }
    } else {
      yield record
    }
  }
}
