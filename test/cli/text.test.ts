import t from 'tap'
import { Readable, Writable } from 'node:stream'
import { NetworkError, StorageError } from '../../base/env.ts'
import { KafkaError } from '../../client/errors.ts'
import { CliError, formatReport, reportOf } from '../../cli/errors.ts'
import { linesOf } from '../../cli/lines.ts'
import { bootstrapOf, keyValues, oneOf, wholeNumber } from '../../cli/options.ts'
import { flushed, formatJson, formatTable, writeOut } from '../../cli/output.ts'
import { BatchBuilder } from '../../protocol/records/builder.ts'
import { recordsOf } from '../../protocol/records/record.ts'
import { formatRecord } from '../../cli/record-output.ts'
import { parseLine } from '../../cli/record-input.ts'
import { parsePosition } from '../../cli/start-position.ts'

const usage = { code: 'USAGE' }

t.test(
  'bootstrap: the command line goes before the environment, that before this machine',
  async (t) => {
    const output = 'table' as const
    t.same(bootstrapOf({ output, bootstrap: 'a:1, b:2' }, { KAFKA_BROKERS: 'c' }), ['a:1', 'b:2'])
    t.same(bootstrapOf({ output }, { KAFKA_BROKERS: 'c:3', BOOTSTRAP_SERVERS: 'd' }), ['c:3'])
    t.same(bootstrapOf({ output }, { BOOTSTRAP_SERVERS: 'd:4' }), ['d:4'])
    t.same(bootstrapOf({ output }, {}), ['localhost:9092'])
    t.throws(() => bootstrapOf({ output, bootstrap: ' , ' }, {}), usage)
  },
)

t.test('options: numbers, pairs and choices that are none', async (t) => {
  t.equal(wholeNumber('--n', '12', 1), 12)
  for (const bad of ['0', '-1', '1.5', 'x', '', '1e3', '9007199254740993']) {
    t.throws(() => wholeNumber('--n', bad, 1), usage, bad)
  }
  t.same(keyValues('--set', ['a=1', 'b=', 'c=d=e']), { a: '1', b: '', c: 'd=e' })
  for (const bad of ['a', '=1', '']) t.throws(() => keyValues('--set', [bad]), usage, bad)
  t.equal(oneOf('--x', 'b', ['a', 'b']), 'b')
  t.throws(() => oneOf('--x', 'c', ['a', 'b']), { message: /one of a, b, not "c"/ })
})

t.test('errors: each kind has its exit code, and says what to do', async (t) => {
  const client = (code: string): KafkaError => new KafkaError(code, 'x', { retriable: false })
  const cases: [unknown, number][] = [
    [CliError.usage('x'), 2],
    [client('UNKNOWN_TOPIC_OR_PARTITION'), 3],
    [client('UNKNOWN_PARTITION'), 3],
    [client('TOPIC_ALREADY_EXISTS'), 4],
    [client('UNREACHABLE'), 5],
    [client('REQUEST_TIMEOUT'), 5],
    [client('TOPIC_AUTHORIZATION_FAILED'), 6],
    [client('INVALID_CONFIG'), 2],
    [client('CORRUPT_DATA'), 1],
    [new NetworkError('x', { code: 'EADDRINUSE' }), 4],
    [new StorageError('x', { code: 'ENOSPC', path: '/d' }), 1],
    [new StorageError('x', { code: 'EACCES', path: '/d' }), 6],
    [new StorageError('x', { code: 'DIRECTORY_FOREIGN', path: '/d' }), 4],
    [Object.assign(new Error('x'), { code: 'DATA_DIRECTORY_LOCKED' }), 4],
    [Object.assign(new Error('x'), { code: 'CONFIG' }), 2],
    [new Error('x'), 1],
    ['x', 1],
  ]
  for (const [error, exitCode] of cases) t.equal(reportOf(error).exitCode, exitCode, String(error))
  t.match(reportOf(new NetworkError('x', { code: 'EADDRINUSE' })), {
    code: 'PORT_IN_USE',
    fix: /port 0/,
  })
  t.match(reportOf(client('UNREACHABLE')), { fix: /--bootstrap/ })
})

