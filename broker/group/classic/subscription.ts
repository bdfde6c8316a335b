import { Reader } from '../../../protocol/bytes/reader.ts'
import { ProtocolError } from '../../../protocol/bytes/protocol-error.ts'

/** Of Kafka's own consumers: their subscriptions can be read. Others (Connect, Schema Registry) have formats of their own. */
export const consumerProtocolType = 'consumer'

const topicNameLengthMax = 249

/**
 * Topics of a subscription of Kafka's consumers. All versions begin as version 0 does:
 *
 *   version int16 | topics: count int32, each a string (length int16 | UTF-8) | ...
 *
 * Undefined: the bytes are something else.
 */
export function subscribedTopicsOf(metadata: Buffer): Set<string> | undefined {
  const reader = new Reader(metadata)
  try {
    reader.int16()
    const count = reader.arrayLength(2, 32)
    const topics = new Set<string>()
    for (let index = 0; index < count; index++) {
      const topic = reader.string()
      // No topic has such a name; in a set, V8 would compare very long texts in full with each other.
      if (topic.length <= topicNameLengthMax) topics.add(topic)
    }
    return topics
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}

/** Whether the same topics are subscribed to; true when either can't be read. */
export function sameTopics(one: Buffer, other: Buffer): boolean {
  const ones = subscribedTopicsOf(one)
  const others = subscribedTopicsOf(other)
  if (ones === undefined || others === undefined) return true
  return ones.size === others.size && [...ones].every((topic) => others.has(topic))
}
