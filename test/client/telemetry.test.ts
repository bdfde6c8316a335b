import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import t from 'tap'
import { startBroker } from '../../broker/testing.ts'
import { Kafka, openTelemetry, string, topic, type OpenTelemetryApi } from '../../client/index.ts'

interface Context {
  readonly trace: string
}

interface Ended {
  readonly name: string
  readonly kind: number
  readonly attributes: object
  readonly trace: string
  readonly error: string | undefined
}

/** As much of OpenTelemetry as shows whether a context travels. */
class FakeTracing {
  readonly ended: Ended[] = []
  readonly #active = new AsyncLocalStorage<Context>()
  readonly api: OpenTelemetryApi<Context> = {
    trace: {
      getTracer: () => ({
        startSpan: (name, { kind, attributes }, parent) => {
          const { trace } = parent ?? this.active
          let error: string | undefined
          return {
            trace,
            recordException: ({ message }) => (error = message),
            setStatus: () => undefined,
            end: () => this.ended.push({ name, kind, attributes, trace, error }),
          }
        },
      }),
      setSpan: (_context, span) => ({ trace: (span as Context).trace }),
    },
    context: { active: () => this.active, with: (context, call) => this.run(context, call) },
    propagation: {
      inject: ({ trace }, carrier) => void Object.assign(carrier, { traceparent: trace }),
      extract: (context, carrier) => {
        const { traceparent } = carrier as { traceparent?: string }
        return traceparent === undefined ? context : { trace: traceparent }
      },
    },
  }

  get active(): Context {
    return this.#active.getStore() ?? { trace: 'none' }
  }

  run<T>(context: Context, call: () => T): T {
    return this.#active.run(context, call)
  }
}

const words = topic('words', { key: string(), value: string() })

t.test('telemetry: a handler runs in the context that the record was sent in', async (t) => {
  await using server = await startBroker({ topics: { words: 1 } })
  const tracing = new FakeTracing()
  await using kafka = new Kafka({
    brokers: server.brokers,
    telemetry: openTelemetry(tracing.api),
  })
  const producer = kafka.producer()
  await tracing.run({ trace: 'first' }, () => producer.send(words, { value: 'a' }))
  await tracing.run({ trace: 'second' }, () => producer.sendBatch(words, [{ value: 'b' }]))
  const seen: [string | null, string][] = []
  const consumer = kafka.consumer({ group: 'readers', offsetReset: 'earliest' })
  const running = consumer.run(
    words,
    async ({ value }, { attempt }) => {
      await Promise.resolve()
      seen.push([value, tracing.active.trace])
      if (value === 'b' && attempt === 1) throw new Error('once')
      if (value === 'b') void consumer.close()
    },
    { retry: { attempts: 2, initialMs: 1 } },
  )
  await running
  t.same(seen, [
    ['a', 'first'],
    ['b', 'second'],
    ['b', 'second'],
  ])
  const spans = tracing.ended.map(({ name, kind, trace, error }) => [name, kind, trace, error])
  t.same(spans, [
    ['send words', 3, 'first', undefined],
    ['send words', 3, 'second', undefined],
    ['process words', 4, 'first', undefined],
    ['process words', 4, 'second', 'once'],
    ['process words', 4, 'second', undefined],
  ])
  t.match(tracing.ended[2]?.attributes, {
    'messaging.system': 'kafka',
    'messaging.destination.name': 'words',
    'messaging.consumer.group.name': 'readers',
    'messaging.kafka.offset': 0,
  })
})

t.test('telemetry: a handler that gives what it sends is over when that is', async (t) => {
  await using server = await startBroker({ topics: { words: 1 } })
  const tracing = new FakeTracing()
  await using kafka = new Kafka({ brokers: server.brokers, telemetry: openTelemetry(tracing.api) })
  const producer = kafka.producer()
  await producer.send(words, { value: 'a' })
  const consumer = kafka.consumer({ group: 'readers', offsetReset: 'earliest' })
  const handle = (): unknown => {
    setImmediate(() => void consumer.close())
    return producer.send(words, { value: 'b', partition: 7 })
  }
  await consumer.run(words, handle, { retry: { attempts: 1 } }).catch(() => undefined)
  const [processed] = tracing.ended.filter(({ name }) => name === 'process words')
  t.match(processed?.error, /has no partition 7/)
})

t.test('diagnostics channels: batches, fetches and what happens to a consumer', async (t) => {
  await using server = await startBroker({ topics: { words: 1 } })
  await using kafka = new Kafka({ brokers: server.brokers })
  const names = ['millrace:producer:batch', 'millrace:consumer:fetch', 'millrace:consumer:status']
  const heard = new Map<string, unknown[]>(names.map((name) => [name, []]))
  const listeners = names.map((name) => {
    const listener = (message: unknown): void => void heard.get(name)?.push(message)
    subscribe(name, listener)
    return () => unsubscribe(name, listener)
  })
  await kafka.producer().send(words, { value: 'a' })
  const consumer = kafka.consumer({ group: 'readers', offsetReset: 'earliest' })
  for await (const { value } of consumer.subscribe(words)) {
    t.equal(value, 'a')
    break
  }
  for (const stop of listeners) stop()
  const [batches, fetches, events] = names.map((name) => heard.get(name) ?? [])
  t.match(batches?.[0], { topic: 'words', partition: 0, recordCount: 1 })
  t.ok(fetches?.some((fetch) => (fetch as { bytes: number }).bytes > 0))
  t.ok(events?.some((event) => (event as { type: string }).type === 'assigned'))
})
