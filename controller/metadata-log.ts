import { assert, AssertionError } from '../base/assert.ts'
import { deferred, type Deferred } from '../base/deferred.ts'
import type { Env, Timer } from '../base/env.ts'
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
import {
  AmbiguousError,
  revisionOfNothing,
  type MetadataStore,
  type StoreComparison,
  type StoreOperation,
} from './store/metadata-store.ts'

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
  /**
   * After so much time without an answer of the store somebody else may take over, so this log gives up; and it shows
   * itself four times as often when there is nothing to write. Undefined: nobody waits for a silence.
   */
  readonly silenceMs?: number
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
 * I4: every transaction rewrites `leader`, and an idle log does so alone: its silence means that it can't write.
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
  #lastOffset: number
  /** When the last transaction that was answered was sent, by the monotonic clock. */
  #answeredMs: number
  #showing: Timer | undefined
  #showDue = false
  #resignation: Deferred<void> | undefined

  constructor(options: MetadataLogOptions, loaded: LoadedLog) {
    this.#options = options
    this.#lastOffset = options.image.offset
    this.#answeredMs = options.env.clock.monotonicMs()
    this.#showLater()
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
    if (this.#resignation !== undefined) return Promise.reject(stopped())
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

  /**
   * Takes nothing more, writes what it has, and leaves the seat, so that nobody waits for a silence.
   * Resolves also when that failed: then they wait.
   */
  resign(): Promise<void> {
    if (this.#failure !== undefined) return Promise.resolve()
    this.#resignation ??= deferred<void>()
    void this.#pump()
    return this.#resignation.promise
  }

  /** Refuses everything from now on. */
  close(): void {
    this.#fail(stopped())
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
        if (this.#failure !== undefined) return
        const batch = this.#batches[0]
        if (batch !== undefined) await this.#commit(batch)
        else if (this.#resignation !== undefined) return await this.#leave(this.#resignation)
        else if (this.#showDue) await this.#show()
        else return
      }
    } catch (cause) {
      if (cause instanceof AssertionError) throw cause
      if (cause instanceof MetadataLogError) this.#fail(cause)
      else this.#fail(new MetadataLogError(failureText(cause), { fenced: false, cause }))
    } finally {
      this.#writing = false
    }
  }

  async #commit(batch: Batch): Promise<void> {
    await this.#write(batch)
    if (this.#failure !== undefined) return // re-check: awaited
    this.#batches.shift()
    this.#lastOffset = batch.offset
    this.#options.image.apply(batch.offset, batch.records)
    this.#options.onCommitted(batch.offset, batch.records)
    batch.committed.resolve()
    await this.#snapshotIfDue()
  }

  async #write(batch: Batch): Promise<void> {
    const { keys, reign, env } = this.#options
    const batchId = env.random.bytes(8)
    const records = batch.records.map(encodeRecord)
    const value = packValue([formatVersion, reign.epoch, batchId, env.clock.wallMs(), records])
    const key = keys.batch(batch.offset)
    const ok = await this.#transact(
      [{ key, revision: revisionOfNothing }],
      [{ kind: 'put', key, value }],
      { offset: batch.offset },
    )
    if (!ok) await this.#checkCommitted(key, batchId)
    this.#batchesSinceSnapshot++
    this.#bytesSinceSnapshot += value.length
  }

  /** Sends the same transaction until it is answered: applying it twice must be harmless, or fail. */
  async #transact(
    comparisons: readonly StoreComparison[],
    operations: readonly StoreOperation[],
    leader: { readonly offset?: number; readonly resigned?: boolean } = {},
  ): Promise<boolean> {
    const { store, keys, reign, env } = this.#options
    const { offset = this.#lastOffset, resigned = false } = leader
    const seat = leaderValue({ ...reign, offset, resigned })
    const holds = [{ key: keys.epoch, revision: reign.fence }, ...comparisons]
    const puts = [...operations, { kind: 'put' as const, key: keys.leader, value: seat }]
    for (;;) {
      const sentMs = env.clock.monotonicMs()
      try {
        const { ok } = await store.transact(holds, puts)
        this.#answeredMs = sentMs
        this.#showDue = false
        return ok
      } catch (error) {
        if (!(error instanceof AmbiguousError) || this.#failure !== undefined) throw error
        this.#giveUpIfLate(error)
        await new Promise<void>((resolve) => env.timers.after(retryDelayMs, resolve))
      }
    }
  }

  #giveUpIfLate(cause: AmbiguousError): void {
    const { silenceMs = Infinity, env } = this.#options
    const waitedMs = Math.round(env.clock.monotonicMs() - this.#answeredMs)
    if (waitedMs < silenceMs && this.#resignation === undefined) return
    const message = `The metadata store has not answered for ${waitedMs} ms: ${cause.message}`
    throw new MetadataLogError(message, { fenced: false, cause })
  }

  async #show(): Promise<void> {
    if (!(await this.#transact([], []))) throw this.#fenced()
  }

  async #leave(left: Deferred<void>): Promise<void> {
    if (!(await this.#transact([], [], { resigned: true }))) throw this.#fenced()
    left.resolve()
    this.#fail(stopped())
  }

  /** Looks every quarter of the silence whether the log was idle since. */
  #showLater(): void {
    const { silenceMs, env } = this.#options
    if (silenceMs === undefined) return
    const idleMs = silenceMs / 4
    const dueMs = this.#answeredMs + idleMs - env.clock.monotonicMs()
    this.#showing = env.timers.after(Math.max(dueMs, idleMs / 4), () => {
      if (this.#failure !== undefined) return
      this.#showDue = env.clock.monotonicMs() - this.#answeredMs >= idleMs
      void this.#pump()
      this.#showLater()
    })
  }

  /** A transaction that did not hold may be a repetition of one that did. Throws when it was not ours. */
  async #checkCommitted(key: string, batchId: Buffer): Promise<void> {
    const stored = await this.#options.store.get(key)
    const fields = stored === undefined ? undefined : unpackValue(stored.value)
    const id: unknown = Array.isArray(fields) ? fields[2] : undefined
    if (id instanceof Uint8Array && batchId.equals(id)) return
    throw this.#fenced()
  }

  #fenced(): MetadataLogError {
    const { epoch, nodeId } = this.#options.reign
    const message = `Another controller has taken over from epoch ${epoch} of node ${nodeId}`
    return new MetadataLogError(message, { fenced: true })
  }

  async #snapshotIfDue(): Promise<void> {
    const { snapshotBatches, snapshotBytes, image, env, keys, reign } = this.#options
    const due =
      this.#batchesSinceSnapshot >= snapshotBatches || this.#bytesSinceSnapshot >= snapshotBytes
    if (!due) return
    const transact = (operations: readonly StoreOperation[]): Promise<boolean> =>
      this.#transact([], operations)
    const head = await writeSnapshot(
      { keys, epoch: reign.epoch, timers: env.timers, transact },
      image,
      this.#snapshot,
    )
    if (head === undefined) throw this.#fenced()
    this.#snapshot = head
    this.#batchesSinceSnapshot = 0
    this.#bytesSinceSnapshot = 0
  }

  #fail(error: MetadataLogError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.#showing?.cancel()
    this.#resignation?.resolve()
    for (const batch of this.#batches.splice(0)) batch.committed.reject(error)
    this.#options.onFailed(error)
  }
}

