import { textKey } from '../../protocol/text-key.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import { ElectLeaders } from '../../protocol/messages/elect-leaders.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import type { Handler } from './handler.ts'

type Request = RequestOf<typeof ElectLeaders>
type Response = ResponseInputOf<typeof ElectLeaders>
type TopicResponse = Response['replicaElectionResults'][number]

interface Result {
  readonly topic: string
  readonly index: number
  readonly error: ErrorInfo
  readonly message: string | null
}

/** By their numbers on the wire. */
const electionTypes = ['preferred', 'unclean'] as const

/** KIP-183, KIP-460. */
export const handler: Handler<typeof ElectLeaders> = {
  api: ElectLeaders,
  async handle(request, { broker, version }) {
    const type = electionTypes[request.electionType]
    if (type === undefined) {
      const message = `Unknown election type ${request.electionType}`
      return failed(request, version, { error: errors.invalidRequest, message })
    }
    const partitions = request.topicPartitions === null ? null : partitionsOf(request)
    const outcome = await broker.controller.electLeaders({ type, partitions })
    if (!outcome.ok) return failed(request, version, outcome)
    return { errorCode: errors.none.code, replicaElectionResults: byTopic(outcome.results) }
  },
}

function partitionsOf({ topicPartitions }: Request): { topic: string; index: number }[] {
  return (topicPartitions ?? []).flatMap(({ topic, partitions }) =>
    partitions.map((index) => ({ topic, index })),
  )
}

/** Version 0 has no place for an error of the whole request, so each partition tells it. */
function failed(
  request: Request,
  version: number,
  { error, message }: Pick<Result, 'error' | 'message'>,
): Response {
  const results = partitionsOf(request).map((each) => ({ ...each, error, message }))
  return {
    errorCode: version === 0 ? errors.none.code : error.code,
    replicaElectionResults: byTopic(results),
  }
}

function byTopic(results: readonly Result[]): TopicResponse[] {
  const rows = new Map<string, TopicResponse & { partitionResult: unknown[] }>()
  let last: (TopicResponse & { partitionResult: unknown[] }) | undefined
  for (const { topic, index, error, message } of results) {
    if (last?.topic !== topic) {
      const key = textKey(topic)
      last = rows.get(key) ?? { topic, partitionResult: [] }
      rows.set(key, last)
    }
    last.partitionResult.push({ partitionId: index, errorCode: error.code, errorMessage: message })
  }
  return [...rows.values()]
}
