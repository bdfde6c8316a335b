import type { Env, Timer } from '../base/env.ts'
import type { Logger } from '../base/logger.ts'
import { randomUuid, uuidToText } from '../base/uuid.ts'
import { ClusterImage } from '../broker/metadata/image.ts'
import { errors } from '../protocol/errors.ts'
import { MetadataFormatError, packValue, unpackValue } from '../protocol/metadata-records/codec.ts'
import type { MetadataRecord } from '../protocol/metadata-records/records.ts'
import type { MetadataListener, Validation } from './controller-link.ts'
import { elect, type Candidate } from './election.ts'
import { MetadataKeys } from './keys.ts'
import {
  loadLog,
  MetadataLog,
  MetadataLogError,
  operationBytesMax,
  operationRecordsMax,
} from './metadata-log.ts'
import { refuse, type Outcome, type Plan, type Refusal } from './outcome.ts'
import { estimatedBytes } from './snapshot.ts'
import { AmbiguousError, revisionOfNothing, type MetadataStore } from './store/metadata-store.ts'

export interface MetadataWriterOptions {
  readonly env: Env
  /** Closed by `close`. */
  readonly store: MetadataStore
  readonly logger: Logger
  readonly nodeId: number
  /** For a store that has no cluster yet; absent: a random one. 22 characters of base64url. */
  readonly clusterId?: string
  /** Called once when another controller took over: this process must stop serving. */
  readonly onFenced?: (reason: string) => void
  readonly snapshotBatches?: number
  readonly snapshotBytes?: number
}

/**
 * - reigning: this process writes.
 * - suspended: it did, and the store refuses now. Nobody can be fenced meanwhile.
 * - fenced: another controller has taken over.
 */
export type WriterState = 'reigning' | 'suspended' | 'fenced' | 'closed'

const cluster = 'millrace'
const formatVersion = 1
const defaultSnapshotBatches = 10_000
const defaultSnapshotBytes = 8 * 1024 * 1024
const resumeDelayMsMin = 100
const resumeDelayMsMax = 5000
/** Records of one part of a change that need not be atomic. */
const partRecords = 200

/**
 * The one writer of the cluster's metadata. Each operation reads the tip (everything that was asked for so far),
 * makes records, and is answered when they are durable and in `image`.
 *
 * It is crash-only: when the store refuses, everything that waits is refused, the tip is thrown away, and the reign begins
 * anew from what the store holds. When another controller took over, it stays down.
 */
export class MetadataWriter {
  readonly #options: MetadataWriterOptions
  readonly #candidate: Candidate
  /** What is durable. The same object for the life of the writer. */
  readonly image: ClusterImage
  readonly #listeners = new Set<MetadataListener>()
  readonly #reloadListeners = new Set<() => void>()
  readonly #stateListeners = new Set<(state: WriterState) => void>()
  #tip: ClusterImage
  /** Undefined while the store refuses, and at the end. */
  #log: MetadataLog | undefined
  #state: WriterState = 'suspended'
  #resumeTimer: Timer | undefined
  #resumeDelayMs = resumeDelayMsMin

  private constructor(options: MetadataWriterOptions, candidate: Candidate, clusterId: string) {
    this.#options = options
    this.#candidate = candidate
    this.image = new ClusterImage(clusterId)
    this.#tip = new ClusterImage(clusterId)
  }

  /** Takes the reign and loads the cluster, or founds one. Throws `StoreError`, `MetadataFormatError`. */
  static async open(options: MetadataWriterOptions): Promise<MetadataWriter> {
    const { store, nodeId, env } = options
    const keys = new MetadataKeys(cluster)
    const candidate = { store, keys, nodeId, incarnation: randomUuid(env.random) }
    try {
      const clusterId = await foundOrFind(options, keys)
      const writer = new MetadataWriter(options, candidate, clusterId)
      await writer.#reign()
      return writer
    } catch (error) {
      await store.close()
      throw error
    }
  }

  get state(): WriterState {
    return this.#state
  }

  /** What will be durable when everything under way is: planners read it, and must do so in the turn of their commit. */
  get tip(): ClusterImage {
    return this.#tip
  }

  /**
   * The offset that a record committed next gets, if it is small and committed alone in this turn: the epoch of a broker
   * that registers. Commit whatever belongs before it first, then ask.
   */
  get nextOffset(): number {
    return this.#log?.nextOffset ?? -1
  }

