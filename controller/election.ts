import type { Uuid } from '../base/uuid.ts'
import { packValue, unpackValue, MetadataFormatError } from '../protocol/metadata-records/codec.ts'
import type { MetadataKeys } from './keys.ts'
import {
  AmbiguousError,
  revisionOfNothing,
  type MetadataStore,
  type Revision,
} from './store/metadata-store.ts'

/** The right to write. It ends when somebody else changes the epoch: every later transaction compares `fence` and fails. */
export interface Reign {
  readonly epoch: number
  readonly nodeId: number
  readonly incarnation: Uuid
  readonly fence: Revision
  /** As of `Candidate`. */
  readonly endpoints: readonly string[]
}

export interface Candidate {
  readonly store: MetadataStore
  readonly keys: MetadataKeys
  readonly nodeId: number
  /** New with each start of the process. */
  readonly incarnation: Uuid
  /** Where brokers reach this controller, HOST:PORT: others tell them. */
  readonly endpoints: readonly string[]
}

/** Who holds the seat of the controller, as of one moment. */
export interface Seat {
  readonly epoch: number
  readonly epochRevision: Revision
  readonly leaderRevision: Revision
  /** Undefined: nobody ever held it. */
  readonly leader: LeaderFields | undefined
}

export interface LeaderFields {
  readonly nodeId: number
  readonly incarnation: Uuid
  readonly epoch: number
  /** Of the last batch; -1: none yet in this reign. */
  readonly offset: number
  readonly endpoints: readonly string[]
  /** It has left the seat: nobody need wait for its silence. */
  readonly resigned: boolean
}

const attemptsMax = 20

/**
 * Takes the seat without waiting for a silence, whoever holds it: for a store that one process at a time can open,
 * and for one node, where whoever started last is the one to be there.
 */
export async function elect(candidate: Candidate): Promise<Reign> {
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const reign = await takeSeat(candidate, await readSeat(candidate))
    if (reign !== undefined) return reign
  }
  throw new Error(
    `Another controller changed the epoch ${attemptsMax} times: is a second broker using this store`,
  )
}

export async function readSeat(candidate: Pick<Candidate, 'store' | 'keys'>): Promise<Seat> {
  const { store, keys } = candidate
  const epoch = await store.get(keys.epoch)
  const leader = await store.get(keys.leader)
  return {
    epoch: epoch === undefined ? 0 : epochIn(epoch.value),
    epochRevision: epoch?.revision ?? revisionOfNothing,
    leaderRevision: leader?.revision ?? revisionOfNothing,
    leader: leader === undefined ? undefined : leaderIn(leader.value),
  }
}

/**
 * Raises the epoch in a compare-and-swap, which fences the controller before.
 * Undefined when the seat has changed since it was read: a leader that commits meanwhile keeps it.
 */
export async function takeSeat(candidate: Candidate, seat: Seat): Promise<Reign | undefined> {
  const { store, keys, nodeId, incarnation, endpoints } = candidate
  const epoch = seat.epoch + 1
  const leader = { nodeId, incarnation, epoch, offset: -1, endpoints, resigned: false }
  try {
    const result = await store.transact(
      [
        { key: keys.epoch, revision: seat.epochRevision },
        { key: keys.leader, revision: seat.leaderRevision },
      ],
      [
        { kind: 'put', key: keys.epoch, value: packValue([epoch, nodeId, incarnation]) },
        { kind: 'put', key: keys.leader, value: leaderValue(leader) },
      ],
    )
    if (!result.ok) return undefined
    return { epoch, nodeId, incarnation, fence: result.revision, endpoints }
  } catch (error) {
    if (!(error instanceof AmbiguousError)) throw error
    const fence = await wonAfterAll(candidate, epoch)
    return fence === undefined ? undefined : { epoch, nodeId, incarnation, fence, endpoints }
  }
}

/** For one who took the seat and will not reign: nobody has to wait for a silence. False: somebody else holds it. */
export async function leaveSeat(candidate: Candidate, reign: Reign): Promise<boolean> {
  const { store, keys, nodeId, incarnation, endpoints } = candidate
  const { epoch, fence } = reign
  const leader = { nodeId, incarnation, epoch, offset: -1, endpoints, resigned: true }
  const result = await store.transact(
    [{ key: keys.epoch, revision: fence }],
    [{ kind: 'put', key: keys.leader, value: leaderValue(leader) }],
  )
  return result.ok
}

export function leaderValue(leader: LeaderFields): Buffer {
  const { nodeId, incarnation, epoch, offset, endpoints, resigned } = leader
  return packValue([nodeId, incarnation, epoch, offset, endpoints, resigned])
}

/** Between two reads that are further apart nobody can say what was silent. */
const blindMs = 1500
/** After such a gap the seat must be silent for so long at least. */
const afterBlindMs = 1000

/**
 * Says when the holder of the seat has been silent for long enough to take it. Time counts only while it was observed:
 * a candidate that was stopped, or cut off itself, has learnt nothing about the other one.
 * This is politeness, not safety: the compare-and-swap of `takeSeat` decides.
 */
export class SilenceObserver {
  readonly #silenceMs: number
  #revision: Revision | undefined
  #lastReadMs = 0
  #silentMs = 0

  constructor(silenceMs: number) {
    this.#silenceMs = silenceMs
  }

  /** Call after each successful read, with the monotonic time. Whether the seat may be taken now. */
  observe(seat: Seat, options: { readonly nowMs: number; readonly self: Uuid }): boolean {
    const { nowMs, self } = options
    const { leader, leaderRevision } = seat
    const sinceMs = nowMs - this.#lastReadMs
    this.#lastReadMs = nowMs
    if (leaderRevision !== this.#revision) {
      this.#revision = leaderRevision
      this.#silentMs = 0
    } else if (sinceMs > blindMs) {
      this.#silentMs = Math.min(this.#silentMs, this.#silenceMs - afterBlindMs)
    } else {
      this.#silentMs += sinceMs
    }
    if (leader === undefined || leader.resigned || leader.incarnation === self) return true
    return this.#silentMs >= this.#silenceMs
  }
}

/** After a lost answer: the epoch is ours if the store says that we wrote it. */
async function wonAfterAll(candidate: Candidate, epoch: number): Promise<Revision | undefined> {
  const stored = await candidate.store.get(candidate.keys.epoch)
  if (stored === undefined) return undefined
  const [storedEpoch, , incarnation] = fieldsIn(stored.value)
  const ours = storedEpoch === epoch && incarnation === candidate.incarnation
  return ours ? stored.revision : undefined
}

function epochIn(value: Uint8Array): number {
  const [epoch] = fieldsIn(value)
  if (typeof epoch === 'number' && Number.isSafeInteger(epoch)) return epoch
  throw new MetadataFormatError('The controller epoch in the metadata store is not a number')
}

function leaderIn(value: Uint8Array): LeaderFields {
  const [nodeId, incarnation, epoch, offset, endpoints, resigned] = fieldsIn(value)
  if (
    typeof nodeId === 'number' &&
    typeof incarnation === 'string' &&
    typeof epoch === 'number' &&
    typeof offset === 'number' &&
    Array.isArray(endpoints) &&
    typeof resigned === 'boolean'
  ) {
    return { nodeId, incarnation, epoch, offset, endpoints: endpoints.map(String), resigned }
  }
  throw new MetadataFormatError('The controller in the metadata store is damaged')
}

function fieldsIn(value: Uint8Array): readonly unknown[] {
  const fields = unpackValue(value)
  if (Array.isArray(fields)) return fields
  throw new MetadataFormatError('The controller epoch in the metadata store is damaged')
}
