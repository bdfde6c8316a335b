import type {
  GroupAdmin,
  GroupDescription,
  PartitionLag,
  ResetPartition,
  ResetTarget,
} from '../client/group-admin.ts'
import { openKafka } from './client.ts'
import { confirmed } from './confirmation.ts'
import { CliError } from './errors.ts'
import { exitCodes } from './exit-codes.ts'
import { oneByOne } from './one-by-one.ts'
import { wholeNumber, type GlobalOptions } from './options.ts'
import { formatJson, formatTable, writeOut } from './output.ts'
import { parseTime } from './start-position.ts'

export interface ListOptions extends GlobalOptions {
  readonly state: readonly string[]
}

export interface ResetCommandOptions extends GlobalOptions {
  readonly topic: readonly string[]
  readonly to: string
  readonly partition: readonly string[]
  readonly execute?: boolean
}

export async function listGroups(options: ListOptions): Promise<void> {
  await withGroups(options, async (groups) => {
    const rows = await groups.list({ states: options.state })
    const text =
      options.output === 'json'
        ? formatJson({
            groups: rows.map(({ id, state, type, protocolType }) => {
              return { id, state, type, protocol_type: protocolType }
            }),
          })
        : formatTable(
            [
              { title: 'GROUP', of: (group) => group.id },
              { title: 'STATE', of: (group) => group.state },
              { title: 'TYPE', of: (group) => group.type },
            ],
            rows,
          )
    await writeOut(process.stdout, text)
  })
}

/** Members and, partition by partition, how far the group is behind. */
export async function describeGroup(id: string, options: GlobalOptions): Promise<void> {
  await withGroups(options, async (groups) => {
    const group = await existing(groups, id)
    const lags = await groups.lag(id)
    const text =
      options.output === 'json' ? formatJson(groupJson(group, lags)) : groupText(group, lags)
    await writeOut(process.stdout, text)
  })
}

export async function resetOffsets(id: string, options: ResetCommandOptions): Promise<void> {
  const to = parseTarget(options.to, Date.now())
  const partitions = options.partition.map((text) => wholeNumber('--partition', text, 0))
  const dryRun = options.execute !== true
  await withGroups(options, async (groups) => {
    const topics =
      options.topic.length > 0
        ? options.topic
        : [...new Set((await groups.offsets(id)).map(({ topic }) => topic))]
    if (topics.length === 0) {
      throw CliError.usage(
        `Group ${id} has committed nothing: which topic shall it read?`,
        'name it with --topic',
      )
    }
    const rows: ResetPartition[] = []
    const some = partitions.length > 0 ? { partitions } : {}
    try {
      await oneByOne(
        topics,
        async (topic) => {
          rows.push(...(await groups.resetOffsets(id, topic, { to, dryRun, ...some })))
        },
        { isDry: dryRun },
      )
    } finally {
      // What was moved before another topic failed is told too.
      if (rows.length > 0) await writeOut(process.stdout, resetText(id, rows, options))
    }
    if (dryRun) process.stderr.write('Nothing was changed: --execute does it\n')
  })
}

export async function deleteGroups(
  ids: readonly string[],
  options: GlobalOptions & { readonly yes?: boolean },
): Promise<void> {
  await confirmed(`Delete ${ids.join(', ')} with all committed offsets?`, options.yes)
  await withGroups(options, async (groups) => {
    await oneByOne(ids, async (id) => {
      await groups.delete(id)
      if (options.output === 'json')
        await writeOut(process.stdout, formatJson({ group: id, deleted: true }))
      else process.stderr.write(`Deleted group ${id}\n`)
    })
  })
}

