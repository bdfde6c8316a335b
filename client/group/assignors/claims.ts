import { Reader } from '../../../protocol/bytes/reader.ts'
import { ProtocolError } from '../../../protocol/bytes/protocol-error.ts'
import { Writer } from '../../../protocol/bytes/writer.ts'
import type { TopicPartition } from '../../topic.ts'
import { noGeneration, readPartitions, writePartitions } from '../consumer-protocol.ts'
import type { AssignorMember, PreviousState } from './assignor.ts'

/** A member as the sticky assignors see it: what it may have, and what it says that it had. */
export interface Claim {
  readonly memberId: string
  readonly topics: readonly string[]
  readonly partitions: readonly TopicPartition[]
  /** When two members claim a partition, the one with the higher generation is right. */
  readonly generation: number
}

/**
 * Java's StickyAssignor carries the former assignment in user data, since eager members own nothing when they join:
 * [topic string | partitions [int32]] | generation int32. Version 0 of it ends in front of the generation.
 */
export function stickyData({ assignment, generation }: PreviousState): Buffer | null {
  if (assignment === undefined) return null
  const writer = new Writer()
  writePartitions(writer, assignment)
  writer.int32(generation)
  return writer.finish()
}

export function stickyClaim({ memberId, subscription }: AssignorMember): Claim {
  const { topics, userData } = subscription
  const none = { memberId, topics, partitions: [], generation: noGeneration }
  if (userData === null || userData.length === 0) return none
  return readable(none, () => {
    const reader = new Reader(userData)
    const partitions = readPartitions(reader)
    const generation = reader.remaining >= 4 ? reader.int32() : noGeneration
    return { memberId, topics, partitions, generation }
  })
}

/** Java's CooperativeStickyAssignor: the generation as int32. Only read where the subscription itself has none. */
export function cooperativeData({ generation }: PreviousState): Buffer {
  const writer = new Writer(4)
  writer.int32(generation)
  return writer.finish()
}

export function cooperativeClaim({ memberId, subscription }: AssignorMember): Claim {
  const { topics, userData, ownedPartitions: partitions } = subscription
  const claim = { memberId, topics, partitions, generation: subscription.generation }
  if (claim.generation !== noGeneration || userData === null) return claim
  return readable(claim, () => ({ ...claim, generation: new Reader(userData).int32() }))
}

/** What other clients put there may be anything: then the member has no history. */
function readable(otherwise: Claim, read: () => Claim): Claim {
  try {
    return read()
  } catch (error) {
    if (error instanceof ProtocolError) return otherwise
    throw error
  }
}
