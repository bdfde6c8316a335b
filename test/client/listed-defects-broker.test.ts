// What other clients get wrong and a real broker is needed to show (see `listed-defects.test.ts`); and bundlers.
import { mkdtempSync, rmSync } from 'node:fs'
import { execFile } from 'node:child_process'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import t from 'tap'
import { startBroker } from '../../broker/testing.ts'
import { Kafka } from '../../client/kafka.ts'
import { int32, string } from '../../client/serdes.ts'
import { topic } from '../../client/topic.ts'

const orders = topic('orders', { key: string(), value: string() })
const here = dirname(fileURLToPath(import.meta.url))

t.test('heartbeats: a handler that takes three sessions keeps its partition', async (t) => {
  const properties = { 'group.min.session.timeout.ms': '100' }
  await using broker = await startBroker({ topics: { orders: 1 }, properties })
  await using kafka = new Kafka({ brokers: broker.brokers })
  await kafka.producer().sendBatch(orders, [{ value: 'a' }, { value: 'b' }])
  await using consumer = kafka.consumer({
    group: 'billing',
    protocol: 'classic',
    offsetReset: 'earliest',
    sessionTimeoutMs: 400,
    heartbeatIntervalMs: 50,
  })
  const lost: unknown[] = []
  consumer.onRebalance({
    lost: (places) => lost.push(places),
    revoked: (places) => lost.push(places),
  })
  const seen: (string | null)[] = []
  for await (const { value } of consumer.subscribe(orders)) {
    seen.push(value)
    if (seen.length === 1) await new Promise((resolve) => setTimeout(resolve, 1200))
    else break
  }
  t.strictSame(seen, ['a', 'b'])
  t.strictSame(lost, [])
  t.match(await consumer.committed([orders.partition(0)]), [{ offset: 1 }])
})

t.test('rebalance: a member that joins takes its share, and nothing else stops', async (t) => {
  const properties = {
    'group.consumer.min.heartbeat.interval.ms': '50',
    'group.consumer.heartbeat.interval.ms': '50',
  }
  await using broker = await startBroker({ topics: { orders: 4 }, properties })
  await using kafka = new Kafka({ brokers: broker.brokers })
  for (const protocol of ['classic', 'consumer'] as const) {
    const options = { group: `billing-${protocol}`, protocol, heartbeatIntervalMs: 50 } as const
    const calls: string[] = []
    const members = ['first', 'second'].map((name) => {
      const consumer = kafka.consumer(options)
      consumer.onRebalance({
        assigned: (places) => void calls.push(`${name} gets ${places.length}`),
        revoked: async (places) => {
          await new Promise((resolve) => setTimeout(resolve, 100))
          calls.push(`${name} gives ${places.length}`)
        },
      })
      return consumer
    })
    const [first, second] = members
    const runs = [first!.run(orders, () => undefined)]
    while (first!.assignment.length !== 4) await new Promise((resolve) => setTimeout(resolve, 10))
    calls.length = 0
    runs.push(second!.run(orders, () => undefined))
    while (second!.assignment.length !== 2) await new Promise((resolve) => setTimeout(resolve, 10))
    const told = calls.filter((call) => !call.endsWith(' 0')).slice(0, 3)
    t.equal(told[0], 'first gives 2', `${protocol}: it gives up two of four, and was waited for`)
    t.ok(
      told.slice(1).every((call) => call.startsWith('second gets')),
      told.join(', '),
    )
    await Promise.all(members.map((member) => member.close()))
    await Promise.all(runs)
  }
})

t.test('poison: tried again, then set aside with its cause, and only then committed', async (t) => {
  await using broker = await startBroker({ topics: { orders: 1, 'orders.dlq': 1 } })
  await using kafka = new Kafka({ brokers: broker.brokers })
  await kafka.producer().sendBatch(orders, [{ key: 'k', value: 'poison' }, { value: 'good' }])
  await using consumer = kafka.consumer({ group: 'billing', offsetReset: 'earliest' })
  const tried: (string | null)[] = []
  const handler = ({ value }: { readonly value: string | null }): void => {
    tried.push(value)
    if (value === 'poison') throw new TypeError('bad order')
  }
  const retry = { attempts: 3, initialMs: 10 }
  const over = consumer.run(orders, handler, { retry, deadLetter: 'orders.dlq' })
  const [letter] = await broker.waitForMessages('orders.dlq', { count: 1 })
  while (consumer.position(orders.partition(0)) !== 2)
    await new Promise((resolve) => setTimeout(resolve, 10))
  t.strictSame(tried, ['poison', 'poison', 'poison', 'good'])
  t.match(letter, { key: 'k', value: 'poison', headers: { 'dlq.error.message': 'bad order' } })
  await consumer.close()
  await over
  const again = kafka.consumer({ group: 'billing' })
  t.match(await again.committed([orders.partition(0)]), [{ offset: 2 }])
})

