import type { Timer, Timers } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import type { Uuid } from '../../base/uuid.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import type { Partition } from './partition.ts'

/** Another ISR for one partition, made from the state that `partitionEpoch` names. */
export interface IsrChange {
  readonly topicId: Uuid
  readonly index: number
  readonly leaderEpoch: number
  readonly partitionEpoch: number
  readonly isr: readonly { readonly brokerId: number; readonly brokerEpoch: number }[]
  readonly recovering: boolean
}

interface Refused {
  readonly ok: false
  readonly error: ErrorInfo
  readonly message: string
}

/** The state of the partition after the change, or why it was not changed. */
export type IsrAnswer =
  | {
      readonly ok: true
      readonly leaderEpoch: number
      readonly isr: readonly number[]
      readonly recovering: boolean
      readonly partitionEpoch: number
    }
  | Refused

/** `ControllerLink.alterPartitions`: one answer for each partition, in their order. */
export type AlterPartitions = (request: {
  readonly brokerId: number
  readonly brokerEpoch: number
  readonly partitions: readonly IsrChange[]
}) => Promise<{ readonly ok: true; readonly results: readonly IsrAnswer[] } | Refused>

export interface IsrProposalsOptions {
  readonly nodeId: number
  readonly timers: Timers
  readonly alterPartitions: AlterPartitions
  readonly brokerEpoch: () => number
  readonly logger: Logger
}

const retryDelayMs = 100
/** Of one request: the controller makes one transaction of it, which has its bounds. */
const partitionsMax = 1000

/**
 * What the leaders on this broker want of the controller: one request at a time, with what came meanwhile in the next
 * (KIP-497). A proposal is repeated until it is answered, or until its partition has no use for it any more.
 */
export class IsrProposals {
  readonly #options: IsrProposalsOptions
  readonly #open = new Map<Partition, IsrChange>()
  #isBusy = false
  /** The last request was not carried out, and that was said. */
  #isRefused = false
  #retry: Timer | undefined
  #closed = false

  constructor(options: IsrProposalsOptions) {
    this.#options = options
  }

  get openCount(): number {
    return this.#open.size
  }

  propose(partition: Partition, change: IsrChange): void {
    this.#open.set(partition, change)
    this.#schedule()
  }

  withdraw(partition: Partition): void {
    this.#open.delete(partition)
  }

  close(): void {
    this.#closed = true
    this.#retry?.cancel()
    this.#open.clear()
  }

  /** After the events of this turn, so that one request carries what a lost broker means for all partitions. */
  #schedule(): void {
    if (this.#isBusy || this.#closed || this.#open.size === 0) return
    this.#isBusy = true
    this.#options.timers.soon(() => {
      void this.#send()
    })
  }

  async #send(): Promise<void> {
    const { nodeId, alterPartitions, brokerEpoch, logger } = this.#options
    const sent = [...this.#open].slice(0, partitionsMax)
    if (sent.length === 0 || this.#closed) {
      this.#isBusy = false
      return
    }
    const answer = await alterPartitions({
      brokerId: nodeId,
      brokerEpoch: brokerEpoch(),
      partitions: sent.map(([, change]) => change),
    })
    let mustRetry = false
    if (answer.ok) {
      this.#isRefused = false
      for (const [index, [partition, change]] of sent.entries()) {
        const result = answer.results[index]
        if (result !== undefined && this.#settle(partition, change, result)) mustRetry = true
      }
    } else {
      mustRetry = true
      if (!this.#isRefused)
        logger.warn(
          { error: answer.error.name, reason: answer.message, partitions: sent.length },
          'The controller could not be asked for other in-sync replicas; asking again',
        )
      this.#isRefused = true
    }
    if (mustRetry) this.#sendLater()
    else this.#sendNext()
  }

  /** True: it has to be sent again. */
  #settle(partition: Partition, change: IsrChange, result: IsrAnswer): boolean {
    // re-check: awaited. The partition may have another proposal by now, or none.
    if (this.#open.get(partition) !== change) return false
    if (!result.ok) {
      this.#options.logger.info(
        {
          topic: partition.topic,
          partition: partition.index,
          error: result.error.name,
          reason: result.message,
        },
        'The controller refused other in-sync replicas',
      )
    }
    this.#open.delete(partition)
    const again = partition.isrSettled(result)
    if (again) this.#open.set(partition, change)
    return again
  }

  #sendLater(): void {
    if (this.#closed) return
    this.#retry = this.#options.timers.after(retryDelayMs, () => {
      this.#retry = undefined
      this.#sendNext()
    })
  }

  #sendNext(): void {
    this.#isBusy = false
    this.#schedule()
  }
}

/** The state has changed meanwhile, perhaps by this very proposal: the metadata log will tell, and settles it. */
export function isSettledByMetadata(error: ErrorInfo): boolean {
  return (
    error === errors.fencedLeaderEpoch ||
    error === errors.newLeaderElected ||
    error === errors.invalidUpdateVersion ||
    error === errors.unknownTopicOrPartition ||
    error === errors.unknownTopicId
  )
}

/** It was looked at, in the state that it was made for, and not carried out. */
export function isRefusedForGood(error: ErrorInfo): boolean {
  return error === errors.ineligibleReplica || error === errors.invalidRequest
}
