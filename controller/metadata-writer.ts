import type { Env, Timer } from '../base/env.ts'
import type { Logger } from '../base/logger.ts'
import { randomUuid } from '../base/uuid.ts'
import { ClusterImage } from '../broker/metadata/image.ts'
import { errors } from '../protocol/errors.ts'
import { MetadataFormatError, unpackValue } from '../protocol/metadata-records/codec.ts'
import type { MetadataRecord } from '../protocol/metadata-records/records.ts'
import type { MetadataListener, Validation } from './controller-link.ts'
import {
  elect,
  leaveSeat,
  readSeat,
  SilenceObserver,
  takeSeat,
  type Candidate,
  type LeaderFields,
  type Reign,
  type Seat,
} from './election.ts'
import { foundOrFind, generationIn } from './founding.ts'
import { clusterKeys } from './keys.ts'
import {
  loadLog,
  MetadataLog,
  MetadataLogError,
  operationBytesMax,
  operationRecordsMax,
} from './metadata-log.ts'
import { refuse, type Outcome, type Plan, type Refusal } from './outcome.ts'
import { estimatedBytes } from './snapshot.ts'
import type { MetadataStore } from './store/metadata-store.ts'

export interface MetadataWriterOptions {
  readonly env: Env
  /** Closed by `close`. */
  readonly store: MetadataStore
  readonly logger: Logger
  readonly nodeId: number
  /** For a store that has no cluster yet; absent: a random one. 22 characters of base64url. */
  readonly clusterId?: string
  /** For a store that other controllers use as well; absent: this one takes the seat whoever holds it. */
  readonly candidacy?: Candidacy
  /** Where brokers reach this controller, HOST:PORT. */
  readonly endpoints?: readonly string[]
  /**
   * Called once when this process must stop: another controller took over, and there is no candidacy, or the metadata
   * can't be read.
   */
  readonly onFenced?: (reason: string) => void
  readonly snapshotBatches?: number
  readonly snapshotBytes?: number
}

export interface Candidacy {
  /** After so much silence of the one that reigns another may take over. */
  readonly silenceMs: number
  /** How often one that stands by looks. */
  readonly pollMs: number
}

/**
 * - standby: another controller reigns, or did; this one waits for its silence.
 * - reigning: this process writes.
 * - suspended: it did, and the store refuses now. Nobody can be fenced meanwhile.
 * - fenced: another controller has taken over, for good.
 */
export type WriterState = 'standby' | 'reigning' | 'suspended' | 'fenced' | 'closed'

const defaultSnapshotBatches = 10_000
const defaultSnapshotBytes = 8 * 1024 * 1024
const resumeDelayMsMin = 100
const resumeDelayMsMax = 5000
/** Between complaints of a store that does not answer. */
const warnEveryMs = 10_000
/** Records of one part of a change that need not be atomic. */
const partRecords = 200

