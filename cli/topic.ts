import { uuidToText } from '../base/uuid.ts'
import type { Admin, ConfigEntry } from '../client/admin.ts'
import type { TopicMetadata } from '../client/cluster.ts'
import { KafkaError } from '../client/errors.ts'
import { specialTimestamp } from '../client/special-timestamp.ts'
import { openKafka } from './client.ts'
import { confirmed } from './confirmation.ts'
import { CliError } from './errors.ts'
import { oneByOne } from './one-by-one.ts'
import {
  keyValues,
  partitionCountMax,
  replicationFactorMax,
  wholeNumber,
  type GlobalOptions,
} from './options.ts'
import { formatJson, formatTable, writeOut } from './output.ts'

export interface CreateOptions extends GlobalOptions {
  readonly partitions?: string
  readonly replicas?: string
  readonly config: readonly string[]
  readonly ifNotExists?: boolean
  readonly dryRun?: boolean
}

export interface AlterOptions extends GlobalOptions {
  readonly partitions?: string
  readonly config: readonly string[]
  readonly deleteConfig: readonly string[]
}

export async function createTopics(
  names: readonly string[],
  options: CreateOptions,
): Promise<void> {
  const configs = keyValues('--config', options.config)
  const partitions =
    options.partitions === undefined
      ? undefined
      : wholeNumber('--partitions', options.partitions, 1, partitionCountMax)
  const replicationFactor =
    options.replicas === undefined
      ? undefined
      : wholeNumber('--replicas', options.replicas, 1, replicationFactorMax)
  await withAdmin(options, async (admin) => {
    await oneByOne(
      names,
      async (name) => {
        try {
          const topic = { name, partitions, replicationFactor, configs }
          await admin.createTopic(topic, { validateOnly: options.dryRun ?? false })
          await say(
            options,
            { topic: name, created: options.dryRun !== true },
            options.dryRun === true ? `Topic ${name} could be created` : `Created topic ${name}`,
          )
        } catch (error) {
          const exists = error instanceof KafkaError && error.code === 'TOPIC_ALREADY_EXISTS'
          if (!exists || options.ifNotExists !== true) throw error
          await say(options, { topic: name, created: false }, `Topic ${name} exists already`)
        }
      },
      { isDry: options.dryRun === true },
    )
  })
}

export async function listTopics(
  options: GlobalOptions & { readonly internal?: boolean },
): Promise<void> {
  await withAdmin(options, async (admin) => {
    const { topics } = await admin.describe(null)
    const rows = [...topics.values()]
      .filter((topic) => options.internal === true || !topic.internal)
      .sort((left, right) => (left.name < right.name ? -1 : 1))
    const text =
      options.output === 'json'
        ? formatJson({ topics: rows.map(topicJson) })
        : formatTable(
            [
              { title: 'NAME', of: (topic) => topic.name },
              { title: 'PARTITIONS', of: (topic) => topic.partitions.length, right: true },
              {
                title: 'REPLICAS',
                of: (topic) => topic.partitions[0]?.replicas.length ?? 0,
                right: true,
              },
              { title: 'ID', of: (topic) => uuidToText(topic.id) },
            ],
            rows,
          )
    await writeOut(process.stdout, text)
  })
}

export async function describeTopic(name: string, options: GlobalOptions): Promise<void> {
  await withAdmin(options, async (admin) => {
    const topic = await admin.describeTopic(name)
    const led = topic.partitions.filter(({ leader }) => leader >= 0).map(({ index }) => index)
    const offsets = async (timestamp: number): Promise<ReadonlyMap<number, number>> => {
      const found = await admin.listOffsets(name, led, timestamp)
      return new Map(found.map(({ partition, offset }) => [partition, offset]))
    }
    const starts = await offsets(specialTimestamp.earliest)
    const ends = await offsets(specialTimestamp.latest)
    const configs = await admin.describeTopicConfigs(name)
    const partitions = topic.partitions.map((partition) => ({
      ...partition,
      start: starts.get(partition.index),
      end: ends.get(partition.index),
    }))
    const text =
      options.output === 'json'
        ? formatJson({
            ...topicJson(topic),
            partitions: partitions.map(partitionJson),
            configs: configs.map(configJson),
          })
        : describeText(topic, partitions, configs)
    await writeOut(process.stdout, text)
  })
}

