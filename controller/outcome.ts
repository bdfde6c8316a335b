import type { MetadataRecord } from '../protocol/metadata-records/records.ts'
import type { ErrorInfo } from '../protocol/errors.ts'

/** What the controller says to one thing that was asked. */
export type Outcome<T> = ({ readonly ok: true } & T) | Refusal

export interface Refusal {
  readonly ok: false
  readonly error: ErrorInfo
  readonly message: string
}

/** What a request would change, and the answer when it has been changed. */
export interface Plan<T> {
  readonly records: readonly MetadataRecord[]
  readonly answer: T
}

/** Messages repeat what was sent, and a string of an answer ends at 32,767 bytes. */
const messageLengthMax = 1024

export function refuse(error: ErrorInfo, message: string = error.message): Refusal {
  return { ok: false, error, message: message.slice(0, messageLengthMax) }
}
