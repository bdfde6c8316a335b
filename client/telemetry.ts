import type { AnyRecord } from './consumer/record.ts'
import { isThenable } from './thenable.ts'

/** Follows records from the code that sends them to the code that handles them. Without one nothing is paid for it. */
export interface Telemetry {
  /** Headers for a record that is being sent. */
  sending(topic: string): readonly (readonly [name: string, value: string])[]
  /** Calls a handler of `run`, in the context that the record brought. What it returns or throws goes through. */
  handling<T>(record: AnyRecord, call: () => T, group: string | undefined): T
}

/** What is needed of `@opentelemetry/api`, which the application has: pass the module. */
export interface OpenTelemetryApi<Context = unknown> {
  readonly trace: {
    getTracer(name: string, version?: string): OpenTelemetryTracer<Context>
    setSpan(context: Context, span: never): Context
  }
  readonly context: {
    active(): Context
    with<T>(context: Context, call: () => T): T
  }
  readonly propagation: {
    inject(context: Context, carrier: object): void
    extract(context: Context, carrier: object): Context
  }
}

interface OpenTelemetryTracer<Context> {
  startSpan(name: string, options: SpanOptions, context?: Context): OpenTelemetrySpan
}

interface SpanOptions {
  readonly kind: number
  readonly attributes: Readonly<Record<string, string | number>>
}

interface OpenTelemetrySpan {
  recordException(error: Error): void
  setStatus(status: { code: number; message?: string }): unknown
  end(): void
}

/** SpanKind and SpanStatusCode of OpenTelemetry. */
const producerKind = 3
const consumerKind = 4
const errorStatus = 2

/**
 * Spans by OpenTelemetry's conventions for messaging, and the context in the records' headers (`traceparent` and what
 * else the application's propagator writes): `new Kafka({ telemetry: openTelemetry(await import('@opentelemetry/api')) })`.
 */
export function openTelemetry<Context>(api: OpenTelemetryApi<Context>): Telemetry {
  const tracer = api.trace.getTracer('millrace')
  return {
    sending(topic) {
      const span = tracer.startSpan(`send ${topic}`, {
        kind: producerKind,
        attributes: attributesOf(topic, 'send'),
      })
      const carrier: Record<string, string> = {}
      api.propagation.inject(api.trace.setSpan(api.context.active(), span as never), carrier)
      // It ends here: many records share the batch that is sent later.
      span.end()
      return Object.entries(carrier)
    },
    handling(record, call, group) {
      const carrier: Record<string, string> = {}
      for (const { key, value } of record.rawHeaders) {
        if (value !== null) carrier[key] = value.toString()
      }
      const parent = api.propagation.extract(api.context.active(), carrier)
      const attributes = {
        ...attributesOf(record.topic, 'process'),
        'messaging.destination.partition.id': String(record.partition),
        'messaging.kafka.offset': record.offset,
        ...(group === undefined ? {} : { 'messaging.consumer.group.name': group }),
      }
      const name = `process ${record.topic}`
      const span = tracer.startSpan(name, { kind: consumerKind, attributes }, parent)
      return ending(span, () => api.context.with(api.trace.setSpan(parent, span as never), call))
    },
  }
}

function attributesOf(topic: string, operation: string): Record<string, string> {
  return {
    'messaging.system': 'kafka',
    'messaging.destination.name': topic,
    'messaging.operation.type': operation,
  }
}

/** Ends the span when what was called is over, later perhaps. */
function ending<T>(span: OpenTelemetrySpan, call: () => T): T {
  let result: T
  try {
    result = call()
  } catch (error) {
    failed(span, error)
    throw error
  }
  if (!isThenable(result)) {
    span.end()
    return result
  }
  // Once: a thenable that is none of ours may do its work at each call of `then`.
  const settled: unknown = Promise.resolve(result).then(
    (value: unknown) => {
      span.end()
      return value
    },
    (error: unknown) => {
      failed(span, error)
      throw error
    },
  )
  return settled as T
}

function failed(span: OpenTelemetrySpan, thrown: unknown): void {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown))
  span.recordException(error)
  span.setStatus({ code: errorStatus, message: error.message })
  span.end()
}