function stopped(): MetadataLogError {
  return new MetadataLogError('The controller has stopped', { fenced: false })
}

function failureText(cause: unknown): string {
  return cause instanceof Error ? cause.message : 'The metadata log failed'
}

export interface LoadedLog {
  readonly snapshot: SnapshotHead | undefined
  /** Of the batches behind the snapshot. */
  readonly bytes: number
}

export interface LoadListener {
  /** A batch was applied. */
  readonly applied: (records: readonly MetadataRecord[]) => void
  /** The image was replaced by the snapshot, since the log behind it is gone. */
  readonly reloaded: () => void
}

/** Brings `image` from where it is to the end of the log: batch by batch, or from the snapshot if it is empty or too old. */
export async function loadLog(
  options: { readonly store: MetadataStore; readonly keys: MetadataKeys },
  image: ClusterImage,
  listener: LoadListener,
): Promise<LoadedLog> {
  const { store, keys } = options
  const snapshot = await readSnapshotHead(store, keys)
  await checkKnown(options, image, snapshot)
  if (snapshot !== undefined && image.offset < 0) await loadSnapshot(options, snapshot, image)
  let bytes = 0
  for (;;) {
    let isReloaded = false
    const page = await store.range(keys.batch(image.offset + 1), keys.batchEnd, pageBatches)
    for (const { key, value } of page.entries) {
      const offset = keys.offsetOf(key)
      if (offset !== image.offset + 1) {
        if (bytes > 0 || snapshot === undefined || snapshot.offset <= image.offset) {
          throw new MetadataFormatError(`Batch ${image.offset + 1} of the metadata log is missing`)
        }
        await loadSnapshot(options, snapshot, image)
        listener.reloaded()
        isReloaded = true
        break
      }
      const records = batchRecordsIn(value, offset)
      image.apply(offset, records)
      listener.applied(records)
      bytes += value.length
    }
    // A page from before the snapshot was loaded says nothing of what comes behind that.
    if (!page.more && !isReloaded) return { snapshot, bytes }
  }
}

/** What the image holds is in the store for good; unless somebody has put an older copy of the store in its place. */
async function checkKnown(
  { store, keys }: { readonly store: MetadataStore; readonly keys: MetadataKeys },
  image: ClusterImage,
  snapshot: SnapshotHead | undefined,
): Promise<void> {
  const { offset } = image
  if (offset < 0 || (snapshot !== undefined && snapshot.offset >= offset)) return
  if ((await store.get(keys.batch(offset))) !== undefined) return
  throw new MetadataFormatError(
    `The metadata store ends before batch ${offset}, which it had: was it restored from a backup? ` +
      'Then stop all controllers, run millrace metadata restore on it, and start them again',
  )
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