t.test('errors: the shape for people and the one for programs', async (t) => {
  const report = { code: 'C', message: 'what', why: 'because', fix: 'do', exitCode: 1 }
  t.equal(formatReport(report, 'table'), 'error[C]: what\nwhy: because\nfix: do\n')
  t.equal(formatReport({ code: 'C', message: 'what', exitCode: 1 }, 'table'), 'error[C]: what\n')
  t.same(JSON.parse(formatReport(report, 'json')), {
    error: { code: 'C', message: 'what', why: 'because', fix: 'do' },
  })
})

t.test('output: columns are as wide as their widest cell', async (t) => {
  const columns = [
    { title: 'NAME', of: (row: [string, number]) => row[0] },
    { title: 'N', of: (row: [string, number]) => row[1], right: true },
  ]
  t.equal(
    formatTable(columns, [
      ['a', 5],
      ['longer', 1000],
    ]),
    'NAME       N\na          5\nlonger  1000\n',
  )
  t.equal(formatTable(columns, []), 'NAME  N\n')
  t.same(JSON.parse(formatJson({ a: '1' })), { schema_version: 1, a: '1' })
})

async function lines(...chunks: string[]): Promise<string[]> {
  const found: string[] = []
  for await (const line of linesOf(
    Readable.from(chunks.map((chunk) => Buffer.from(chunk, 'latin1'))),
  )) {
    found.push(line.toString('latin1'))
  }
  return found
}

t.test('lines: cut anywhere, the same come out', async (t) => {
  const text = 'one\n\nthr\xffee\r\nlast'
  const expected = ['one', '', 'thr\xffee', 'last']
  t.same(await lines(text), expected)
  t.same(await lines(...text.split('')), expected)
  for (let cut = 0; cut <= text.length; cut++)
    t.same(await lines(text.slice(0, cut), text.slice(cut)), expected)
  t.same(await lines('a\n'), ['a'])
  t.same(await lines(), [])
})

const plain = { key: null, keySeparator: undefined, headers: [], json: false }

t.test('input lines: value alone, key and value, a key for all', async (t) => {
  t.match(parseLine(Buffer.from('a:b'), 1, plain), { key: null, value: Buffer.from('a:b') })
  const split = { ...plain, key: Buffer.from('default'), keySeparator: '::' }
  t.match(parseLine(Buffer.from('a::b::c'), 1, split), {
    key: Buffer.from('a'),
    value: Buffer.from('b::c'),
  })
  t.match(parseLine(Buffer.from('ab'), 1, split), {
    key: Buffer.from('default'),
    value: Buffer.from('ab'),
  })
  t.match(parseLine(Buffer.from('::b'), 1, split), {
    key: Buffer.alloc(0),
    value: Buffer.from('b'),
  })
})

const json = { ...plain, json: true }

t.test('input lines: JSON that is wrong names the line', async (t) => {
  for (const bad of [
    '{',
    '[]',
    '1',
    'null',
    '{"headers":1}',
    '{"headers":[{}]}',
    '{"partition":"x"}',
    '{"timestamp":-1}',
    '{"partition":true}',
    '{"timestamp":""}',
    '{"partition":[]}',
    '{"value_base64":"a*b="}',
    '{"value_base64":7}',
    '{"headers":[{"key":"k","value_base64":"abcde"}]}',
  ]) {
    t.throws(() => parseLine(Buffer.from(bad), 7, json), { message: /Line 7/, ...usage }, bad)
  }
})

t.test('input lines: in JSON null is nothing, and what is no text is JSON', async (t) => {
  const line = '{"value":null,"partition":null,"timestamp":"12","headers":[{"key":"a","value":7}]}'
  t.match(parseLine(Buffer.from(line), 1, json), {
    value: null,
    partition: undefined,
    timestamp: 12,
    headers: [{ key: 'a', value: Buffer.from('7') }],
  })
})

