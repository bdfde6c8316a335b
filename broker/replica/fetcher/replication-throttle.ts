import type { Clock } from '../../../base/env.ts'

export interface ThrottleOptions {
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly nodeId: number
  /** leader.replication.throttled.rate or follower.replication.throttled.rate, as of now. */
  readonly bytesPerSecond: () => number
  /** The topic's leader.replication.throttled.replicas or follower.replication.throttled.replicas, as of now. */
  readonly replicasOf: (topic: string) => string
}

/** So much may travel at once after a rest. */
const burstMs = 1000

/**
 * One side of Kafka's throttle of replication (KIP-73): a bucket that every byte of a throttled replica fills and that
 * runs empty at the rate. Whoever is in sync is not held up, so that throttling shrinks no ISR; its bytes count.
 */
export class ReplicationThrottle {
  readonly #options: ThrottleOptions
  #level = 0
  #levelAtMs: number
  /** By topic, what its configuration means. */
  readonly #parsed = new Map<
    string,
    { readonly text: string; readonly replicas: ReadonlySet<string> }
  >()

  constructor(options: ThrottleOptions) {
    this.#options = options
    this.#levelAtMs = options.clock.monotonicMs()
  }

  /** Whether the replica on this broker is throttled at all. */
  covers(topic: string, index: number): boolean {
    const text = this.#options.replicasOf(topic)
    if (text === '') return false
    let parsed = this.#parsed.get(topic)
    if (parsed?.text !== text) {
      parsed = { text, replicas: new Set(text.split(',').map((each) => each.trim())) }
      this.#parsed.set(topic, parsed)
    }
    const { replicas } = parsed
    return replicas.has('*') || replicas.has(`${index}:${this.#options.nodeId}`)
  }

  /** Bytes of a covered replica have travelled. */
  record(bytes: number): void {
    this.#drain()
    this.#level += bytes
  }

  /** How long covered replicas that are not in sync have to wait; 0: not at all. */
  get waitMs(): number {
    this.#drain()
    const rate = this.#options.bytesPerSecond()
    const excessBytes = this.#level - (rate * burstMs) / 1000
    return excessBytes > 0 ? (excessBytes / rate) * 1000 : 0
  }

  #drain(): void {
    const nowMs = this.#options.clock.monotonicMs()
    const drained = ((nowMs - this.#levelAtMs) / 1000) * this.#options.bytesPerSecond()
    this.#level = Math.max(0, this.#level - drained)
    this.#levelAtMs = nowMs
  }
}