t.test('headers: have the types that their topic says', async (t) => {
  const typed = topic('typed', { value: string(), headers: { attempt: int32(), trace: string() } })
  await using broker = await startBroker({ topics: { typed: 1 } })
  await using kafka = new Kafka({ brokers: broker.brokers })
  const headers = { attempt: 7, trace: 'ключ' }
  await kafka.producer().send(typed, { value: 'a', headers })
  await using consumer = kafka.consumer({ offsetReset: 'earliest' })
  consumer.assign([typed.partition(0)])
  for await (const record of consumer.subscribe(typed)) {
    const { attempt, trace }: { attempt: number; trace: string } = record.headers
    t.strictSame({ attempt, trace }, headers)
    break
  }
})

/** One record in each of these codecs, sent and read again. */
const program = (codecs: readonly string[]): string => `
  import { Kafka, string, topic } from ${JSON.stringify(join(here, '../../client/index.js'))}
  const orders = topic('orders', { value: string() })
  const kafka = new Kafka({ brokers: [process.argv[2]] })
  async function main() {
    for (const compression of ${JSON.stringify(codecs)}) {
      const producer = kafka.producer({ compression })
      const { offset } = await producer.send(orders, { value: compression.repeat(100) })
      const consumer = kafka.consumer()
      consumer.assign([{ ...orders.partition(0), from: offset }])
      for await (const { value } of consumer.subscribe(orders)) {
        console.log(value === compression.repeat(100) ? compression : value)
        break
      }
    }
    await kafka.close()
  }
  void main()
`

for (const format of ['esm', 'cjs'] as const) {
  // With nothing installed beside it a bundle has what Node itself has.
  for (const [place, parent, codecs] of [
    ['far from any package', tmpdir(), ['none', 'gzip']],
    ['beside the packages', here, ['none', 'gzip', 'snappy', 'lz4', 'zstd']],
  ] as const) {
    t.test(`bundling: esbuild makes one file of ${format}, and it runs ${place}`, async (t) => {
      const folder = mkdtempSync(join(parent, 'bundle-'))
      t.teardown(() => rmSync(folder, { recursive: true }))
      const file = join(folder, format === 'esm' ? 'program.mjs' : 'program.cjs')
      const { errors } = await build({
        stdin: { contents: program(codecs), resolveDir: here },
        bundle: true,
        platform: 'node',
        format,
        outfile: file,
        logLevel: 'silent',
      })
      t.strictSame(errors, [])
      await using broker = await startBroker({ topics: { orders: 1 } })
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [file, broker.address])
      t.strictSame(stdout.trim().split('\n'), codecs)
      t.equal(stderr, '')
    })
  }
}

t.test('bundling: a codec that is not installed is named, and nothing is skipped', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'bundle-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const outfile = join(folder, 'client.mjs')
  const entryPoints = [join(here, '../../client/index.js')]
  await build({ entryPoints, bundle: true, platform: 'node', format: 'esm', outfile })
  const bundled = (await import(outfile)) as { readonly Kafka: typeof Kafka }
  await using broker = await startBroker({ topics: { orders: 1 } })
  await using kafka = new bundled.Kafka({ brokers: broker.brokers })
  t.throws(() => kafka.producer({ compression: 'snappy' }), /package "snappy"/)
  await using installed = new Kafka({ brokers: broker.brokers })
  const value = 'x'.repeat(1000)
  await installed.producer({ compression: 'snappy' }).send(orders, { value })
  await using consumer = kafka.consumer({ offsetReset: 'earliest' })
  consumer.assign([orders.partition(0)])
  const records = consumer.subscribe(orders)[Symbol.asyncIterator]()
  await t.rejects(records.next(), {
    code: 'UNSUPPORTED_COMPRESSION_TYPE',
    kind: 'config',
    message: /orders-0.*package "snappy"/,
  })
  t.equal(consumer.position(orders.partition(0)), 0)
})
