import type { Serde } from '../serde.ts'
import { checkTopicName, type PlainHeaders } from '../topic.ts'
import type { Subscription } from './membership.ts'
import type { AnyTopic, ConsumerRecord, RecordOf, RecordSerdes } from './record.ts'

/** All topics whose whole name matches, in RE2 syntax. */
export interface TopicPattern<Key = Buffer, Value = Buffer> {
  readonly pattern: string
  readonly key?: Serde<Key>
  readonly value?: Serde<Value>
}

/** What can be read: a typed topic, the name of one whose records are bytes, or a pattern, which stands alone. */
export type Subscribable = AnyTopic | string | TopicPattern<unknown, unknown>

export type SubscribedRecord<T> =
  T extends TopicPattern<infer Key, infer Value>
    ? ConsumerRecord<Key, Value, PlainHeaders>
    : RecordOf<T>

/** What to read and how. Throws `TypeError` and `RangeError` when that makes no sense. */
export class Topics {
  readonly subscription: Subscription
  readonly #serdes = new Map<string, RecordSerdes>()
  readonly #others: RecordSerdes

  constructor(topics: readonly Subscribable[]) {
    if (topics.length === 0) throw new TypeError('At least one topic is needed')
    let pattern: TopicPattern<unknown, unknown> | undefined
    for (const topic of topics) {
      if (typeof topic === 'string') {
        checkTopicName(topic)
        this.#serdes.set(topic, {})
      } else if ('pattern' in topic) pattern = topic
      else this.#serdes.set(topic.name, topic)
    }
    if (pattern !== undefined && topics.length > 1)
      throw new TypeError('A pattern stands alone: no other topics beside it')
    this.#others = pattern ?? {}
    this.subscription =
      pattern === undefined
        ? { kind: 'topics', topics: [...this.#serdes.keys()] }
        : { kind: 'pattern', pattern: pattern.pattern }
  }

  serdesOf(topic: string): RecordSerdes {
    return this.#serdes.get(topic) ?? this.#others
  }

  /** Whether a topic that the group assigned is among them; a pattern is the broker's to match. */
  has(topic: string): boolean {
    return this.subscription.kind === 'pattern' || this.#serdes.has(topic)
  }

  /** Whether the group would be asked for the same. */
  sameAs(other: Subscription | undefined): boolean {
    return other !== undefined && textOf(other) === textOf(this.subscription)
  }
}

function textOf(subscription: Subscription): string {
  return subscription.kind === 'pattern'
    ? `/${subscription.pattern}`
    : [...subscription.topics].sort().join()
}
