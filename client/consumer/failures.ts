/** The failures that a consumer adds to those of the client. */
import { KafkaError, refusal } from '../errors.ts'
import type { TopicPartition } from '../topic.ts'

interface RecordPlace extends TopicPartition {
  readonly offset: number
}

export function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`
}

/** For errors, without what else the place knows. */
function partitionOf({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition }
}

/** What was stored or sent does not parse, or its checksum is wrong. */
export function corrupt(place: RecordPlace, what: string, cause?: unknown): KafkaError {
  const { offset } = place
  const message = `Damaged data in ${nameOf(place)} at offset ${offset}: ${what}. Seek beyond it to go on`
  return new KafkaError('CORRUPT_DATA', message, { retriable: false, ...partitionOf(place), cause })
}

/** The records may be fine: fetching them again does not help, and nobody should skip them. */
export function codecMissing(place: TopicPartition, cause: Error): KafkaError {
  const message = `Records of ${nameOf(place)} can't be decompressed. ${cause.message}`
  const options = { retriable: false, kind: 'config', ...partitionOf(place), cause } as const
  return new KafkaError('UNSUPPORTED_COMPRESSION_TYPE', message, options)
}

/** A key, value or header is not what the topic's serde reads. */
export function serdeFailure(
  place: RecordPlace,
  what: string,
  serde: string,
  cause: unknown,
): KafkaError {
  const why = cause instanceof Error ? cause.message : String(cause)
  const message = `The ${what} of ${nameOf(place)} at offset ${place.offset} is not ${serde}: ${why}`
  return new KafkaError('SERDE', message, { retriable: false, ...partitionOf(place), cause })
}

/** A commit for a partition that this consumer does not have, or no longer. */
export function notAssigned(place: TopicPartition): KafkaError {
  const message = `${nameOf(place)} is not assigned to this consumer any more: its records will be delivered to another member`
  return new KafkaError('NOT_ASSIGNED', message, { retriable: false, ...partitionOf(place) })
}

export function noGroup(): KafkaError {
  const message = 'The consumer has no group, so there is nowhere to commit offsets: set `group`'
  return new KafkaError('NO_GROUP', message, { retriable: false })
}

export function consumerClosed(): KafkaError {
  return new KafkaError('CLOSED', 'The consumer was closed', { retriable: false })
}

/** Nothing says where to start. */
export function noPosition(place: TopicPartition): KafkaError {
  const message = `There is no committed offset for ${nameOf(place)}, and \`offsetReset\` is "none"`
  return new KafkaError('NO_OFFSET', message, { retriable: false, ...partitionOf(place) })
}

export function outOfRange(place: RecordPlace): KafkaError {
  const what = `Offset ${place.offset} of ${nameOf(place)}, with \`offsetReset\` "none"`
  return refusal(what, offsetOutOfRangeCode, null, partitionOf(place))
}

const offsetOutOfRangeCode = 1

/** Offsets of the one topic mean nothing in the other. */
export function madeAnew(place: RecordPlace): KafkaError {
  const what = `Offset ${place.offset} of ${nameOf(place)}`
  const why = 'the topic that it belongs to was deleted, and made anew under the same name'
  return refusal(what, unknownTopicIdCode, why, { retriable: false, ...partitionOf(place) })
}

const unknownTopicIdCode = 100

export function truncated(place: RecordPlace, endOffset: number): KafkaError {
  const message = `The log of ${nameOf(place)} was truncated at offset ${endOffset} after this consumer had read up to ${place.offset}, and \`offsetReset\` is "none"`
  return new KafkaError('LOG_TRUNCATION', message, { retriable: false, ...partitionOf(place) })
}
