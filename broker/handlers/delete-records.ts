import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { DeleteRecords } from '../../protocol/messages/delete-records.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import { isInternalTopic } from '../metadata/image.ts'
import type { Partition } from '../replica/partition.ts'
import type { BrokerServices, Handler, RequestContext } from './handler.ts'
import { orStorageFailure } from './storage-failure.ts'

type Request = RequestOf<typeof DeleteRecords>
type Response = ResponseInputOf<typeof DeleteRecords>
type PartitionResponse = Response['topics'][number]['partitions'][number]

/** In place of an offset: everything that is committed. */
const toHighWatermark = -1

/**
 * Moves the log start up. It may come to lie within a batch; segments below it go with the next retention check.
 * Answered when the followers that live have deleted it as well, or when the time of the request is over.
 */
export const handler: Handler<typeof DeleteRecords> = {
  api: DeleteRecords,
  handle(request, context) {
    const deletion = new Deletion(context.broker)
    const response = deletion.begin(request)
    if (deletion.waiting.size === 0) return response
    return deletion
      .wait(request.timeoutMs, context)
      .then((isOver) => (isOver ? response : undefined))
  },
}

interface Waiting {
  readonly partition: Partition
  readonly offset: number
  readonly answer: PartitionResponse
}

class Deletion {
  readonly #broker: BrokerServices
  /** Followers have not deleted yet what was asked for. */
  readonly waiting = new Set<Waiting>()

  constructor(broker: BrokerServices) {
    this.#broker = broker
  }

  /** Everything is deleted here when this returns. */
  begin(request: Request): Response {
    return {
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex, offset }) =>
          this.#answer(name, partitionIndex, offset),
        ),
      })),
    }
  }

  /** False: the client left. */
  wait(timeoutMs: number, { connection }: RequestContext): Promise<boolean> {
    return new Promise((resolve) => {
      const endings: (() => void)[] = []
      const end = (isOver: boolean): void => {
        for (const each of endings) each()
        resolve(isOver)
      }
      const timer = this.#broker.deadlines.after(timeoutMs, () => {
        for (const { answer } of this.waiting) answer.errorCode = errors.requestTimedOut.code
        end(true)
      })
      endings.push(() => timer.cancel())
      endings.push(connection.onClosed(() => end(false)))
      for (const each of this.waiting) {
        const look = (): void => {
          if (!this.#settle(each)) return
          this.waiting.delete(each)
          if (this.waiting.size === 0) end(true)
        }
        endings.push(each.partition.watchLowWatermark(look))
      }
    })
  }

  #settle({ partition, offset, answer }: Waiting): boolean {
    const { lowWatermark } = partition
    if (lowWatermark === undefined) {
      answer.lowWatermark = -1
      answer.errorCode = errors.notLeaderOrFollower.code
      return true
    }
    answer.lowWatermark = lowWatermark
    return lowWatermark >= offset
  }

  #answer(topic: string, partitionIndex: number, offset: number): PartitionResponse {
    const { partitions } = this.#broker
    const partition = partitions.get(topic, partitionIndex)
    if (partition === undefined) {
      return refuse(partitionIndex, partitions.whyMissing(topic, partitionIndex))
    }
    if (isInternalTopic(topic)) return refuse(partitionIndex, errors.invalidTopicException)
    return orStorageFailure<PartitionResponse>(
      this.#broker,
      () => {
        const target = deleteUpTo(partition, offset)
        if (typeof target !== 'number') return refuse(partitionIndex, target)
        const answer = { partitionIndex, lowWatermark: -1, errorCode: errors.none.code }
        const waiting = { partition, offset: target, answer }
        if (!this.#settle(waiting)) this.waiting.add(waiting)
        return answer
      },
      (error) => refuse(partitionIndex, error),
    )
  }
}

/** The offset that was meant. */
function deleteUpTo(partition: Partition, offset: number): number | ErrorInfo {
  const { log, highWatermark } = partition
  const { cleanupPolicy } = log.config
  if (!cleanupPolicy.delete && cleanupPolicy.compact) return errors.policyViolation
  const target = offset === toHighWatermark ? highWatermark : offset
  if (target < 0 || target > highWatermark) return errors.offsetOutOfRange
  if (target > log.logStartOffset) partition.deleteRecords(target)
  return target
}

function refuse(partitionIndex: number, error: ErrorInfo): PartitionResponse {
  return { partitionIndex, lowWatermark: -1, errorCode: error.code }
}