/**
 * The one writer of the cluster's metadata. Each operation reads the tip (everything that was asked for so far),
 * makes records, and is answered when they are durable and in `image`.
 *
 * It is crash-only: when the store refuses, everything that waits is refused, the tip is thrown away, and a reign begins
 * anew from what the store holds. When another controller took over, it stands by if it is a candidate, else it stays down.
 * What is in the image is committed for good, so an image of an earlier reign only gains what came since.
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
  #state: WriterState
  #generation: number
  #observer: SilenceObserver | undefined
  #leader: LeaderFields | undefined
  /** The last attempt to take the seat, over or not. */
  #taking: Promise<void> | undefined
  #timer: Timer | undefined
  #resumeDelayMs = resumeDelayMsMin
  #warnedMs = -Infinity

  private constructor(
    options: MetadataWriterOptions,
    candidate: Candidate,
    founded: { readonly clusterId: string; readonly generation: number },
  ) {
    this.#options = options
    this.#candidate = candidate
    this.#state = options.candidacy === undefined ? 'suspended' : 'standby'
    this.#generation = founded.generation
    this.image = new ClusterImage(founded.clusterId)
    this.#tip = new ClusterImage(founded.clusterId)
  }

  /**
   * Takes the seat and loads the cluster, or founds one. A candidate returns as soon as it knows the cluster, and stands by
   * until the seat is free. Throws `StoreError`, `MetadataFormatError`.
   */
  static async open(options: MetadataWriterOptions): Promise<MetadataWriter> {
    const { store, nodeId, env, endpoints = [] } = options
    const keys = clusterKeys
    const candidate = { store, keys, nodeId, incarnation: randomUuid(env.random), endpoints }
    try {
      const writer = new MetadataWriter(options, candidate, await foundOrFind(options, keys))
      if (options.candidacy === undefined) await writer.#reign(await elect(candidate))
      else await writer.#poll()
      return writer
    } catch (error) {
      await store.close()
      // It is the store's, whichever of the first transactions it refused.
      throw error instanceof MetadataLogError ? (error.cause ?? error) : error
    }
  }

  get state(): WriterState {
    return this.#state
  }

  /** Of the metadata: grows with each restore. */
  get generation(): number {
    return this.#generation
  }

  /** Who reigns, as far as this one knows. */
  get leader(): { readonly nodeId: number; readonly endpoints: readonly string[] } | undefined {
    if (this.#state === 'reigning') return this.#candidate
    return this.#leader?.resigned === false ? this.#leader : undefined
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
    if (isTooLarge(records)) {
      const text = 'Unable to perform excessively large batch operation.'
      const refusal = refuse(errors.policyViolation, text)
      return answer.map((outcome) => (outcome.ok ? refusal : outcome))
    }
    // Refusals too: they may rest on what others asked for before, and that never came to be.
    const refuseAll = (): readonly Outcome<T>[] => answer.map(() => this.#whyNot())
    const log = this.#log
    if (log === undefined) return refuseAll()
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
      return refuseAll()
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

  /** Leaves the seat, if others wait for it; refuses what is under way, and closes the store. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return
    this.#become('closed')
    this.#timer?.cancel()
    if (this.#options.candidacy !== undefined) await this.#log?.resign()
    this.#log?.close()
    // One that is just taking the seat leaves it again; what it fails with is told where it began.
    await Promise.allSettled([this.#taking])
    await this.#options.store.close()
  }

  #become(state: WriterState): void {
    if (this.#state === state) return
    this.#state = state
    for (const listener of this.#stateListeners) listener(state)
  }

  /** Several operations may share a batch, so the tip counts operations where the image counts batches. */
  #applyToTip(records: readonly MetadataRecord[]): void {
    this.#tip.apply(this.#tip.offset + 1, records)
  }

  #whyNot(): Refusal {
    const texts = {
      standby: 'This controller stands by for another one',
      reigning: 'The metadata store did not answer; try again',
      suspended:
        'The metadata store refused to write, the log of the controller tells why; try again',
      fenced: 'Another controller has taken over this cluster',
      closed: 'The controller has stopped',
    }
    return refuse(errors.notController, texts[this.#state])
  }

  async #reign(reign: Reign): Promise<void> {
    const { env, store, logger, candidacy } = this.#options
    const { keys } = this.#candidate
    if (!this.#isClosed()) await this.#checkGeneration()
    if (this.#isClosed()) return void (await leaveSeat(this.#candidate, reign)) // re-check: awaited
    const loaded = await loadLog({ store, keys }, this.image, {
      applied: (records) => this.#tell(records),
      reloaded: () => this.#tellReloaded(),
    })
    this.#tip = this.image.copy()
    const log = new MetadataLog(
      {
        env,
        store,
        keys,
        reign,
        image: this.image,
        snapshotBatches: this.#options.snapshotBatches ?? defaultSnapshotBatches,
        snapshotBytes: this.#options.snapshotBytes ?? defaultSnapshotBytes,
        ...(candidacy === undefined ? {} : { silenceMs: candidacy.silenceMs }),
        onCommitted: (_, records) => this.#tell(records),
        onFailed: (error) => this.#onFailed(error),
      },
      loaded,
    )
    const start = { type: 'epochStart', epoch: reign.epoch, controllerId: reign.nodeId } as const
    this.#applyToTip([start])
    await log.append([start])
    // re-check: awaited
    if (this.#isClosed()) {
      await log.resign()
      log.close()
      return
    }
    this.#log = log
    this.#resumeDelayMs = resumeDelayMsMin
    logger.info(
      { epoch: reign.epoch, offset: this.image.offset, topics: this.image.topicsByName.size },
      'The controller reigns',
    )
    this.#become('reigning')
  }

  /** After a restore offsets have another meaning. */
  async #checkGeneration(): Promise<void> {
    const { store } = this.#options
    const generation = generationIn(await store.get(this.#candidate.keys.id))
    if (generation !== this.#generation && this.image.offset >= 0) {
      throw new MetadataFormatError(
        'The metadata store was restored while this controller ran: start it again',
      )
    }
    this.#generation = generation
  }

  #tell(records: readonly MetadataRecord[]): void {
    for (const listener of this.#listeners) listener(records, this.image)
  }

  #tellReloaded(): void {
    for (const listener of this.#reloadListeners) listener()
  }

  #onFailed(error: MetadataLogError): void {
    this.#log = undefined
    // While a reign begins, whoever began it hears of the failure.
    if (this.#state !== 'reigning') return
    const { candidacy, logger } = this.#options
    if (error.fenced && candidacy === undefined) {
      this.#fenced(error.message)
      return
    }
    logger.error({ err: error }, 'This controller can write no more for now')
    this.#become(error.fenced ? 'standby' : 'suspended')
    this.#later()
  }

  #fenced(reason: string): void {
    this.#options.logger.error({ reason }, 'This controller has to stop')
    this.#become('fenced')
    this.#options.onFenced?.(reason)
  }

  /** The next attempt at a reign. */
  #later(): void {
    if (this.#state === 'closed' || this.#state === 'reigning') return
    const { env, candidacy } = this.#options
    this.#timer?.cancel()
    if (candidacy === undefined) {
      this.#timer = env.timers.after(this.#resumeDelayMs, () => void this.#try())
      this.#resumeDelayMs = Math.min(this.#resumeDelayMs * 2, resumeDelayMsMax)
      return
    }
    // With jitter, so that candidates do not look in the same moment.
    const delayMs = candidacy.pollMs * (0.75 + 0.5 * env.random.fraction())
    this.#timer = env.timers.after(delayMs, () => void this.#poll())
  }

  /** A candidate looks at the seat, and takes it when it is free. Never rejects. */
  async #poll(): Promise<void> {
    await this.#attempt(async ({ silenceMs }) => {
      const seat = await readSeat(this.#candidate)
      if (this.#state === 'closed') return // re-check: awaited
      this.#leader = seat.leader
      const others = seat.leader !== undefined && !this.#isOurs(seat.leader.incarnation)
      if (others && this.#state === 'suspended') this.#become('standby')
      this.#observer ??= new SilenceObserver(silenceMs)
      const nowMs = this.#options.env.clock.monotonicMs()
      const self = this.#candidate.incarnation
      if (!this.#observer.observe(seat, { nowMs, self })) return
      const taking = this.#take(seat)
      this.#taking = taking
      await taking
    })
  }

  async #take(seat: Seat): Promise<void> {
    const reign = await takeSeat(this.#candidate, seat)
    if (reign !== undefined) await this.#reign(reign)
  }

  /** A new reign, unless somebody else has begun one. Never rejects. */
  async #try(): Promise<void> {
    await this.#attempt(async () => {
      const stored = await this.#options.store.get(this.#candidate.keys.epoch)
      const fields = stored === undefined ? undefined : unpackValue(stored.value)
      if (Array.isArray(fields) && this.#isOurs(fields[2])) {
        await this.#reign(await elect(this.#candidate))
      } else {
        this.#fenced('The epoch in the metadata store is of another controller')
      }
    })
  }

  async #attempt(step: (candidacy: Candidacy) => Promise<void>): Promise<void> {
    try {
      await step(this.#options.candidacy ?? { silenceMs: 0, pollMs: 0 })
    } catch (error) {
      if (this.#isClosed()) return
      if (error instanceof MetadataFormatError) {
        this.#fenced(error.message)
        return
      }
      this.#complain(error)
    }
    if (this.#state === 'standby' || this.#state === 'suspended') this.#later()
  }

  #complain(error: unknown): void {
    const nowMs = this.#options.env.clock.monotonicMs()
    if (nowMs - this.#warnedMs < warnEveryMs) return
    this.#warnedMs = nowMs
    this.#options.logger.error({ err: error }, 'The metadata store refuses; trying again')
  }

  #isOurs(incarnation: unknown): boolean {
    return incarnation === this.#candidate.incarnation
  }

  #isClosed(): boolean {
    return this.#state === 'closed'
  }
}

function isTooLarge(records: readonly MetadataRecord[]): boolean {
  if (records.length > operationRecordsMax) return true
  let bytes = 0
  for (const record of records) bytes += estimatedBytes(record)
  return bytes > operationBytesMax
}
