import { confirmed } from '../confirmation.ts'
import { CliError } from '../errors.ts'
import { wholeNumber } from '../options.ts'
import { formatJson, formatTable, writeOut } from '../output.ts'
import { ClusterClient, type ClusterOptions, type PartitionId } from './cluster-client.ts'
import { throwRefused } from './reassign.ts'

export interface ElectOptions extends ClusterOptions {
  readonly unclean?: boolean
  readonly topic: readonly string[]
  readonly partition: readonly string[]
  readonly yes?: boolean
}

/** Preferred leaders lead again; or, unclean, whoever lives leads partitions that have lost all others. */
export async function elect(options: ElectOptions): Promise<void> {
  const indexes = options.partition.map((text) => wholeNumber('--partition', text, 0))
  if (indexes.length > 0 && options.topic.length !== 1)
    throw CliError.usage('--partition needs one --topic')
  if (options.unclean === true) {
    await confirmed('Elect leaders that may lack acknowledged records?', options.yes)
  }
  await using client = await ClusterClient.open(options)
  const partitions = await chosen(client, options, indexes)
  const type = options.unclean === true ? 'unclean' : 'preferred'
  const { elected, refused } = await client.electLeaders(type, partitions)
  const text =
    options.output === 'json'
      ? formatJson({
          elected: elected.map(({ topic, index }) => ({ topic, partition: index })),
          refused: refused.map(({ topic, index, code, message }) => {
            return { topic, partition: index, code, message }
          }),
        })
      : electedText(elected)
  await writeOut(process.stdout, text)
  throwRefused(refused, { all: elected.length + refused.length })
}

/** Null: all that need it. */
async function chosen(
  client: ClusterClient,
  { topic: topics }: ElectOptions,
  indexes: readonly number[],
): Promise<PartitionId[] | null> {
  if (topics.length === 0) return null
  const [topic] = topics
  if (indexes.length > 0 && topic !== undefined) return indexes.map((index) => ({ topic, index }))
  const { partitions } = await client.state()
  const missing = topics.find((each) => !partitions.some((partition) => partition.topic === each))
  // The cluster says what is wrong with it.
  if (missing !== undefined) return [{ topic: missing, index: 0 }]
  return partitions.filter((partition) => topics.includes(partition.topic))
}

function electedText(elected: readonly PartitionId[]): string {
  if (elected.length === 0) return 'no partition needed another leader\n'
  return formatTable<PartitionId>(
    [
      { title: 'TOPIC', of: ({ topic }) => topic },
      { title: 'PARTITION', of: ({ index }) => index, right: true },
    ],
    elected,
  )
}
