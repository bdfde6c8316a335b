/** Apache Kafka's own tools on our groups: consumer-groups, the console consumer, __consumer_offsets as text. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import t from 'tap'

import { GroupFixture, Members } from './group-fixture.ts'
import { shared } from './group-member.ts'
import type { MemberTarget } from './group-member.ts'
import { kafkaTool } from './kafka.ts'
import { eventually } from './processes.ts'

t.setTimeout(600_000)
const tools = 'org.apache.kafka.tools'
const fixture = await GroupFixture.start(t, 'group-tools')
const bootstrap = ['--bootstrap-server', fixture.brokers]

await t.test('kafka-consumer-groups: lists and describes live groups of both kinds', async (t) => {
  const targets: MemberTarget[] = []
  for (const protocol of ['classic', 'consumer'] as const) {
    const target = await fixture.target(3)
    targets.push(target)
    await fixture.load(target.topic, 30)
    const members = new Members(t, target)
    const both = [
      members.start('librdkafka', { protocol }),
      members.start('librdkafka', { protocol, instance: 'static-one' }),
    ]
    await shared(both, 3)
    await members.processed(30)
  }
  const [classic, consumer] = targets as [MemberTarget, MemberTarget]

  const list = rowsOf(await groups(['--list', '--state', '--type']))
  t.match(list.get(classic.group), /Classic\s+Stable/)
  t.match(list.get(consumer.group), /Consumer\s+Stable/)

  for (const { group, topic } of targets) {
    const offsets = await groups(['--describe', '--group', group, '--offsets'])
    for (const partition of [0, 1, 2]) {
      const row = new RegExp(
        `^${group}\\s+${topic}\\s+${partition}\\s+(\\d+)\\s+(\\d+)\\s+0\\s+\\S+`,
        'm',
      )
      const [, committed, end] = row.exec(offsets) ?? []
      t.ok(committed !== undefined && committed === end, `${group} partition ${partition}: no lag`)
    }
    const state = await groups(['--describe', '--group', group, '--state'])
    t.match(
      state,
      new RegExp(`${group}\\s+127\\.0\\.0\\.1:${fixture.server.port}.*Stable\\s+2\\s*$`, 'm'),
    )
    const described = await groups(['--describe', '--group', group, '--members', '--verbose'])
    t.equal(described.match(/127\.0\.0\.1\s+rdkafka/g)?.length, 2, 'two members')
    t.match(described, /static-one/)
    t.match(described, new RegExp(`${topic}[:(]`), 'with their assignments')
  }

  const refused = await groups(['--delete', '--group', classic.group], true)
  t.match(refused, /not empty/i, 'a live group stays')
  const reset = ['--reset-offsets', '--group', consumer.group, '--all-topics', '--to-earliest']
  t.match(await groups([...reset, '--execute'], true), /inactive|not.*reset|Stable/i)
})

await t.test('kafka-consumer-groups: resets, deletes offsets, deletes groups', async (t) => {
  const target = await fixture.target(2)
  const { group, topic } = target
  await fixture.load(topic, 50)
  const consume = ['--topic', topic, '--group', group, '--from-beginning']
  const { stdout } = await consoleConsumer([...consume, '--max-messages', '50'])
  t.equal(stdout.trim().split('\n').length, 50, 'console-consumer --group')
  const ends = await fixture.committed(target)
  t.equal(
    ends.reduce((sum, end) => sum + end, 0),
    50,
    'it committed when it closed',
  )
  t.match(await groups(['--describe', '--group', group]), /has no active members/)

  const all = ['--reset-offsets', '--group', group, '--topic', topic, '--execute']
  await groups([...all, '--to-earliest'])
  t.strictSame(await fixture.committed(target), [0, 0], 'to earliest')
  await groups([...all, '--to-latest'])
  t.strictSame(await fixture.committed(target), ends, 'to latest')
  await groups([...all, '--shift-by', '-3'])
  t.strictSame(
    await fixture.committed(target),
    ends.map((end) => end - 3),
    'shifted',
  )
  const file = join(fixture.path, 'reset.csv')
  writeFileSync(file, `"${topic}",0,4\n"${topic}",1,2\n`)
  const fromFile = ['--reset-offsets', '--group', group, '--from-file', file, '--execute']
  await groups(fromFile)
  t.strictSame(await fixture.committed(target), [4, 2], 'from a file')
  const again = await consoleConsumer([...consume, '--timeout-ms', '2500'])
  t.equal(again.stdout.trim().split('\n').length, 44, 'the next consumer begins there')

  await groups(['--delete-offsets', '--group', group, '--topic', `${topic}:0`])
  t.strictSame(await fixture.committed(target), [-1, ends[1]], 'offsets of one partition deleted')
  t.match(await groups(['--delete', '--group', group]), /successful/)
  t.notOk(rowsOf(await groups(['--list'])).has(group), 'gone')
  t.match(await groups(['--describe', '--group', group], true), /not found|does not exist/)
})

await t.test('__consumer_offsets: the message formatters read it', async (t) => {
  const internal = ['--topic', '__consumer_offsets', '--from-beginning', '--timeout-ms', '2500']
  const formatted = async (formatter: string): Promise<string> => {
    const name = `${tools}.consumer.${formatter}`
    return (await consoleConsumer([...internal, '--formatter', name])).stdout
  }
  const offsets = await formatted('OffsetsMessageFormatter')
  t.match(offsets, /"group":"group-1".*"topic":"topic-1".*"offset":\d+/)
  const metadata = await formatted('GroupMetadataMessageFormatter')
  t.match(metadata, /"group":"group-1".*"protocolType":"consumer"/)
  for (const text of [offsets, metadata]) {
    const lines = text.trim().split('\n')
    t.ok(
      lines.every((line) => line.startsWith('{') && !line.includes('unknown')),
      'every line',
    )
  }
})

await t.test(
  '__consumer_offsets: kafka-dump-log --offsets-decoder reads every record',
  async (t) => {
    const data = fixture.server.dataDirectory
    const logs = readdirSync(data)
      .filter((name) => name.startsWith('__consumer_offsets-'))
      .map((name) => join(data, name, '00000000000000000000.log'))
      // A partition that nothing was written to has no files yet.
      .filter((path) => existsSync(path) && statSync(path).size > 0)
    const args = ['--offsets-decoder', '--files', logs.join(',')]
    const { stdout } = await kafkaTool(`${tools}.DumpLogSegments`, args)
    const printed = join(fixture.path, 'dump')
    writeFileSync(printed, stdout)
    const records = readFileSync(printed, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| offset:'))
    t.ok(records.length > 20)
    const unread = records.filter(
      (line) => !line.includes('key: {') || !/payload: (?:\{|<DELETE>)/.test(line),
    )
    t.strictSame(unread.slice(0, 5), [])
    t.match(stdout, /"type":"?\w*"?.*"group":"group-2"/)
  },
)

await t.test('kafka-configs: the configuration of a group', async (t) => {
  const entity = ['--entity-type', 'groups', '--entity-name', 'configured']
  const change = ['--alter', '--add-config', 'consumer.heartbeat.interval.ms=700']
  await kafkaTool('kafka.admin.ConfigCommand', [...bootstrap, ...entity, ...change])
  const described = async (): Promise<string> =>
    (await kafkaTool('kafka.admin.ConfigCommand', [...bootstrap, ...entity, '--describe'])).stdout
  const text = await eventually(
    async () => {
      const found = await described()
      return found.includes('=700') ? found : undefined
    },
    { timeoutMs: 10_000, describe: () => 'consumer.heartbeat.interval.ms=700' },
  )
  t.match(text, /consumer\.heartbeat\.interval\.ms=700/)
})

async function groups(args: readonly string[], mayFail = false): Promise<string> {
  const all = [...bootstrap, ...args]
  const name = `${tools}.consumer.group.ConsumerGroupCommand`
  const { stdout, stderr } = await kafkaTool(name, all, { mayFail })
  return `${stdout}\n${stderr}`
}

/** Its exit code is 1 when it ends by --timeout-ms. */
function consoleConsumer(args: readonly string[]): Promise<{ stdout: string }> {
  const name = `${tools}.consumer.ConsoleConsumer`
  return kafkaTool(name, [...bootstrap, ...args], { mayFail: true })
}

/** Rows of a table by their first word. */
function rowsOf(table: string): Map<string, string> {
  return new Map(table.split('\n').map((line) => [line.split(/\s/)[0] ?? '', line]))
}
