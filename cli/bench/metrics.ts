import { subscribe, unsubscribe } from 'node:diagnostics_channel'

/** Of what one of the client's channels tells, by the names of Kafka's metrics. */
interface BatchMessage {
  readonly recordCount: number
  readonly attempts: number
  readonly durationMs: number
}

interface FetchMessage {
  readonly bytes: number
  readonly durationMs: number
}

export type Metrics = ReadonlyMap<string, number>

class Average {
  #sum = 0
  count = 0
  most = 0

  add(value: number): void {
    this.#sum += value
    this.count += 1
    this.most = Math.max(this.most, value)
  }

  get value(): number {
    return this.#sum / this.count
  }
}

/** Listens to the producer's batches. */
export class ProducerMetrics implements Disposable {
  readonly #records = new Average()
  readonly #durations = new Average()
  #retries = 0
  readonly #listen = (message: unknown): void => {
    const { recordCount, attempts, durationMs } = message as BatchMessage
    this.#records.add(recordCount)
    this.#durations.add(durationMs)
    if (attempts > 1) this.#retries += recordCount * (attempts - 1)
  }

  constructor() {
    subscribe('millrace:producer:batch', this.#listen)
  }

  read(sent: { records: number; failed: number; batchBytes: number }): Metrics {
    const { records, failed, batchBytes } = sent
    return new Map([
      ['producer-metrics:batch-count-total', this.#records.count],
      ['producer-metrics:batch-duration-ms-avg', this.#durations.value],
      ['producer-metrics:batch-duration-ms-max', this.#durations.most],
      ['producer-metrics:batch-size-avg', batchBytes / this.#records.count],
      ['producer-metrics:record-error-total', failed],
      ['producer-metrics:record-retry-total', this.#retries],
      ['producer-metrics:record-send-total', records],
      ['producer-metrics:records-per-batch-avg', this.#records.value],
      ...processMetrics(),
    ])
  }

  [Symbol.dispose](): void {
    unsubscribe('millrace:producer:batch', this.#listen)
  }
}

/** Listens to the consumer's fetches. */
export class ConsumerMetrics implements Disposable {
  readonly #bytes = new Average()
  readonly #durations = new Average()
  readonly #listen = (message: unknown): void => {
    const { bytes, durationMs } = message as FetchMessage
    this.#bytes.add(bytes)
    this.#durations.add(durationMs)
  }

  constructor() {
    subscribe('millrace:consumer:fetch', this.#listen)
  }

  read(consumed: { records: number; bytes: number }): Metrics {
    const group = 'consumer-fetch-manager-metrics'
    return new Map([
      [`${group}:bytes-consumed-total`, consumed.bytes],
      [`${group}:fetch-latency-avg`, this.#durations.value],
      [`${group}:fetch-latency-max`, this.#durations.most],
      [`${group}:fetch-size-avg`, this.#bytes.value],
      [`${group}:fetch-size-max`, this.#bytes.most],
      [`${group}:fetch-total`, this.#bytes.count],
      [`${group}:records-consumed-total`, consumed.records],
      ...processMetrics(),
    ])
  }

  [Symbol.dispose](): void {
    unsubscribe('millrace:consumer:fetch', this.#listen)
  }
}

/** What this process has taken since it started. */
function processMetrics(): [name: string, value: number][] {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
  return [
    ['process:cpu-seconds', (userCPUTime + systemCPUTime) / 1e6],
    ['process:rss-max-bytes', maxRSS * 1024],
  ]
}

/** Kafka's table, with the client's id behind each name. */
export function metricsText(metrics: Metrics, clientId: string): string {
  const tagged = [...metrics].map(([name, value]) => {
    return [`${name}:{client-id=${clientId}}`, value.toFixed(3)] as const
  })
  const width = Math.max(...tagged.map(([name]) => name.length))
  const lines = tagged.map(([name, value]) => `${name.padEnd(width)} : ${value}`)
  return `\n${'Metric Name'.padEnd(width)}   Value\n${lines.join('\n')}\n`
}
