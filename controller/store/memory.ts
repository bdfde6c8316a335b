import {
  AmbiguousError,
  revisionOfNothing,
  StoreError,
  type MetadataStore,
  type StoreComparison,
  type StoredRange,
  type StoredValue,
  type StoreOperation,
  type TransactionResult,
} from './metadata-store.ts'

/** What becomes of a transaction: nothing special, refused before it is applied, or its answer lost after it was. */
export type TransactionFate = 'applied' | 'refused' | 'answerLost'

/**
 * A store that lasts as long as the object: for simulated runs and tests.
 * Two controllers on one object are two processes on one store.
 */
export class MemoryStore implements MetadataStore {
  readonly limits = { operationsMax: 120, transactionBytesMax: 1_048_576 }
  readonly #values = new Map<string, StoredValue>()
  #revision = 0
  #fate: () => TransactionFate = () => 'applied'

  /** Injects failures: `fate` is asked once for each transaction. */
  setFate(fate: () => TransactionFate): void {
    this.#fate = fate
  }

  get keyCount(): number {
    return this.#values.size
  }

  async get(key: string): Promise<StoredValue | undefined> {
    return this.#values.get(key)
  }

  async range(from: string, to: string, limit: number): Promise<StoredRange> {
    const keys = this.#keysBetween(from, to)
    const entries = keys.slice(0, limit).flatMap((key) => {
      const stored = this.#values.get(key)
      return stored === undefined ? [] : [{ key, ...stored }]
    })
    return { entries, more: keys.length > limit }
  }

  async transact(
    comparisons: readonly StoreComparison[],
    operations: readonly StoreOperation[],
  ): Promise<TransactionResult> {
    if (Math.max(comparisons.length, operations.length) > this.limits.operationsMax) {
      throw new StoreError('The transaction has too many operations', { code: 'TOO_LARGE' })
    }
    const fate = this.#fate()
    if (fate === 'refused') throw new StoreError('The store refused', { code: 'ENOSPC' })
    const result = this.#transactNow(comparisons, operations)
    if (fate === 'answerLost') throw new AmbiguousError('The answer of the store was lost')
    return result
  }

  async close(): Promise<void> {
    return undefined
  }

  #transactNow(
    comparisons: readonly StoreComparison[],
    operations: readonly StoreOperation[],
  ): TransactionResult {
    for (const { key, revision } of comparisons) {
      const current = this.#values.get(key)?.revision ?? revisionOfNothing
      if (current !== revision) return { ok: false, revision: revisionOfNothing }
    }
    const revision = String(++this.#revision)
    for (const operation of operations) this.#apply(operation, revision)
    return { ok: true, revision }
  }

  #apply(operation: StoreOperation, revision: string): void {
    switch (operation.kind) {
      case 'put':
        this.#values.set(operation.key, { value: Buffer.from(operation.value), revision })
        return
      case 'remove':
        this.#values.delete(operation.key)
        return
      case 'removeRange':
        for (const key of this.#keysBetween(operation.from, operation.to)) this.#values.delete(key)
        return
    }
  }

  #keysBetween(from: string, to: string): string[] {
    return [...this.#values.keys()].filter((key) => key >= from && key < to).toSorted()
  }
}