/** start, end, an OFFSET, +COUNT or -COUNT from where the group is, or @TIME. */
export function parseTarget(text: string, nowMs: number): ResetTarget {
  if (text === 'start' || text === 'earliest') return 'earliest'
  if (text === 'end' || text === 'latest') return 'latest'
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return { offset: Number(text) }
  if (/^[+-]\d+$/.test(text) && Number.isSafeInteger(Number(text))) return { shift: Number(text) }
  if (text.startsWith('@')) {
    const timestampMs = parseTime(text.slice(1), nowMs)
    if (timestampMs !== undefined) return { timestampMs }
  }
  throw CliError.usage(
    `--to does not understand "${text}"`,
    'use start, end, an OFFSET, +COUNT or -COUNT, or @TIME: @1700000000000, @2026-01-31T12:00:00Z, @-1h',
  )
}

async function withGroups(
  options: GlobalOptions,
  work: (groups: GroupAdmin) => Promise<void>,
): Promise<void> {
  await using kafka = await openKafka(options)
  await work(kafka.admin().groups)
}

async function existing(groups: GroupAdmin, id: string): Promise<GroupDescription> {
  const group = await groups.describe(id)
  if (group.state !== 'Dead') return group
  throw new CliError({
    code: 'GROUP_ID_NOT_FOUND',
    message: `There is no group ${id}`,
    fix: 'see "millrace group list"',
    exitCode: exitCodes.notFound,
  })
}

/** Offsets as text: a JSON number can't hold all of them. */
function groupJson(group: GroupDescription, lags: readonly PartitionLag[]): object {
  return {
    id: group.id,
    state: group.state,
    type: group.type,
    protocol_type: group.protocolType,
    assignor: group.assignor,
    members: group.members.map((member) => ({
      id: member.id,
      instance_id: member.instanceId,
      client_id: member.clientId,
      host: member.host,
      assignment: member.assignment,
    })),
    partitions: lags.map((each) => ({
      topic: each.topic,
      partition: each.partition,
      committed_offset: each.committed < 0 ? null : String(each.committed),
      start_offset: each.start < 0 ? null : String(each.start),
      end_offset: each.end < 0 ? null : String(each.end),
      lag: each.lag < 0 ? null : String(each.lag),
      member_id: each.memberId === '' ? null : each.memberId,
    })),
  }
}

function groupText(group: GroupDescription, lags: readonly PartitionLag[]): string {
  const total = lags.reduce((sum, { lag }) => sum + Math.max(lag, 0), 0)
  const lines = [
    `group       ${group.id}\n`,
    `state       ${group.state}\n`,
    `type        ${group.type}\n`,
    `assignor    ${group.assignor === '' ? '-' : group.assignor}\n`,
    `members     ${group.members.length}\n`,
    `lag         ${total}\n`,
  ]
  const hosts = new Map(group.members.map((member) => [member.id, member]))
  const table = formatTable<PartitionLag>(
    [
      { title: 'TOPIC', of: (row) => row.topic },
      { title: 'PARTITION', of: (row) => row.partition, right: true },
      { title: 'COMMITTED', of: (row) => (row.committed < 0 ? '-' : row.committed), right: true },
      { title: 'END', of: (row) => (row.end < 0 ? '-' : row.end), right: true },
      { title: 'LAG', of: (row) => (row.lag < 0 ? '-' : row.lag), right: true },
      { title: 'MEMBER', of: (row) => (row.memberId === '' ? '-' : row.memberId) },
      { title: 'HOST', of: (row) => hosts.get(row.memberId)?.host ?? '-' },
    ],
    lags,
  )
  return `${lines.join('')}\n${table}`
}

function resetText(
  group: string,
  rows: readonly ResetPartition[],
  options: ResetCommandOptions,
): string {
  if (options.output === 'json') {
    return formatJson({
      group,
      executed: options.execute === true,
      partitions: rows.map(({ topic, partition, before, after }) => ({
        topic,
        partition,
        before: before < 0 ? null : String(before),
        after: String(after),
      })),
    })
  }
  return formatTable<ResetPartition>(
    [
      { title: 'TOPIC', of: (row) => row.topic },
      { title: 'PARTITION', of: (row) => row.partition, right: true },
      { title: 'BEFORE', of: (row) => (row.before < 0 ? '-' : row.before), right: true },
      { title: 'AFTER', of: (row) => row.after, right: true },
    ],
    rows,
  )
}
