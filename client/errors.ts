import type { NetworkError } from '../base/env.ts'
import { errorByCode, type ErrorInfo } from '../protocol/errors.ts'

/** Failures that no broker reported. Those that a broker did report have Kafka's name for a code. */
export type KafkaErrorCode =
  | 'UNREACHABLE'
  | 'ADVERTISED_UNREACHABLE'
  | 'CONNECTION_LOST'
  | 'REQUEST_TIMEOUT'
  | 'UNSUPPORTED_API'
  | 'PROTOCOL'
  | 'CORRUPT_DATA'
  | 'CLOSED'

interface KafkaErrorOptions {
  /** Whether the same call may succeed later. */
  readonly retriable: boolean
  readonly info?: ErrorInfo
  readonly cause?: unknown
}

/** Every failure that a call of the client can end with, apart from bugs and bad arguments. */
export class KafkaError extends Error {
  override readonly name = 'KafkaError'
  /** Stable, for programs: a `KafkaErrorCode` or the name of a Kafka error. */
  readonly code: string
  readonly retriable: boolean
  /** What the broker answered; undefined when it did not answer. */
  readonly info: ErrorInfo | undefined

  constructor(code: string, message: string, options: KafkaErrorOptions) {
    super(message, { cause: options.cause })
    this.code = code
    this.retriable = options.retriable
    this.info = options.info
  }
}

/** A failure on our side of the wire. */
export function clientError(
  code: KafkaErrorCode,
  message: string,
  options: { retriable: boolean; cause?: unknown },
): KafkaError {
  return new KafkaError(code, message, options)
}

/** `what` names what was refused, as in "Topic orders". */
export function refusal(
  what: string,
  code: number,
  brokerMessage?: string | null,
  options?: { readonly retriable: boolean },
): KafkaError {
  const info = errorByCode(code)
  const why =
    brokerMessage === null || brokerMessage === undefined || brokerMessage === ''
      ? info.message
      : brokerMessage
  return new KafkaError(info.name, `${what}: ${why}`, {
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
    cause,
  })
}
