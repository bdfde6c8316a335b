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
}

export interface Candidate {
  readonly store: MetadataStore
  readonly keys: MetadataKeys
  readonly nodeId: number
  /** New with each start of the process. */
  readonly incarnation: Uuid
}

const attemptsMax = 20

/**
 * Takes the reign by raising the epoch in a compare-and-swap, which fences the controller before.
 * This is the form for one node: whoever starts last reigns, and nobody waits for a silence.
 */
export async function elect(candidate: Candidate): Promise<Reign> {
  const { store, keys } = candidate
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const before = await store.get(keys.epoch)
    const leader = await store.get(keys.leader)
    const epoch = before === undefined ? 1 : epochIn(before.value) + 1
    const { nodeId, incarnation } = candidate
    try {
      const result = await store.transact(
        [
          { key: keys.epoch, revision: before?.revision ?? revisionOfNothing },
          { key: keys.leader, revision: leader?.revision ?? revisionOfNothing },
        ],
        [
          { kind: 'put', key: keys.epoch, value: packValue([epoch, nodeId, incarnation]) },
          {
            kind: 'put',
            key: keys.leader,
            value: leaderValue({ ...candidate, epoch, offset: -1 }),
          },
        ],
      )
      if (result.ok) return { epoch, nodeId, incarnation, fence: result.revision }
    } catch (error) {
      if (!(error instanceof AmbiguousError)) throw error
      const fence = await wonAfterAll(candidate, epoch)
      if (fence !== undefined) return { epoch, nodeId, incarnation, fence }
    }
  }
  throw new Error(
    `Another controller changed the epoch ${attemptsMax} times: is a second broker using this store`,
  )
}

export interface LeaderFields {
  readonly nodeId: number
  readonly incarnation: Uuid
  readonly epoch: number
  /** Of the last batch; -1: none yet in this reign. */
  readonly offset: number
}

export function leaderValue({ nodeId, incarnation, epoch, offset }: LeaderFields): Buffer {
  return packValue([nodeId, incarnation, epoch, offset, [], false])
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

function fieldsIn(value: Uint8Array): readonly unknown[] {
  const fields = unpackValue(value)
  if (Array.isArray(fields)) return fields
  throw new MetadataFormatError('The controller epoch in the metadata store is damaged')
}
