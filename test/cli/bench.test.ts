// The bench commands as users run them, against a broker of ours: their lines, documents and exit codes.
import t from 'tap'
import { join } from 'node:path'
import { writeFileSync } from 'node:fs'
import { createProgram } from '../../cli/program.ts'
import { runCommand, startCommand, type Outcome, type Running } from './command.ts'

// A dozen processes one after the other, on a busy machine too.
t.setTimeout(480_000)

/** No argument here holds a space. */
function start(line: string): Running {
  return startCommand(line.split(' '))
}

const server = start(
  `start --data-dir ${t.testdir()} --listener 127.0.0.1:0 --ready-json --log-level warn ` +
    '--set flush.policy=os --set group.initial.rebalance.delay.ms=0',
)
t.teardown(() => server.kill('SIGKILL'))
const ready = JSON.parse(await server.firstLine('stdout')) as { listeners: string[] }
const address = ready.listeners[0] ?? ''

function bench(line: string): Promise<Outcome> {
  return runCommand(`bench ${line}`.split(' '))
}

const number = String.raw`[0-9]+\.[0-9]+`
const produceLine = new RegExp(
  `^(\\d+) (?:steady state )?records sent, ${number} records/sec \\(${number} MB/sec\\), ` +
    `${number} ms avg latency, ${number} ms max latency, ` +
    String.raw`\d+ ms 50th, \d+ ms 95th, \d+ ms 99th, \d+ ms 99\.9th\.$`,
)

t.test("bench: a command line of Kafka's producer tool, and what it wrote", async (t) => {
  const produced = await bench(
    'produce --topic written --num-records 3000 --record-size 100 --throughput -1 --print-metrics ' +
      `--producer-props bootstrap.servers=${address} acks=1 linger.ms=0 --warmup-records 1000`,
  )
  t.equal(produced.exitCode, 0, produced.stderr)
  const [all, steady] = produced.stdout.split('\n')
  t.match(all, produceLine)
  t.match(all, /^3000 records sent/)
  t.match(steady, produceLine)
  t.match(steady, /^2000 steady state records sent/)
  t.match(produced.stdout, /\nMetric Name +Value\n/)
  t.match(
    produced.stdout,
    /producer-metrics:record-send-total:\{client-id=perf-producer-client\} +: 3000\.000/,
  )
  t.match(produced.stderr, /Latency in ms: p50 [0-9.]+ /)

  const read = await bench(`consume --bootstrap-server ${address} --topic written --messages 3000`)
  t.equal(read.exitCode, 0, read.stderr)
  const [header, figures, rest] = read.stdout.split('\n')
  t.equal(
    header,
    'start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, ' +
      'rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec',
  )
  t.match(figures, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d:\d{3}, .*, 0\.2861, [0-9.]+, 3000, /)
  t.equal(rest, '')
})

t.test('bench: documents', async (t) => {
  const produced = await bench(
    `produce -b ${address} -o json --topic documents --num-records 500 --payload-monotonic ` +
      '--command-property compression.type=gzip',
  )
  t.equal(produced.exitCode, 0, produced.stderr)
  t.match(JSON.parse(produced.stdout), {
    schema_version: 1,
    topic: 'documents',
    records: 500,
    // Ten numbers of one digit, ninety of two, four hundred of three.
    bytes: 10 + 180 + 1200,
    failed: 0,
    latency_ms: { samples: 500, p50: Number, p99_9: Number, max: Number },
    settings: { acks: -1, 'compression.type': 'gzip' },
  })
  const read = await bench(
    `consume -b ${address} -o json --include docu.* --num-records 500 --group readers ` +
      '--show-detailed-stats --reporting-interval 1',
  )
  t.equal(read.exitCode, 0, read.stderr)
  t.match(JSON.parse(read.stdout), {
    group: 'readers',
    records: 500,
    bytes: 1390,
    intervals: Array,
  })
  const group = await start(`-b ${address} -o json group describe readers`).outcome
  t.match(JSON.parse(group.stdout), {
    partitions: [{ topic: 'documents', committed_offset: '500' }],
  })
})

t.test('bench: a pace is kept', async (t) => {
  const outcome = await bench(
    `produce -b ${address} -o json --topic paced --num-records 200 --record-size 10 --throughput 400`,
  )
  t.equal(outcome.exitCode, 0, outcome.stderr)
  const document = JSON.parse(outcome.stdout) as { elapsed_ms: number; throughput_wanted: number }
  t.equal(document.throughput_wanted, 400)
  t.ok(document.elapsed_ms >= (199 / 400) * 1000, `${document.elapsed_ms} ms`)
})

