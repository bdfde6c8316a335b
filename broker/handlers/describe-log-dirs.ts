import { textKey } from '../../protocol/text-key.ts'
import { errors } from '../../protocol/errors.ts'
import { DescribeLogDirs } from '../../protocol/messages/describe-log-dirs.ts'
import type { RequestOf, ResponseInputOf } from '../../protocol/schema/api.ts'
import type { LogDirectories } from '../log/log-directories.ts'
import type { Handler } from './handler.ts'

type TopicRequest = NonNullable<RequestOf<typeof DescribeLogDirs>['topics']>[number]
type Directory = ReturnType<LogDirectories['describe']>[number]
type DirectoryResponse = ResponseInputOf<typeof DescribeLogDirs>['results'][number]

/** Says what lies in which log directory, and how large it is. */
export const handler: Handler<typeof DescribeLogDirs> = {
  api: DescribeLogDirs,
  handle(request, { broker }) {
    const isAsked = filterOf(request.topics)
    return {
      errorCode: errors.none.code,
      results: broker.logs.describe().map((directory) => describe(directory, isAsked)),
    }
  },
}

type Filter = (topic: string, partition: number) => boolean

/** Null: everything. What is asked for and not there is left out. */
function filterOf(topics: readonly TopicRequest[] | null): Filter {
  if (topics === null) return () => true
  // By topic: a key made of name and number would repeat a long name for every partition that a client lists.
  const asked = new Map<string, Set<number>>()
  for (const { topic, partitions } of topics) {
    const numbers = asked.get(textKey(topic)) ?? new Set()
    asked.set(textKey(topic), numbers)
    for (const partition of partitions) numbers.add(partition)
  }
  return (topic, partition) => asked.get(topic)?.has(partition) === true
}

function describe(directory: Directory, isAsked: Filter): DirectoryResponse {
  // What a failed directory holds is not known any more.
  if (directory.error !== undefined) {
    const errorCode = errors.kafkaStorageError.code
    return { errorCode, logDir: directory.path, topics: [] }
  }
  const topics = new Map<string, DirectoryResponse['topics'][number]['partitions'][number][]>()
  for (const { topic, partition, sizeBytes } of directory.logs) {
    if (!isAsked(topic, partition)) continue
    const partitions = topics.get(topic) ?? []
    topics.set(topic, partitions)
    // Nothing lags and nothing moves: a replica has one log, in one directory.
    const place = { partitionIndex: partition, offsetLag: 0, isFutureKey: false }
    partitions.push({ ...place, partitionSize: sizeBytes })
  }
  return {
    errorCode: errors.none.code,
    logDir: directory.path,
    topics: Array.from(topics, ([name, partitions]) => ({ name, partitions })),
    totalBytes: directory.totalBytes,
    usableBytes: directory.usableBytes,
  }
}
