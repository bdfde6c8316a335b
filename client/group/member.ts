import type { MembershipEvent, Subscription } from '../consumer/membership.ts'
import type { Coordinator } from './coordinator.ts'
import type { MembershipSettings } from './options.ts'
import type { Ownership } from './ownership.ts'

/** By what the coordinator knows a member at one moment. */
export interface Identity {
  readonly memberId: string
  /** Generation, or member epoch under KIP-848. */
  readonly generation: number
}

/** One protocol's way of being a member. */
export interface Member {
  /** "" until it is known. */
  readonly memberId: string
  /** Undefined while the coordinator would not accept a commit. */
  readonly identity: Identity | undefined
  /** What it owned belongs to others already. */
  readonly isOut: boolean
  /** Joins and stays, until `stop`. Rejects when that can't succeed any more. */
  run(): Promise<void>
  subscriptionChanged(): void
  polled(): void
  /** Lets `run` end. The member stays in the group, so that offsets can be committed, until `leave`. */
  stop(): void
  /** After `stop`. Best effort: what the coordinator does not hear, it finds out when the session times out. */
  leave(reason: string): Promise<void>
  /** Resolves at once, or when an identity that is about to change has changed. */
  renewed(refused?: Identity): Promise<void>
  /** A commit with this identity was refused. */
  refused(errorCode: number, identity: Identity): void
}

/** What members share with the membership that they belong to. */
export interface MemberHost {
  readonly settings: MembershipSettings
  readonly coordinator: Coordinator
  readonly ownership: Ownership
  readonly subscription: Subscription
  /** When `maxPollIntervalMs` is over, on the monotonic clock. */
  readonly pollDeadlineMs: number
  readonly status: (event: MembershipEvent) => void
}

export const pollIntervalExceeded =
  'the application did not ask for more within maxPollIntervalMs: raise it, or do less between two calls'

/** Kafka's retry.backoff.ms and retry.backoff.max.ms. */
export const memberBackoff = { minMs: 100, maxMs: 1000 }
