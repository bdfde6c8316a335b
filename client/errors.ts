import type { NetworkError } from '../base/env.ts'
import { errorByCode, type ErrorInfo } from '../protocol/errors.ts'

/** Failures that no broker reported. Those that a broker did report have Kafka's name for a code. */
export type KafkaErrorCode =
  | 'UNREACHABLE'
  | 'ADVERTISED_UNREACHABLE'
  | 'CONNECTION_LOST'
  | 'REQUEST_TIMEOUT'
  | 'DELIVERY_TIMEOUT'
  | 'BUFFER_TIMEOUT'
  | 'UNSUPPORTED_API'
  | 'PROTOCOL'
  | 'CORRUPT_DATA'
  | 'LOG_TRUNCATION'
  | 'SERDE'
  | 'NO_GROUP'
  | 'NO_OFFSET'
  | 'NOT_ASSIGNED'
  | 'UNKNOWN_PARTITION'
  | 'RECORD_TOO_LARGE'
  | 'PARTIAL_FAILURE'
  | 'ABORTED'
  | 'CLOSED'

/** What a program does about it: look at the network, renew credentials, fix data, start anew, ... */
export type KafkaErrorKind =
  | 'network'
  | 'auth'
  | 'timeout'
  | 'protocol'
  /** A key, a value or a header does not fit its topic's serde. */
  | 'serde'
  /** Somebody else has taken this one's place: go no further under the same identity. */
  | 'fenced'
  /** By the caller's own AbortSignal. */
  | 'aborted'
  | 'config'
  /** Whatever else a broker refuses. */
  | 'broker'
  | 'closed'

/** Where it happened, as far as that is known. */
export interface ErrorPlace {
  /** "host:port". */
  readonly broker?: string | undefined
  readonly topic?: string | undefined
  readonly partition?: number | undefined
  /** How often it was tried. */
  readonly attempts?: number | undefined
}

export interface KafkaErrorOptions extends ErrorPlace {
  /** Whether the same call may succeed later. */
  readonly retriable: boolean
  /** Undefined: follows from the code. */
  readonly kind?: KafkaErrorKind | undefined
  readonly info?: ErrorInfo | undefined
  readonly cause?: unknown
}

const kinds: Readonly<Record<string, KafkaErrorKind>> = {
  UNREACHABLE: 'network',
  ADVERTISED_UNREACHABLE: 'network',
  CONNECTION_LOST: 'network',
  NETWORK_EXCEPTION: 'network',
  REQUEST_TIMEOUT: 'timeout',
  REQUEST_TIMED_OUT: 'timeout',
  DELIVERY_TIMEOUT: 'timeout',
  BUFFER_TIMEOUT: 'timeout',
  UNSUPPORTED_API: 'protocol',
  UNSUPPORTED_VERSION: 'protocol',
  PROTOCOL: 'protocol',
  CORRUPT_DATA: 'protocol',
  CORRUPT_MESSAGE: 'protocol',
  SERDE: 'serde',
  UNKNOWN_PARTITION: 'config',
  RECORD_TOO_LARGE: 'config',
  MESSAGE_TOO_LARGE: 'config',
  INVALID_TOPIC_EXCEPTION: 'config',
  INVALID_CONFIG: 'config',
  INVALID_GROUP_ID: 'config',
  NO_GROUP: 'config',
  NO_OFFSET: 'config',
  ABORTED: 'aborted',
  CLOSED: 'closed',
  TOPIC_AUTHORIZATION_FAILED: 'auth',
  GROUP_AUTHORIZATION_FAILED: 'auth',
  CLUSTER_AUTHORIZATION_FAILED: 'auth',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'auth',
  SASL_AUTHENTICATION_FAILED: 'auth',
  UNSUPPORTED_SASL_MECHANISM: 'auth',
  ILLEGAL_SASL_STATE: 'auth',
  INVALID_PRODUCER_EPOCH: 'fenced',
  PRODUCER_FENCED: 'fenced',
  FENCED_INSTANCE_ID: 'fenced',
  NOT_ASSIGNED: 'fenced',
  FENCED_MEMBER_EPOCH: 'fenced',
  STALE_MEMBER_EPOCH: 'fenced',
}

/** Every failure that a call of the client can end with, apart from bugs and bad arguments. */
export class KafkaError extends Error {
  override readonly name: string = 'KafkaError'
  /** Stable, for programs: a `KafkaErrorCode` or the name of a Kafka error. */
  readonly code: string
  readonly kind: KafkaErrorKind
  readonly retriable: boolean
  readonly broker: string | undefined
  readonly topic: string | undefined
  readonly partition: number | undefined
  readonly attempts: number | undefined
  /** What the broker answered; undefined when it did not answer. */
  readonly info: ErrorInfo | undefined

  constructor(code: string, message: string, options: KafkaErrorOptions) {
    super(message, { cause: options.cause })
    this.code = code
    this.kind = options.kind ?? kinds[code] ?? 'broker'
    this.retriable = options.retriable
    this.broker = options.broker
    this.topic = options.topic
    this.partition = options.partition
    this.attempts = options.attempts
    this.info = options.info
  }
}

/** A failure on our side of the wire. */
export function clientError(
  code: KafkaErrorCode,
  message: string,
  options: Omit<KafkaErrorOptions, 'info'>,
): KafkaError {
  return new KafkaError(code, message, options)
}

/** `what` names what was refused, as in "Topic orders". */
export function refusal(
  what: string,
  code: number,
  brokerMessage?: string | null,
  options?: ErrorPlace & { readonly retriable?: boolean },
): KafkaError {
  const info = errorByCode(code)
  const why =
    brokerMessage === null || brokerMessage === undefined || brokerMessage === ''
      ? info.message
      : brokerMessage
  return new KafkaError(info.name, `${what}: ${why}`, {
    ...options,
    retriable: options?.retriable ?? info.retriable,
    info,
  })
}

export function throwIfRefused(what: string, code: number, brokerMessage?: string | null): void {
  if (code !== 0) throw refusal(what, code, brokerMessage)
}

export function unreachable(place: string, cause: NetworkError): KafkaError {
  return clientError('UNREACHABLE', `${place} can't be reached: ${cause.message}`, {
    retriable: true,
    broker: place,
    cause,
  })
}

/** The caller's signal said so. */
export function aborted(what: string, signal: AbortSignal): KafkaError {
  return clientError('ABORTED', `${what} was aborted`, { retriable: false, cause: signal.reason })
}

/** Throws when the signal has fired already. */
export function throwIfAborted(what: string, signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw aborted(what, signal)
}

/** The promise, or a rejection as soon as the signal fires. What the promise stands for goes on. */
export function orAborted<T>(
  what: string,
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) return promise
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(aborted(what, signal))
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
    const settled = (): void => signal.removeEventListener('abort', abort)
    promise.then(resolve, reject).finally(settled).catch(settled)
  })
}
