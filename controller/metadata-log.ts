import { assert, AssertionError } from '../base/assert.ts'
import { deferred, type Deferred } from '../base/deferred.ts'
import type { Env } from '../base/env.ts'
import type { ClusterImage } from '../broker/metadata/image.ts'
import {
  decodeRecord,
  encodeRecord,
  MetadataFormatError,
  packValue,
  unpackValue,
} from '../protocol/metadata-records/codec.ts'
import type { MetadataRecord } from '../protocol/metadata-records/records.ts'
import { leaderValue, type Reign } from './election.ts'
import type { MetadataKeys } from './keys.ts'
import {
  estimatedBytes,
  loadSnapshot,
  readSnapshotHead,
  writeSnapshot,
  type SnapshotHead,
} from './snapshot.ts'
import { AmbiguousError, revisionOfNothing, type MetadataStore } from './store/metadata-store.ts'

/** Records of one batch, unless a single operation has more. */
const batchRecordsMax = 5000
const batchBytesMax = 400 * 1024
/** Records of one operation: all or none of them are applied. */
export const operationRecordsMax = 10_000
export const operationBytesMax = 1024 * 1024
/** Of a record that one operation consists of. */
const recordBytesMax = 16 * 1024
const formatVersion = 0
const retryDelayMs = 20
const pageBatches = 1000

/** The log can't be written any more: `fenced` when another controller reigns, else the store refused (`cause`). */
export class MetadataLogError extends Error {
  override readonly name = 'MetadataLogError'
  readonly code = 'METADATA_LOG'
  readonly fenced: boolean
  constructor(message: string, options: { fenced: boolean; cause?: unknown }) {
    super(message, { cause: options.cause })
    this.fenced = options.fenced
  }
}

interface Batch {
  readonly offset: number
  readonly records: MetadataRecord[]
  bytes: number
  readonly committed: Deferred<void>
}

export interface MetadataLogOptions {
  readonly env: Env
  readonly store: MetadataStore
  readonly keys: MetadataKeys
  readonly reign: Reign
  /** As of the last batch in the store; it follows every batch that is committed. */
  readonly image: ClusterImage
  readonly snapshotBatches: number
  readonly snapshotBytes: number
  /** A batch is durable and applied to the image. Called in the order of offsets, before anybody who waits for it. */
  readonly onCommitted: (offset: number, records: readonly MetadataRecord[]) => void
  readonly onFailed: (error: MetadataLogError) => void
}

/**
 * The only way to change the cluster: append a batch of records to the store.
 * Whoever comes while one transaction is under way shares the next one (group commit).
 *
 * I1: one transaction at a time, each comparing the epoch and creating the key of its batch: so a batch is stored once,
 *     in its place, and never by a controller that was succeeded.
 * I2: nobody is told of a batch before the store has it on disk.
 * I3: after one failure nothing is written any more: what follows was computed from a state that never came to be.
 */
export class MetadataLog {
  readonly #options: MetadataLogOptions
  /** The first is being written, or is about to be; records are added to the last. */
  readonly #batches: Batch[] = []
  #writing = false
  #failure: MetadataLogError | undefined
  #nextOffset: number
  #snapshot: SnapshotHead | undefined
  #batchesSinceSnapshot = 0
  #bytesSinceSnapshot = 0

  constructor(options: MetadataLogOptions, loaded: LoadedLog) {
    this.#options = options
    this.#nextOffset = options.image.offset + 1
    this.#snapshot = loaded.snapshot
    this.#batchesSinceSnapshot = options.image.offset - (loaded.snapshot?.offset ?? -1)
    this.#bytesSinceSnapshot = loaded.bytes
  }

  /** The offset that one record appended now will get. */
  get nextOffset(): number {
    return this.#openBatch(recordBytesMax)?.offset ?? this.#nextOffset
  }