t.test('records: what is printed as JSON is read back as it was', async (t) => {
  const binary = Buffer.from([0xff, 0x00, 0xc3])
  const records = [
    { key: null, value: null, headers: [] },
    {
      key: Buffer.from('k'),
      value: Buffer.from('grün "quoted"\n'),
      headers: [{ key: 'h', value: null }],
    },
    {
      key: binary,
      value: binary,
      headers: [
        { key: 'b', value: binary },
        { key: 'b', value: Buffer.from('text') },
      ],
    },
  ]
  const builder = new BatchBuilder({ baseOffset: 2 ** 50 })
  for (const { key, value, headers } of records) builder.append(key, value, headers, 1234)
  const format = { json: true, keySeparator: undefined, headers: true }
  const printed = Array.from(recordsOf(builder.finish()), (record) =>
    formatRecord('t', 3, record, format),
  )
  t.match(JSON.parse(printed[0]!.toString()), { offset: String(2 ** 50), topic: 't', partition: 3 })
  const back = printed.map((line) => parseLine(line.subarray(0, -1), 1, json))
  t.same(
    back,
    records.map((record) => ({ ...record, partition: 3, timestamp: 1234 })),
  )
})

t.test('records: printed as lines, with and without key and headers', async (t) => {
  const builder = new BatchBuilder()
  builder.append(
    'k',
    'v',
    [
      { key: 'h', value: 'x' },
      { key: 'n', value: null },
    ],
    1,
  )
  builder.append(null, null, [], 1)
  const records = [...recordsOf(builder.finish())]
  const print = (format: { keySeparator: string | undefined; headers: boolean }): string[] =>
    records.map((record) => formatRecord('t', 0, record, { json: false, ...format }).toString())
  t.same(print({ keySeparator: undefined, headers: false }), ['v\n', '\n'])
  t.same(print({ keySeparator: ':', headers: false }), ['k:v\n', ':\n'])
  t.same(print({ keySeparator: '\t', headers: true }), ['h=x,n=\tk\tv\n', '\t\t\n'])
})

t.test('--from: every form, and what is none', async (t) => {
  const now = 1_000_000_000
  t.same(parsePosition('start', now), { kind: 'start' })
  t.same(parsePosition('end', now), { kind: 'end' })
  t.same(parsePosition('17', now), { kind: 'offset', offset: 17 })
  t.same(parsePosition('-5', now), { kind: 'last', count: 5 })
  t.same(parsePosition('@1700000000000', now), { kind: 'time', timestamp: 1_700_000_000_000 })
  t.same(parsePosition('@2026-01-31T12:00:00Z', now), {
    kind: 'time',
    timestamp: Date.UTC(2026, 0, 31, 12),
  })
  t.same(parsePosition('@-90m', now), { kind: 'time', timestamp: now - 5_400_000 })
  t.same(parsePosition('@2026-01-31', now), { kind: 'time', timestamp: Date.UTC(2026, 0, 31) })
  const nowhere = ['', '@', '1.5', 'middle', '99999999999999999999']
  const never = ['soon', '-5y', '-7', '-999999d', 'Route 66', '1969-12-31', '99999999999999999999']
  for (const bad of [...nowhere, ...never.map((text) => `@${text}`)]) {
    t.throws(() => parsePosition(bad, now), usage, bad)
  }
})

t.test('output: what a slow reader has not taken yet is waited for', async (t) => {
  const taken: string[] = []
  let next = (): void => undefined
  const slow = new Writable({
    write(chunk: Buffer, _encoding, done) {
      next = () => {
        taken.push(String(chunk))
        done()
      }
    },
  })
  await writeOut(slow, 'one')
  await writeOut(slow, 'two')
  let isFlushed = false
  const flushing = flushed(slow).then(() => (isFlushed = true))
  for (let turn = 0; turn < 3; turn++) {
    t.equal(isFlushed, false)
    next()
    await new Promise((resolve) => setImmediate(resolve))
  }
  await flushing
  t.same(taken.slice(0, 2), ['one', 'two'])
  await flushed(slow)
})
