/**
 * Where the controller keeps its log: keys in byte order, values of bytes, and transactions that compare and write.
 * Small enough that an embedded database and a cluster of etcd can both be one; `test/controller/store` says what each must do.
 */
export interface MetadataStore {
  readonly limits: StoreLimits
  /** Sees every transaction that was answered before the call. */
  get(key: string): Promise<StoredValue | undefined>
  /** Keys from `from` up to but without `to`, ascending. */
  range(from: string, to: string, limit: number): Promise<StoredRange>
  /**
   * All of `operations`, durably, if all of `comparisons` hold; else nothing. Operations apply in their order.
   * Throws `AmbiguousError` when it is unknown whether they were applied, `StoreError` when they were not.
   */
  transact(
    comparisons: readonly StoreComparison[],
    operations: readonly StoreOperation[],
  ): Promise<TransactionResult>
  close(): Promise<void>
}

/** Opaque; each transaction that writes has a new one. `revisionOfNothing`: the key is absent. */
export type Revision = string

export const revisionOfNothing: Revision = '0'

export interface StoreLimits {
  /** Comparisons, and operations, of one transaction. */
  readonly operationsMax: number
  readonly transactionBytesMax: number
}

export interface StoredValue {
  readonly value: Uint8Array
  /** Of the transaction that wrote it. */
  readonly revision: Revision
}

export interface StoredRange {
  readonly entries: readonly (StoredValue & { readonly key: string })[]
  /** Whether the limit cut it short. */
  readonly more: boolean
}

/** Holds while nobody has written the key since. */
export interface StoreComparison {
  readonly key: string
  readonly revision: Revision
}

export type StoreOperation =
  | { readonly kind: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly kind: 'remove'; readonly key: string }
  /** Up to but without `to`. */
  | { readonly kind: 'removeRange'; readonly from: string; readonly to: string }

export interface TransactionResult {
  /** Whether the comparisons held. */
  readonly ok: boolean
  /** Of this transaction, if they did. */
  readonly revision: Revision
}

/** The store refused, and nothing was written. `code` is the system's where there is one (ENOSPC, EIO, ...). */
export class StoreError extends Error {
  override readonly name = 'StoreError'
  readonly code: string
  constructor(message: string, options: { code: string; cause?: unknown }) {
    super(message, { cause: options.cause })
    this.code = options.code
  }
}

/** The answer was lost: the transaction may have been applied, or may yet be. */
export class AmbiguousError extends Error {
  override readonly name = 'AmbiguousError'
  readonly code = 'AMBIGUOUS'
}
