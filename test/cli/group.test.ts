// The group commands against a broker in this process.
import t from 'tap'
import { startBroker } from '../../broker/testing.ts'
import { parseTarget } from '../../cli/group.ts'
import { runCommand, startCommand, type Outcome } from './command.ts'

const server = await startBroker({ topics: { orders: 2, other: 1 } })
t.teardown(() => server.stop())
await server.produce(
  'orders',
  Array.from({ length: 6 }, (_, n) => ({ value: `${n}`, partition: n % 2 })),
)

function millrace(...args: readonly string[]): Promise<Outcome> {
  return runCommand(['--bootstrap', server.address, ...args])
}

t.test('group reset-offsets: shows first, and does it with --execute', async (t) => {
  const args = ['group', 'reset-offsets', 'billing', '--topic', 'orders', '--to', 'end']
  t.match(await millrace(...args), {
    exitCode: 0,
    stdout: /TOPIC +PARTITION +BEFORE +AFTER\norders +0 +- +3\norders +1 +- +3\n/,
    stderr: /Nothing was changed: --execute does it/,
  })
  t.match(await millrace('group', 'list'), { exitCode: 0, stdout: /^GROUP +STATE +TYPE\n$/ })
  t.match(await millrace(...args, '--execute'), { exitCode: 0, stderr: '' })
  t.match(await millrace('group', 'list'), { stdout: /billing +Empty +classic/ })
  // Topics need not be named again.
  const back = await millrace(
    '-o',
    'json',
    'group',
    'reset-offsets',
    'billing',
    '--to',
    '-1',
    '--execute',
  )
  t.same(JSON.parse(back.stdout), {
    schema_version: 1,
    group: 'billing',
    executed: true,
    partitions: [
      { topic: 'orders', partition: 0, before: '3', after: '2' },
      { topic: 'orders', partition: 1, before: '3', after: '2' },
    ],
  })
})

t.test('group describe: members, offsets and lag', async (t) => {
  const { stdout } = await millrace('group', 'describe', 'billing')
  t.match(stdout, /state +Empty\n/)
  t.match(stdout, /lag +2\n/)
  t.match(stdout, /orders +1 +2 +3 +1 +- +-\n/)
  const json = await millrace('-o', 'json', 'group', 'describe', 'billing')
  t.match(JSON.parse(json.stdout), {
    id: 'billing',
    state: 'Empty',
    members: { length: 0 },
    partitions: [{ topic: 'orders', committed_offset: '2', end_offset: '3', lag: '1' }, {}],
  })
})

t.test('group: what is not there, and what can not be', async (t) => {
  t.match(await millrace('group', 'describe', 'nobody'), {
    exitCode: 3,
    stderr: /error\[GROUP_ID_NOT_FOUND\]: There is no group nobody/,
  })
  t.match(await millrace('group', 'reset-offsets', 'nobody', '--to', 'start'), {
    exitCode: 2,
    stderr: /which topic shall it read/,
  })
  t.match(await millrace('group', 'reset-offsets', 'billing', '--to', 'soon'), {
    exitCode: 2,
    stderr: /--to does not understand "soon"/,
  })
  t.match(await millrace('group', 'delete', 'nobody'), { exitCode: 3 })
})

t.test('group delete: with its offsets', async (t) => {
  t.match(await millrace('group', 'delete', 'billing', '--yes'), {
    exitCode: 0,
    stderr: /Deleted group billing/,
  })
  t.match(await millrace('group', 'describe', 'billing'), { exitCode: 3 })
})

t.test('consume --group: goes on where the group was, and commits what it printed', async (t) => {
  const consume = (...args: readonly string[]): Promise<Outcome> =>
    millrace('consume', 'orders', '--group', 'readers', ...args)
  const first = await consume('-n', '4')
  t.match(first, { exitCode: 0, stderr: /Consumed 4 records from orders as a member of readers/ })
  const second = await consume('-n', '2')
  const lines = `${first.stdout}${second.stdout}`.trimEnd().split('\n')
  t.same(lines.toSorted(), ['0', '1', '2', '3', '4', '5'])
  const { stdout } = await millrace('group', 'describe', 'readers')
  t.match(stdout, /lag +0\n/)
})

t.test('consume --group: what a group can not be asked', async (t) => {
  for (const args of [['--exit'], ['--partition', '0'], ['--from', '5']]) {
    t.match(await millrace('consume', 'orders', '--group', 'readers', ...args), {
      exitCode: 2,
      stderr: /error\[USAGE\]/,
    })
  }
  t.match(await millrace('consume', 'nothing', '--group', 'readers'), { exitCode: 3 })
})

t.test('consume --group: interrupted before it has as many as it was asked for', async (t) => {
  const args = ['consume', 'orders', '--group', 'eager', '-n', '100', '--from', 'start']
  const running = startCommand(['--bootstrap', server.address, ...args])
  await running.firstLine('stdout')
  running.kill('SIGINT')
  t.match(await running.outcome, { exitCode: 130, stderr: /\d+ of 100 records were not consumed/ })
})

t.test('group: every kind of position', async (t) => {
  t.equal(parseTarget('start', 0), 'earliest')
  t.equal(parseTarget('latest', 0), 'latest')
  t.same(parseTarget('17', 0), { offset: 17 })
  t.same(parseTarget('+5', 0), { shift: 5 })
  t.same(parseTarget('-5', 0), { shift: -5 })
  t.same(parseTarget('@-1h', 3_600_000), { timestampMs: 0 })
  t.same(parseTarget('@2026-01-31T12:00:00Z', 0), { timestampMs: Date.UTC(2026, 0, 31, 12) })
})
