import { isMainThread } from 'node:worker_threads'
import { open, type Database, type RootDatabase } from 'lmdb'
import type { Disk } from '../../base/env.ts'
import {
  revisionOfNothing,
  StoreError,
  type MetadataStore,
  type Revision,
  type StoreComparison,
  type StoredRange,
  type StoredValue,
  type StoreOperation,
  type TransactionResult,
} from './metadata-store.ts'

/** Its version is the revision of the last transaction. Sorts before every key of the controller. */
const revisionKey = '\u0001revision'
const noBytes = Buffer.alloc(0)

/** A file has two root pages, each with a magic number behind the 24 bytes of the page's own header. */
const magic = 0xbeefc0de
const magicPosition = 24
const pageBytesPosition = 0x30
const pageBytesMax = 65_536

/**
 * The store for one machine: an LMDB file in the broker's own process.
 *
 * `overlappingSync: false`: a transaction is answered after its pages and its root are on disk, in that order.
 * With the default, a copied volume was found to hold half a transaction.
 * Revisions are LMDB's versions of entries, so `useVersions` can never be turned off for a file.
 */
export class LmdbStore implements MetadataStore {
  readonly limits = { operationsMax: 100_000, transactionBytesMax: 64 * 1024 * 1024 }
  readonly #path: string
  readonly #root: RootDatabase
  readonly #entries: Database<Buffer, string>

  private constructor(path: string, root: RootDatabase, entries: Database<Buffer, string>) {
    this.#path = path
    this.#root = root
    this.#entries = entries
  }

  /** Opens or creates the file; its directory exists. Blocks the event loop, so this is for the start only. */
  static open(path: string, disk: Disk): LmdbStore {
    refuseOtherFiles(path, disk)
    // Other users must not read the cluster's secrets. LMDB has no option for the mode of its files,
    // and a worker thread can't change the mask: there the mask of the process holds.
    const mask = isMainThread ? process.umask(0o077) : undefined
    try {
      const root = open({
        path,
        noSubdir: true,
        overlappingSync: false,
        maxDbs: 8,
        maxReaders: 64,
      })
      const entries = root.openDB<Buffer, string>('kv', { encoding: 'binary', useVersions: true })
      return new LmdbStore(path, root, entries)
    } catch (cause) {
      throw storeError(path, cause)
    } finally {
      if (mask !== undefined) process.umask(mask)
    }
  }

  async get(key: string): Promise<StoredValue | undefined> {
    // Another process may have written since this one last read.
    this.#entries.resetReadTxn()
    const entry = this.#entries.getEntry(key)
    if (entry === undefined) return undefined
    return { value: entry.value, revision: String(entry.version) }
  }

  async range(from: string, to: string, limit: number): Promise<StoredRange> {
    this.#entries.resetReadTxn()
    const found = this.#entries.getRange({ start: from, end: to, limit: limit + 1, versions: true })
    const entries = [...found].map(({ key, value, version }) => ({
      key,
      value,
      revision: String(version),
    }))
    return { entries: entries.slice(0, limit), more: entries.length > limit }
  }

  async transact(
    comparisons: readonly StoreComparison[],
    operations: readonly StoreOperation[],
  ): Promise<TransactionResult> {
    try {
      const result = await this.#entries.transaction(() =>
        this.#transactNow(comparisons, operations),
      )
      // I12: nobody hears of a transaction before it is on disk.
      await this.#entries.flushed
      return result
    } catch (cause) {
      throw storeError(this.#path, cause)
    }
  }

  async close(): Promise<void> {
    await this.#root.close()
  }

  /** Runs inside a write transaction, alone. */
  #transactNow(
    comparisons: readonly StoreComparison[],
    operations: readonly StoreOperation[],
  ): TransactionResult {
    for (const { key, revision } of comparisons) {
      if (this.#revisionOf(key) !== revision) return { ok: false, revision: revisionOfNothing }
    }
    const version = Number(this.#revisionOf(revisionKey)) + 1
    void this.#entries.put(revisionKey, noBytes, version)
    for (const operation of operations) this.#apply(operation, version)
    return { ok: true, revision: String(version) }
  }

  #revisionOf(key: string): Revision {
    const version = this.#entries.getEntry(key)?.version
    return version === undefined ? revisionOfNothing : String(version)
  }

  /** The promises of single writes are void: the transaction around them is what is awaited. */
  #apply(operation: StoreOperation, version: number): void {
    switch (operation.kind) {
      case 'put':
        void this.#entries.put(operation.key, Buffer.from(operation.value), version)
        return
      case 'remove':
        void this.#entries.remove(operation.key)
        return
      case 'removeRange': {
        const keys = [...this.#entries.getKeys({ start: operation.from, end: operation.to })]
        for (const key of keys) void this.#entries.remove(key)
        return
      }
    }
  }
}

/** The library crashes the process on a file that is not its own. */
function refuseOtherFiles(path: string, disk: Disk): void {
  const bytes = disk.stat(path)?.bytes ?? 0
  if (bytes === 0) return
  const file = disk.open(path, 'read')
  const head = Buffer.alloc(pageBytesPosition + 4)
  const second = Buffer.alloc(4)
  try {
    file.read(head, 0, head.length, 0)
    const pageBytes = Math.min(head.readUInt32LE(pageBytesPosition), pageBytesMax)
    file.read(second, 0, second.length, pageBytes + magicPosition)
  } finally {
    file.close()
  }
  if (head.readUInt32LE(magicPosition) === magic && second.readUInt32LE(0) === magic) return
  throw new StoreError(
    `${path} is damaged, or is no metadata store. Restore it from a backup, or move it away to found a new cluster`,
    { code: 'DAMAGED' },
  )
}

function storeError(path: string, cause: unknown): StoreError {
  const text = cause instanceof Error ? cause.message : String(cause)
  const full = /ENOSPC|no space/i.test(text)
  const code = full ? 'ENOSPC' : 'STORE'
  const advice = full ? '. Free space on that file system' : ''
  return new StoreError(`The metadata store ${path} failed: ${text}${advice}`, { code, cause })
}
