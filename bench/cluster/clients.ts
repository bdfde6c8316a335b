import {
  Kafka,
  string,
  topic as topicOf,
  type Consumer,
  type Producer,
} from '../../client/index.ts'

/** To each partition in turn. */
const sendEveryMs = 5

export interface Outage {
  /** The longest time in which a partition got no acknowledgement, or a consumer nothing of it. */
  readonly producedMs: number
  readonly consumedMs: number
  /** Told to the application, or left of what it sent. */
  readonly errors: number
}

/** A producer and a member of a group with all their defaults, and what they notice. */
export class Clients {
  readonly #kafka: Kafka
  readonly #producer: Producer
  readonly #consumer: Consumer
  readonly #produced: Gaps
  readonly #consumed: Gaps
  readonly #reading: Promise<void>
  readonly #timer: NodeJS.Timeout
  readonly #pending = new Set<Promise<void>>()
  #errors = 0

  constructor(brokers: string[], place: { readonly topic: string; readonly partitions: number }) {
    this.#kafka = new Kafka({ brokers })
    this.#producer = this.#kafka.producer()
    this.#consumer = this.#kafka.consumer({ group: `of-${place.topic}`, offsetReset: 'earliest' })
    this.#produced = new Gaps(place.partitions)
    this.#consumed = new Gaps(place.partitions)
    this.#reading = this.#read(place.topic)
    let count = 0
    this.#timer = setInterval(() => {
      const sent = this.#send(place.topic, count++ % place.partitions)
      this.#pending.add(sent)
      void sent.finally(() => this.#pending.delete(sent))
    }, sendEveryMs)
  }

  /** From now on gaps count. */
  watch(): void {
    for (const gaps of [this.#produced, this.#consumed]) gaps.begin()
  }

  /** Every partition has moved since so many milliseconds ago, both ways. */
  flows(withinMs: number): boolean {
    return this.#produced.flows(withinMs) && this.#consumed.flows(withinMs)
  }

  outage(): Outage {
    return {
      producedMs: this.#produced.longestMs(),
      consumedMs: this.#consumed.longestMs(),
      errors: this.#errors,
    }
  }

  /** Sends what is on its way, and tells how many errors there were in the end. */
  async close(): Promise<number> {
    clearInterval(this.#timer)
    await Promise.all(this.#pending)
    await this.#kafka.close()
    await this.#reading
    return this.#errors
  }

  async #send(topic: string, partition: number): Promise<void> {
    try {
      await this.#producer.send(topicOf(topic, { value: string() }), { value: 'bench', partition })
      this.#produced.note(partition)
    } catch (error) {
      this.#failed(error)
    }
  }

  async #read(topic: string): Promise<void> {
    try {
      for await (const { partition } of this.#consumer.batches(topic))
        this.#consumed.note(partition)
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    if (this.#errors++ === 0) console.error(error)
  }
}

/** The longest pause between two events of one partition. */
class Gaps {
  /** By partition. */
  readonly #lastMs: number[]
  #longestMs = 0

  constructor(partitions: number) {
    this.#lastMs = Array.from({ length: partitions }, () => -Infinity)
  }

  begin(): void {
    this.#longestMs = 0
    this.#lastMs.fill(performance.now())
  }

  note(partition: number): void {
    const nowMs = performance.now()
    this.#longestMs = Math.max(this.#longestMs, nowMs - (this.#lastMs[partition] ?? nowMs))
    this.#lastMs[partition] = nowMs
  }

  flows(withinMs: number): boolean {
    return Math.min(...this.#lastMs) > performance.now() - withinMs
  }

  longestMs(): number {
    return Math.max(this.#longestMs, performance.now() - Math.min(...this.#lastMs))
  }
}