  /** Resolves when the records are durable and in the image. Rejects with `MetadataLogError`. */
  append(records: readonly MetadataRecord[]): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    assert(records.length <= operationRecordsMax, 'one operation fits one transaction')
    const bytes = records.reduce((sum, record) => sum + estimatedBytes(record), 0)
    const batch = this.#openBatch(bytes) ?? this.#startBatch()
    batch.records.push(...records)
    batch.bytes += bytes
    void this.#pump()
    return batch.committed.promise
  }

  /** Resolves when everything appended so far is durable: for whoever saw it and wrote nothing. */
  settled(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    return this.#batches.at(-1)?.committed.promise ?? Promise.resolve()
  }

  /** Refuses everything from now on. */
  close(): void {
    this.#fail(new MetadataLogError('The controller has stopped', { fenced: false }))
  }

  /** The batch that takes more records: not the one being written, not full, and small enough with them. */
  #openBatch(bytes: number): Batch | undefined {
    const last = this.#batches.at(-1)
    if (last === undefined || (this.#writing && this.#batches.length === 1)) return undefined
    if (last.records.length >= batchRecordsMax || last.bytes >= batchBytesMax) return undefined
    return last.bytes + bytes <= operationBytesMax ? last : undefined
  }

  #startBatch(): Batch {
    const committed = deferred<void>()
    // Failures reach those who wait; with nobody waiting they are no unhandled rejection.
    committed.promise.catch(() => undefined)
    const batch = { offset: this.#nextOffset++, records: [], bytes: 0, committed }
    this.#batches.push(batch)
    return batch
  }

  async #pump(): Promise<void> {
    if (this.#writing) return
    this.#writing = true
    try {
      for (;;) {
        const batch = this.#batches[0]
        if (batch === undefined || this.#failure !== undefined) return
        await this.#write(batch)
        if (this.#failure !== undefined) return // re-check: awaited
        this.#batches.shift()
        this.#options.image.apply(batch.offset, batch.records)
        this.#options.onCommitted(batch.offset, batch.records)
        batch.committed.resolve()
        await this.#snapshotIfDue()
      }
    } catch (cause) {
      if (cause instanceof AssertionError) throw cause
      if (cause instanceof MetadataLogError) this.#fail(cause)
      else this.#fail(new MetadataLogError('The metadata log failed', { fenced: false, cause }))
    } finally {
      this.#writing = false
    }
  }

  async #write(batch: Batch): Promise<void> {
    const { store, keys, reign, env } = this.#options
    const batchId = env.random.bytes(8)
    const records = batch.records.map(encodeRecord)
    const value = packValue([formatVersion, reign.epoch, batchId, env.clock.wallMs(), records])
    const key = keys.batch(batch.offset)
    const leader = leaderValue({ ...reign, offset: batch.offset })
    for (;;) {
      try {
        const result = await store.transact(
          [
            { key: keys.epoch, revision: reign.fence },
            { key, revision: revisionOfNothing },
          ],
          [
            { kind: 'put', key, value },
            { kind: 'put', key: keys.leader, value: leader },
          ],
        )
        if (!result.ok) await this.#checkCommitted(key, batchId)
        this.#batchesSinceSnapshot++
        this.#bytesSinceSnapshot += value.length
        return
      } catch (error) {
        // The same transaction again: it can be applied once only, since it creates its key.
        if (!(error instanceof AmbiguousError) || this.#failure !== undefined) throw error
        await new Promise<void>((resolve) => env.timers.after(retryDelayMs, resolve))
      }
    }
  }

  /** A transaction that did not hold may be a repetition of one that did. Throws when it was not ours. */
  async #checkCommitted(key: string, batchId: Buffer): Promise<void> {
    const { store, reign } = this.#options
    const stored = await store.get(key)
    const fields = stored === undefined ? undefined : unpackValue(stored.value)
    const id: unknown = Array.isArray(fields) ? fields[2] : undefined
    if (id instanceof Uint8Array && batchId.equals(id)) return
    throw new MetadataLogError(
      `Another controller has taken over from epoch ${reign.epoch} of node ${reign.nodeId}`,
      { fenced: true },
    )
  }

  async #snapshotIfDue(): Promise<void> {
    const { snapshotBatches, snapshotBytes, image, env } = this.#options
    const due =
      this.#batchesSinceSnapshot >= snapshotBatches || this.#bytesSinceSnapshot >= snapshotBytes
    if (!due) return
    const head = await writeSnapshot(
      { ...this.#options, timers: env.timers },
      image,
      this.#snapshot,
    )
    if (head === undefined) {
      throw new MetadataLogError('Another controller has taken over', { fenced: true })
    }
    this.#snapshot = head
    this.#batchesSinceSnapshot = 0
    this.#bytesSinceSnapshot = 0
  }

  #fail(error: MetadataLogError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    for (const batch of this.#batches.splice(0)) batch.committed.reject(error)
    this.#options.onFailed(error)
  }
}

export interface LoadedLog {
  readonly snapshot: SnapshotHead | undefined
  /** Of the batches behind the snapshot. */
  readonly bytes: number
}

/** Brings `image` from where it is to the end of the log: by the snapshot if it is empty, then batch by batch. */
export async function loadLog(
  options: { readonly store: MetadataStore; readonly keys: MetadataKeys },
  image: ClusterImage,
  onApplied: (records: readonly MetadataRecord[]) => void,
): Promise<LoadedLog> {
  const { store, keys } = options
  const snapshot = await readSnapshotHead(store, keys)
  if (snapshot !== undefined && image.offset < 0) await loadSnapshot(options, snapshot, image)
  let bytes = 0
  for (;;) {
    const page = await store.range(keys.batch(image.offset + 1), keys.batchEnd, pageBatches)
    for (const { key, value } of page.entries) {
      const offset = keys.offsetOf(key)
      if (offset !== image.offset + 1) {
        throw new MetadataFormatError(`Batch ${image.offset + 1} of the metadata log is missing`)
      }
      const records = batchRecordsIn(value, offset)
      image.apply(offset, records)
      onApplied(records)
      bytes += value.length
    }
    if (!page.more) return { snapshot, bytes }
  }
}

function batchRecordsIn(value: Uint8Array, offset: number): MetadataRecord[] {
  const fields = unpackValue(value)
  if (Array.isArray(fields)) {
    const [version, , , , records] = fields as unknown[]
    if (version === formatVersion && Array.isArray(records)) return records.map(decodeRecord)
  }
  throw new MetadataFormatError(
    `Batch ${offset} of the metadata log is damaged or of a newer Millrace`,
  )
}
