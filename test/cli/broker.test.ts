// The commands against a broker that one of them started, as a user has them.
import t, { type Test } from 'tap'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { join } from 'node:path'
import { runCommand, startCommand, type Outcome, type Running, type RunOptions } from './command.ts'

interface Started {
  readonly running: Running
  readonly address: string
  readonly dataDirectory: string
}

async function startBroker(test: Test, dataDirectory: string): Promise<Started> {
  const running = startCommand([
    'start',
    '--data-dir',
    dataDirectory,
    '--listener',
    '127.0.0.1:0',
    '--ready-json',
    '--log-level',
    'warn',
  ])
  // Whatever becomes of the test, no broker outlives it.
  test.teardown(() => running.kill('SIGKILL'))
  const ready = JSON.parse(await running.firstLine('stdout')) as {
    event: string
    listeners: string[]
  }
  return { running, address: ready.listeners[0] ?? '', dataDirectory }
}

async function stopBroker({ running }: Started): Promise<Outcome> {
  running.kill('SIGTERM')
  return running.outcome
}

const broker = await startBroker(t, t.testdir())

function millrace(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return runCommand(['--bootstrap', broker.address, ...args], options)
}

const text = Array.from({ length: 5000 }, (_, i) => `key-${i % 97}:line ${i} – grün`)

t.test('topics: create, list, describe, alter, delete', async (t) => {
  t.match(await millrace(['topic', 'create', 'one', '-p', '3', '-c', 'retention.ms=60000']), {
    exitCode: 0,
    stdout: '',
    stderr: 'Created topic one\n',
  })
  t.match(await millrace(['topic', 'create', 'one']), {
    exitCode: 4,
    stderr: /error\[TOPIC_ALREADY_EXISTS\]/,
  })
  t.match(await millrace(['topic', 'create', 'one', '--if-not-exists']), { exitCode: 0 })
  t.match(await millrace(['topic', 'create', 'dry', '--dry-run']), {
    exitCode: 0,
    stderr: 'Topic dry could be created\n',
  })
  t.match(await millrace(['topic', 'create', 'dry', 'one', '--dry-run']), { exitCode: 4 })
  t.match(await millrace(['topic', 'create', 'bad name']), {
    exitCode: 2,
    stderr: /INVALID_TOPIC_EXCEPTION/,
  })
  t.match(await millrace(['topic', 'create', 'x', '-c', 'retention.mz=1']), {
    exitCode: 2,
    stderr: /INVALID_CONFIG/,
  })
  const listed = JSON.parse((await millrace(['topic', 'list', '-o', 'json'])).stdout) as {
    topics: { name: string }[]
  }
  t.same(
    listed.topics.map(({ name }) => name),
    ['one'],
  )
  t.match(
    await millrace([
      'topic',
      'alter',
      'one',
      '-p',
      '5',
      '--delete-config',
      'retention.ms',
      '-c',
      'max.message.bytes=5000',
    ]),
    {
      exitCode: 0,
    },
  )
  const described = JSON.parse(
    (await millrace(['topic', 'describe', 'one', '-o', 'json'])).stdout,
  ) as {
    partitions: object[]
    configs: { name: string; value: string; source: string }[]
  }
  t.equal(described.partitions.length, 5)
  t.same(
    described.configs
      .filter(({ source }) => source === 'topic')
      .map(({ name, value }) => [name, value]),
    [['max.message.bytes', '5000']],
  )
  t.match(await millrace(['topic', 'describe', 'two']), {
    exitCode: 3,
    stderr: /UNKNOWN_TOPIC_OR_PARTITION/,
  })
  t.match(await millrace(['topic', 'delete', 'one', '--yes']), { exitCode: 0 })
  t.match(await millrace(['topic', 'delete', 'one', '--yes']), { exitCode: 3 })
})

for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
  t.test(`produce and consume: every line once and in order, ${codec}`, async (t) => {
    const topic = `lines-${codec}`
    await millrace(['topic', 'create', topic, '-p', '4'])
    const input = `${text.join('\n')}\n`
    const produced = await millrace(
      ['produce', topic, '--key-separator', ':', '--compression', codec, '--batch-bytes', '20000'],
      { input },
    )
    t.match(produced, { exitCode: 0, stderr: `Produced 5000 records to ${topic}\n` })
    const consumed = await millrace(['consume', topic, '--key-separator', ':'])
    t.equal(consumed.exitCode, 0)
    const lines = consumed.stdout.trimEnd().split('\n')
    t.same(lines.toSorted(), text.toSorted())
    for (let key = 0; key < 97; key += 8) {
      const ofKey = (line: string): boolean => line.startsWith(`key-${key}:`)
      t.same(lines.filter(ofKey), text.filter(ofKey), `key-${key} in order`)
    }
  })
}