export async function alterTopic(name: string, options: AlterOptions): Promise<void> {
  const changes: Record<string, string | null> = keyValues('--config', options.config)
  for (const config of options.deleteConfig) changes[config] = null
  const count =
    options.partitions === undefined
      ? undefined
      : wholeNumber('--partitions', options.partitions, 1, partitionCountMax)
  if (count === undefined && Object.keys(changes).length === 0) {
    throw CliError.usage(
      'Nothing to alter',
      'use --partitions N, --config KEY=VALUE or --delete-config KEY',
    )
  }
  await withAdmin(options, async (admin) => {
    const steps = new Map<string, () => Promise<void>>()
    if (Object.keys(changes).length > 0)
      steps.set('its configuration', () => admin.alterTopicConfigs(name, changes))
    if (count !== undefined) steps.set('its partitions', () => admin.createPartitions(name, count))
    await oneByOne([...steps.keys()], async (step) => steps.get(step)?.())
    await say(options, { topic: name, altered: true }, `Altered topic ${name}`)
  })
}

export async function deleteTopics(
  names: readonly string[],
  options: GlobalOptions & { readonly yes?: boolean },
): Promise<void> {
  await confirmed(`Delete ${names.join(', ')} with all records?`, options.yes)
  await withAdmin(options, async (admin) => {
    await oneByOne(names, async (name) => {
      await admin.deleteTopic(name)
      await say(options, { topic: name, deleted: true }, `Deleted topic ${name}`)
    })
  })
}

async function withAdmin(
  options: GlobalOptions,
  work: (admin: Admin) => Promise<void>,
): Promise<void> {
  await using kafka = await openKafka(options)
  await work(kafka.admin())
}

/** An outcome is data for a script, and news for a person. */
async function say(options: GlobalOptions, document: object, text: string): Promise<void> {
  if (options.output === 'json') await writeOut(process.stdout, formatJson(document))
  else await writeOut(process.stderr, `${text}\n`)
}

interface DescribedPartition {
  readonly index: number
  readonly leader: number
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly inSyncReplicas: readonly number[]
  /** Undefined while nobody leads it. */
  readonly start: number | undefined
  readonly end: number | undefined
}

function topicJson(topic: TopicMetadata): object {
  return {
    name: topic.name,
    id: uuidToText(topic.id),
    internal: topic.internal,
    partition_count: topic.partitions.length,
    replication_factor: topic.partitions[0]?.replicas.length ?? 0,
  }
}

/** Offsets as text: a JSON number can't hold all of them. */
function partitionJson(partition: DescribedPartition): object {
  return {
    index: partition.index,
    leader: partition.leader,
    leader_epoch: partition.leaderEpoch,
    replicas: partition.replicas,
    in_sync_replicas: partition.inSyncReplicas,
    start_offset: partition.start === undefined ? null : String(partition.start),
    end_offset: partition.end === undefined ? null : String(partition.end),
  }
}

function configJson(config: ConfigEntry): object {
  const { name, value, source, sensitive } = config
  return { name, value, source, sensitive, read_only: config.readOnly }
}

function describeText(
  topic: TopicMetadata,
  partitions: readonly DescribedPartition[],
  configs: readonly ConfigEntry[],
): string {
  const overrides = configs.filter((config) => config.source === 'topic')
  const lines = [`topic       ${topic.name}\n`, `id          ${uuidToText(topic.id)}\n`]
  for (const config of overrides)
    lines.push(`override    ${config.name}=${config.value ?? '(secret)'}\n`)
  const table = formatTable<DescribedPartition>(
    [
      { title: 'PARTITION', of: (partition) => partition.index, right: true },
      { title: 'LEADER', of: (partition) => partition.leader, right: true },
      { title: 'EPOCH', of: (partition) => partition.leaderEpoch, right: true },
      { title: 'REPLICAS', of: (partition) => partition.replicas.join(',') },
      { title: 'IN SYNC', of: (partition) => partition.inSyncReplicas.join(',') },
      { title: 'START', of: (partition) => partition.start ?? '-', right: true },
      { title: 'END', of: (partition) => partition.end ?? '-', right: true },
    ],
    partitions,
  )
  return `${lines.join('')}\n${table}`
}
