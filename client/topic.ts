import type { Serde } from './serde.ts'

export type HeaderSerdes = Readonly<Record<string, Serde<unknown>>>

/** The name of a topic and how its keys, values and headers travel: made once, used by producers and consumers. */
export interface Topic<Key = Buffer, Value = Buffer, Headers = Record<string, Buffer>> {
  readonly name: string
  readonly key: Serde<Key>
  readonly value: Serde<Value>
  /** Only the headers that have a type; others travel as bytes. */
  readonly headers: HeaderSerdes
  /** Never set: carries the type of all headers of one record. */
  readonly headerType?: Headers
  /** For `seek` and `assign`. */
  partition(index: number): TopicPartition
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}