  /** As `ControllerLink.subscribe`. */
  subscribe(applied: MetadataListener, reloaded?: () => void): () => void {
    this.#listeners.add(applied)
    if (reloaded !== undefined) this.#reloadListeners.add(reloaded)
    return () => {
      this.#listeners.delete(applied)
      if (reloaded !== undefined) this.#reloadListeners.delete(reloaded)
    }
  }

  /**
   * Called after each change of `state`. On `reigning` soft state begins anew: every unfenced broker gets a full session.
   * The function returned ends it.
   */
  subscribeState(listener: (state: WriterState) => void): () => void {
    this.#stateListeners.add(listener)
    return () => this.#stateListeners.delete(listener)
  }

  /** The answer of a plan, once its records are durable; refused if they can't be. */
  async commit<T>(plan: Plan<Outcome<T>>): Promise<Outcome<T>> {
    const [outcome] = await this.commitEach({ ...plan, answer: [plan.answer] })
    return outcome ?? plan.answer
  }

  /** All records or none, and one answer for each thing that was asked. The records are in `tip` when this returns. */
  async commitEach<T>(
    plan: Plan<readonly Outcome<T>[]>,
    options: Validation = { validateOnly: false },
  ): Promise<readonly Outcome<T>[]> {
    const { records, answer } = plan
    const refuseAll = (refusal: Refusal): readonly Outcome<T>[] =>
      answer.map((outcome) => (outcome.ok ? refusal : outcome))
    if (isTooLarge(records)) {
      return refuseAll(
        refuse(errors.policyViolation, 'Unable to perform excessively large batch operation.'),
      )
    }
    const log = this.#log
    if (log === undefined) return refuseAll(this.#whyNot())
    try {
      if (options.validateOnly || records.length === 0) {
        await log.settled()
        return answer
      }
      const committed = log.append(records)
      this.#applyToTip(records)
      await committed
      return answer
    } catch (error) {
      if (!(error instanceof MetadataLogError)) throw error
      return refuseAll(this.#whyNot())
    }
  }

  /**
   * For what is too large for one transaction and need not be atomic, as the partitions of brokers that died:
   * in parts, and all at once, so that they share transactions. All are in `tip` when this returns.
   */
  async commitParts(records: readonly MetadataRecord[]): Promise<Outcome<object>> {
    const answer = { ok: true as const }
    const parts: Promise<Outcome<object>>[] = []
    // Nothing is a part too: the answer may rest on what is not durable yet.
    for (let start = 0; start === 0 || start < records.length; start += partRecords) {
      parts.push(this.commit({ records: records.slice(start, start + partRecords), answer }))
    }
    const outcomes = await Promise.all(parts)
    return outcomes.find((outcome) => !outcome.ok) ?? answer
  }

  /** Refuses what is under way, and closes the store. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return
    this.#become('closed')
    this.#resumeTimer?.cancel()
    this.#log?.close()
    await this.#options.store.close()
  }

  #become(state: WriterState): void {
    this.#state = state
    for (const listener of this.#stateListeners) listener(state)
  }

  /** Several operations may share a batch, so the tip counts operations where the image counts batches. */
  #applyToTip(records: readonly MetadataRecord[]): void {
    this.#tip.apply(this.#tip.offset + 1, records)
  }

  #whyNot(): Refusal {
    const texts = {
      reigning: 'The metadata store did not answer; try again',
      suspended: 'The metadata store refused to write, the log of the broker tells why; try again',
      fenced: 'Another controller has taken over this cluster',
      closed: 'The controller has stopped',
    }
    return refuse(errors.notController, texts[this.#state])
  }

  async #reign(): Promise<void> {
    const { env, store, logger } = this.#options
    const { keys } = this.#candidate
    const reign = await elect(this.#candidate)
    const loaded = await loadLog({ store, keys }, this.image, (records) => this.#tell(records))
    this.#tip = copyOf(this.image)
    const log = new MetadataLog(
      {
        env,
        store,
        keys,
        reign,
        image: this.image,
        snapshotBatches: this.#options.snapshotBatches ?? defaultSnapshotBatches,
        snapshotBytes: this.#options.snapshotBytes ?? defaultSnapshotBytes,
        onCommitted: (_, records) => this.#tell(records),
        onFailed: (error) => this.#onFailed(error),
      },
      loaded,
    )
    const start = { type: 'epochStart', epoch: reign.epoch, controllerId: reign.nodeId } as const
    this.#applyToTip([start])
    await log.append([start])
    if (this.#state === 'closed') return log.close() // re-check: awaited
    this.#log = log
    this.#resumeDelayMs = resumeDelayMsMin
    logger.info(
      { epoch: reign.epoch, offset: this.image.offset, topics: this.image.topicsByName.size },
      'The controller reigns',
    )
    this.#become('reigning')
  }

  #tell(records: readonly MetadataRecord[]): void {
    for (const listener of this.#listeners) listener(records, this.image)
  }

  #onFailed(error: MetadataLogError): void {
    this.#log = undefined
    if (this.#state === 'closed') return
    if (error.fenced) {
      this.#fenced(error.message)
      return
    }
    this.#options.logger.error({ err: error }, 'The metadata store refused; trying again')
    // While the first reign begins, `open` reports the failure itself.
    if (this.#state === 'reigning') {
      this.#become('suspended')
      this.#resumeLater()
    }
  }

  #fenced(reason: string): void {
    this.#become('fenced')
    this.#options.logger.error({ reason }, 'Another controller has taken over')
    this.#options.onFenced?.(reason)
  }

  #resumeLater(): void {
    this.#resumeTimer = this.#options.env.timers.after(
      this.#resumeDelayMs,
      () => void this.#resume(),
    )
    this.#resumeDelayMs = Math.min(this.#resumeDelayMs * 2, resumeDelayMsMax)
  }

  /** A new reign, unless somebody else has begun one. The image only gains what the store has beyond it. */
  async #resume(): Promise<void> {
    try {
      if (await this.#wasSucceeded()) {
        this.#fenced('The epoch in the metadata store is of another controller')
        return
      }
      await this.#reign()
    } catch (error) {
      if (this.#state !== 'suspended') return // re-check: awaited
      if (error instanceof MetadataFormatError) {
        this.#fenced(error.message)
        return
      }
      this.#options.logger.error({ err: error }, 'The metadata store still refuses')
      this.#resumeLater()
    }
  }

  async #wasSucceeded(): Promise<boolean> {
    const { store, keys, incarnation } = this.#candidate
    const stored = await store.get(keys.epoch)
    const fields = stored === undefined ? undefined : unpackValue(stored.value)
    return !(Array.isArray(fields) && fields[2] === incarnation)
  }
}

