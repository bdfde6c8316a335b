import type { SimulatedEnv } from '../../base/simulated/simulated-env.ts'
import type { Prng } from '../../base/simulated/prng.ts'
import type { MemoryStore } from '../../controller/store/memory.ts'
import {
  AmbiguousError,
  StoreError,
  type MetadataStore,
  type StoreComparison,
  type StoredRange,
  type StoredValue,
  type StoreOperation,
  type TransactionResult,
} from '../../controller/store/metadata-store.ts'

/** What goes wrong with the store of one process: it says no, or it can't be reached. */
export interface StoreTrouble {
  kind: 'none' | 'refuses' | 'unreachable'
}

const latencyMs = [0.2, 2] as const
const giveUpMs = 1000

/**
 * A store in another process, as etcd: what was sent takes effect even if the sender dies meanwhile,
 * and an answer may be lost.
 */
export class SimulatedStore implements MetadataStore {
  readonly #memory: MemoryStore
  readonly #env: SimulatedEnv
  readonly #random: Prng
  readonly #trouble: StoreTrouble
  readonly limits: MetadataStore['limits']

  constructor(memory: MemoryStore, env: SimulatedEnv, trouble: StoreTrouble) {
    this.#memory = memory
    this.#env = env
    this.#random = env.simulation.random.split(`store ${env.host}`)
    this.#trouble = trouble
    this.limits = memory.limits
  }

  get(key: string): Promise<StoredValue | undefined> {
    return this.#ask(() => this.#memory.get(key))
  }

  range(from: string, to: string, limit: number): Promise<StoredRange> {
    return this.#ask(() => this.#memory.range(from, to, limit))
  }

  transact(
    comparisons: readonly StoreComparison[],
    operations: readonly StoreOperation[],
  ): Promise<TransactionResult> {
    return this.#ask(() => this.#memory.transact(comparisons, operations))
  }

  async close(): Promise<void> {
    return undefined
  }

  #ask<T>(run: () => Promise<T>): Promise<T> {
    const { scheduler } = this.#env.simulation
    const { owner } = this.#env.disk
    const { life } = owner
    const there = this.#random.between(...latencyMs)
    const back = this.#random.between(...latencyMs)
    return new Promise((resolve, reject) => {
      const answer = (delayMs: number, settle: () => void): void => {
        // A process that was killed meanwhile hears nothing, nor does the one in its place.
        if (owner.life !== life) return
        scheduler.schedule({ delayMs, label: 'store answers', owner, run: settle })
      }
      const arrive = (): void => {
        const { kind } = this.#trouble
        if (kind === 'refuses') {
          answer(back, () => reject(new StoreError('The store refused', { code: 'ENOSPC' })))
          return
        }
        const isLost = kind === 'unreachable'
        const lose = (): void =>
          answer(giveUpMs, () => reject(new AmbiguousError('The answer of the store was lost')))
        if (isLost && this.#random.chance(0.5)) {
          lose()
          return
        }
        run().then(
          (result) => (isLost ? lose() : answer(back, () => resolve(result))),
          (error: unknown) => answer(back, () => reject(error as Error)),
        )
      }
      scheduler.schedule({ delayMs: there, label: 'store', run: arrive })
    })
  }
}