t.test('consume: positions, counts, one partition, JSON', async (t) => {
  await millrace(['topic', 'create', 'positions', '-p', '2'])
  const input = Array.from({ length: 10 }, (_, i) =>
    JSON.stringify({
      value: `v${i}`,
      timestamp: 1000 * (i + 1),
      partition: 1,
      headers: [{ key: 'n', value: String(i) }],
    }),
  ).join('\n')
  t.match(await millrace(['produce', 'positions', '--json'], { input }), { exitCode: 0 })
  const values = async (...args: string[]): Promise<string[]> =>
    (await millrace(['consume', 'positions', ...args])).stdout.split('\n').slice(0, -1)
  t.same(await values('--from', '7'), ['v7', 'v8', 'v9'])
  t.same(await values('--from', '7', '-n', '3'), ['v7', 'v8', 'v9'], 'the other has fewer')
  t.same(await values('--from', '-2'), ['v8', 'v9'])
  t.same(await values('--from', '@8500'), ['v8', 'v9'])
  t.same(await values('-n', '2'), ['v0', 'v1'])
  t.same(await values('--partition', '0'), [])
  t.same(await values('--from', 'end', '-e'), [])
  t.match(await millrace(['consume', 'positions', '--partition', '2']), { exitCode: 3 })
  const [line = ''] = await values('--from', '9', '--json')
  t.same(JSON.parse(line), {
    topic: 'positions',
    partition: 1,
    offset: '9',
    timestamp: 10_000,
    key: null,
    value: 'v9',
    headers: [{ key: 'n', value: '9' }],
  })
})

t.test('consume: waits for as many records as it was asked for', async (t) => {
  await millrace(['topic', 'create', 'followed'])
  const following = startCommand(['-b', broker.address, 'consume', 'followed', '-n', '2'])
  await millrace(['produce', 'followed'], { input: 'first' })
  t.equal(await following.firstLine('stdout'), 'first', 'printed when it is there')
  await millrace(['produce', 'followed'], { input: 'second' })
  t.match(await following.outcome, { exitCode: 0, stdout: 'first\nsecond\n' })
})

t.test('produce: a level that the codec does not have', async (t) => {
  for (const [codec, level] of [
    ['gzip', '20'],
    ['lz4', '3'],
  ] as const) {
    const args = ['produce', 'positions', '--compression', codec, '--level', level]
    t.match(await millrace(args, { input: 'x' }), { exitCode: 2, stderr: /error\[USAGE\]/ })
  }
})

t.test('produce: too large a record says what to change', async (t) => {
  await millrace(['topic', 'create', 'small', '-c', 'max.message.bytes=1000'])
  const outcome = await millrace(['produce', 'small'], { input: 'x'.repeat(2000) })
  t.match(outcome, { exitCode: 1, stderr: /error\[MESSAGE_TOO_LARGE\][^]*max\.message\.bytes/ })
})

t.test('start: a port that is taken, a directory that is in use', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const taken = await runCommand([
    'start',
    '--data-dir',
    t.testdir(),
    '--listener',
    `127.0.0.1:${port}`,
  ])
  server.close()
  t.match(taken, { exitCode: 4, stdout: '', stderr: /error\[PORT_IN_USE\][^]*--listener/ })
  const locked = await runCommand([
    'start',
    '--data-dir',
    broker.dataDirectory,
    '--listener',
    '127.0.0.1:0',
  ])
  t.match(locked, { exitCode: 4, stdout: '', stderr: /error\[DATA_DIRECTORY_LOCKED\].*--data-dir/ })
})

t.test('start: a setting that does not exist is answered with the nearest one', async (t) => {
  const outcome = await runCommand([
    'start',
    '--data-dir',
    t.testdir(),
    '--set',
    'log.segment.byte=1',
  ])
  t.match(outcome, { exitCode: 2, stdout: '', stderr: /error\[CONFIG\].*log\.segment\.bytes/ })
  const file = await runCommand(['start', '--config', join(t.testdir(), 'none.properties')])
  t.match(file, { exitCode: 3, stderr: /none\.properties/ })
})

t.test('start: a stop is clean, the data is whole, and the next start serves it', async (t) => {
  const directory = t.testdir()
  const first = await startBroker(t, directory)
  await runCommand(['-b', first.address, 'topic', 'create', 'kept', '-p', '2'])
  await runCommand(['-b', first.address, 'produce', 'kept', '--key-separator', ':'], {
    input: text.join('\n'),
  })
  const stopped = await stopBroker(first)
  t.match(stopped, { exitCode: 0, stderr: /ready in \d+ ms/ })
  t.match(await runCommand(['log', 'verify', directory]), {
    exitCode: 0,
    stdout: /kept-0/,
    stderr: '',
  })
  const second = await startBroker(t, directory)
  const consumed = await runCommand([
    '-b',
    second.address,
    'consume',
    'kept',
    '--key-separator',
    ':',
  ])
  t.same(consumed.stdout.trimEnd().split('\n').toSorted(), text.toSorted())
  await stopBroker(second)
})