for (const [topic, options] of [
  ['one-by-one', '--num-records 50 --record-size 100 --producer-acks 1'],
  ['paced', '--num-records 300 --record-size 16 --throughput 1000'],
  [
    'keys-and-headers',
    '--num-records 20 --record-size 1 --record-key-size 3 --num-headers 2 ' +
      '--record-header-key-size 4 --record-header-size -1',
  ],
] as const) {
  t.test(`bench: latency, ${topic}`, async (t) => {
    const outcome = await bench(`latency -b ${address} --topic latency-${topic} ${options}`)
    t.equal(outcome.exitCode, 0, outcome.stderr)
    t.match(
      outcome.stdout,
      /^0\t[0-9.]+\nAvg latency: [0-9]+\.[0-9]{4} ms\nPercentiles: 50th = \d+, 99th = \d+, 99\.9th = \d+\n$/,
    )
    t.match(outcome.stderr, /^Topic .* does not exist/)
  })
}

t.test("bench: latency by the positions of Kafka's tool", async (t) => {
  const file = join(t.testdir(), 'client.properties')
  writeFileSync(file, 'client.id=e2e\nfetch.min.bytes=1\nrequest.timeout.ms=20000\n')
  const outcome = await bench(`latency ${address} positions 10 all 20 ${file} -o json`)
  t.equal(outcome.exitCode, 0, outcome.stderr)
  t.match(JSON.parse(outcome.stdout), { records: 10, acks: 'all', latency_ms: { samples: 10 } })
})

t.test('bench: fewer records than wanted', async (t) => {
  await bench(`produce -b ${address} --topic few --num-records 10 --record-size 5`)
  // Joining has to be done by then, on a busy machine too.
  const consume = `consume -b ${address} --topic few --timeout 12000 --num-records 11`
  const [some, none] = await Promise.all([
    bench(consume),
    bench(`${consume} --from-latest --group late`),
  ])
  t.match(some, { exitCode: 7, stderr: /error\[TIMED_OUT\]: Only 10 of 11 records came/ })
  t.match(some.stdout, /, 10, /)
  t.match(none, { exitCode: 5, stderr: /error\[TIMED_OUT\]: Only 0 of 11 records came/ })
})

t.test('bench: what can never work ends with the reason', async (t) => {
  const produce = `produce -b ${address} --topic large --num-records 5 --record-size 3000000`
  t.match(await bench(produce), {
    exitCode: 1,
    stdout: '',
    stderr: /^error\[RECORD_TOO_LARGE\]: .*max\.request\.size/,
  })
  t.match(await bench(`${produce} --producer-props max.request.size=9000000`), {
    exitCode: 1,
    stdout: '',
    stderr: /^error\[MESSAGE_TOO_LARGE\]/,
  })
  t.match(await bench(`consume -b ${address} --topic nowhere --num-records 1`), {
    exitCode: 3,
    stderr: /^error\[UNKNOWN_TOPIC_OR_PARTITION\]/,
  })
})

t.test('bench: Ctrl-C prints what was measured', async (t) => {
  const running = start(
    `bench produce -b ${address} --topic endless --num-records 100000000 --record-size 10 ` +
      '--throughput 500 --reporting-interval 100',
  )
  await running.firstLine('stdout')
  running.kill('SIGINT')
  const outcome = await running.outcome
  t.equal(outcome.exitCode, 130)
  t.match(outcome.stdout.trimEnd().split('\n').at(-1), produceLine)
  t.match(outcome.stderr, /error\[INTERRUPTED\]: Interrupted after \d+ of 100000000 records/)
})

const produceTen = 'produce --topic a --num-records 10'
const latencyOne = 'latency --topic a --num-records 1 --record-size 15'
for (const [line, why] of [
  [produceTen, /in one way/],
  [`${produceTen} --record-size 1 --payload-monotonic`, /in one way/],
  [`${produceTen} --record-size 1 --throughput 0`, /--throughput must be/],
  [`${produceTen} --record-size 1 --warmup-records 10`, /--warmup-records must be less/],
  [`${produceTen} --record-size 1 --transactional-id a`, /Transactions are not there yet/],
  [`${produceTen} --record-size 1 --producer-props batch.size=0`, /batch\.size is a whole/],
  ['consume --topic a', /--num-records is needed/],
  ['consume --num-records 1', /--topic and --include/],
  ['latency a b', /2 values without a name/],
  [`${latencyOne} --throughput 5`, /at least 16/],
  [`${latencyOne} --producer-acks 0`, /--producer-acks must be one of/],
] as const) {
  t.test(`bench: "${line}" is refused`, async (t) => {
    const words = ['bench', ...line.split(' ')]
    await t.rejects(createProgram().parseAsync(words, { from: 'user' }), {
      code: 'USAGE',
      message: why,
      report: { exitCode: 2 },
    })
  })
}