function isTooLarge(records: readonly MetadataRecord[]): boolean {
  if (records.length > operationRecordsMax) return true
  let bytes = 0
  for (const record of records) bytes += estimatedBytes(record)
  return bytes > operationBytesMax
}

function copyOf(image: ClusterImage): ClusterImage {
  const copy = new ClusterImage(image.clusterId)
  copy.apply(Math.max(image.offset, 0), [...image.toRecords()])
  return copy
}

/** The id of the cluster in the store; an empty store gets one. */
async function foundOrFind(options: MetadataWriterOptions, keys: MetadataKeys): Promise<string> {
  const { store, env } = options
  const founded = options.clusterId ?? uuidToText(randomUuid(env.random))
  if ((await store.get(keys.id)) === undefined) await found(store, keys, founded)
  const stored = await store.get(keys.id)
  const fields = stored === undefined ? undefined : unpackValue(stored.value)
  if (Array.isArray(fields)) {
    const [clusterId, version] = fields as unknown[]
    if (typeof clusterId === 'string' && version === formatVersion) return clusterId
    throw new MetadataFormatError(
      `The metadata store has format ${String(version)}, this program knows ${formatVersion}`,
    )
  }
  throw new MetadataFormatError('The id of the cluster in the metadata store is damaged')
}

async function found(store: MetadataStore, keys: MetadataKeys, clusterId: string): Promise<void> {
  try {
    await store.transact(
      [{ key: keys.id, revision: revisionOfNothing }],
      [{ kind: 'put', key: keys.id, value: packValue([clusterId, formatVersion, 0]) }],
    )
  } catch (error) {
    // What counts is what is stored now, whoever wrote it.
    if (!(error instanceof AmbiguousError)) throw error
  }
}
