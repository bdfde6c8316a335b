import t from 'tap'
import { Connection } from '../../client/connection.ts'
import { KafkaError } from '../../client/errors.ts'
import { Simulation, type SimulatedEnv } from '../../base/simulated/simulated-env.ts'
import { encodeResponse } from '../../protocol/headers.ts'
import { ApiVersions } from '../../protocol/messages/api-versions.ts'
import { Metadata } from '../../protocol/messages/metadata.ts'
import { Produce } from '../../protocol/messages/produce.ts'
import type { AnyApi } from '../../protocol/schema/api.ts'
import { testSeed } from '../support/seeded-random.ts'
import { FakeBroker, type React } from './fake-broker.ts'

const metadata = (clusterId: string): object => ({ brokers: [], clusterId, topics: [] })

interface Stage {
  readonly simulation: Simulation
  readonly env: SimulatedEnv
  readonly broker: FakeBroker
  readonly open: () => Promise<Connection>
}

async function stage(
  react: React,
  serves?: readonly [AnyApi, readonly [number, number]][],
): Promise<Stage> {
  const simulation = new Simulation(testSeed(1))
  const brokerEnv = simulation.createEnv('broker')
  const env = simulation.createEnv('client')
  const broker = await simulation.until(
    FakeBroker.listen({
      env: brokerEnv,
      port: 9092,
      serves: new Map<AnyApi, readonly [number, number]>(
        serves ?? [
          [ApiVersions, [0, 4]],
          [Metadata, [0, 13]],
        ],
      ),
      react,
    }),
  )
  const open = (): Promise<Connection> =>
    simulation.until(
      Connection.open({
        env,
        host: 'broker',
        port: 9092,
        clientId: 'test',
        connectTimeoutMs: 5000,
        requestTimeoutMs: 2000,
      }),
    )
  return { simulation, env, broker, open }
}

t.test('connection: versions are the highest that both sides speak', async (t) => {
  const { open } = await stage(
    () => 'silence',
    [
      [ApiVersions, [0, 3]],
      [Metadata, [4, 9]],
      [Produce, [0, 99]],
    ],
  )
  const connection = await open()
  t.equal(connection.versionOf(Metadata), 9)
  t.equal(connection.versionOf(Metadata, 7), 7)
  t.equal(connection.versionOf(Produce), Produce.versions[1])
})

t.test(
  'connection: an API that the broker lacks, or has in other versions only, is an error that says so',
  async (t) => {
    const { open } = await stage(
      () => 'silence',
      [
        [ApiVersions, [0, 4]],
        [Metadata, [20, 30]],
      ],
    )
    const connection = await open()
    t.throws(() => connection.versionOf(Metadata), {
      code: 'UNSUPPORTED_API',
      message: /serves 20 to 30/,
      retriable: false,
    })
    t.throws(() => connection.versionOf(Produce), {
      code: 'UNSUPPORTED_API',
      message: /does not serve it/,
    })
  },
)

for (const last of [3, 0]) {
  t.test(`connection: a broker whose ApiVersions ends at ${last} is asked again`, async (t) => {
    const { open, broker } = await stage(
      () => 'silence',
      [
        [ApiVersions, [0, last]],
        [Metadata, [0, 5]],
      ],
    )
    const connection = await open()
    t.equal(connection.versionOf(Metadata), 5)
    t.same(
      broker.received.map(({ version, clientId }) => [version, clientId]),
      [[last, 'test']],
    )
  })
}

t.test('connection: overlapping requests get their own answers', async (t) => {
  const { open, simulation } = await stage(({ request }) => ({
    response: metadata(String(request.topics[0].name)),
  }))
  const connection = await open()
  const names = Array.from({ length: 20 }, (_, i) => `topic-${i}`)
  const answers = await simulation.until(
    Promise.all(names.map((name) => connection.send(Metadata, 9, { topics: [{ name }] }))),
  )
  t.same(
    answers.map(({ clusterId }) => clusterId),
    names,
  )
})

t.test('connection: answers that come out of order find their requests', async (t) => {
  const held: { correlationId: number; name: string }[] = []
  const { open, simulation } = await stage(({ request, correlationId, socket }) => {
    held.push({ correlationId, name: String(request.topics[0].name) })
    if (held.length === 3) {
      for (const { correlationId: id, name } of held.toReversed()) {
        socket.write([encodeResponse(Metadata, 9, id, metadata(name) as never).finish()])
      }
    }
    return 'silence'
  })
  const connection = await open()
  const sent = ['a', 'b', 'c'].map((name) => connection.send(Metadata, 9, { topics: [{ name }] }))
  const answers = await simulation.until(Promise.all(sent))
  t.same(
    answers.map(({ clusterId }) => clusterId),
    ['a', 'b', 'c'],
  )
})

t.test('connection: silence ends in a timeout, which closes the connection for all', async (t) => {
  const { open, simulation, env } = await stage(() => 'silence')
  const connection = await open()
  const startMs = env.clock.monotonicMs()
  const first = connection.send(Metadata, 9, { topics: null })
  const second = connection.send(Metadata, 9, { topics: null }, { timeoutMs: 500 })
  const failures = await simulation.until(Promise.allSettled([first, second]))
  for (const failure of failures) {
    t.match(failure, { status: 'rejected', reason: { code: 'REQUEST_TIMEOUT', retriable: true } })
  }
  t.equal(Math.round(env.clock.monotonicMs() - startMs), 500)
  t.notOk(connection.open)
  await t.rejects(connection.send(Metadata, 9, { topics: null }), { code: 'REQUEST_TIMEOUT' })
})

t.test('connection: a broker that goes away fails what waits, and the reason stays', async (t) => {
  const { open, simulation } = await stage(() => 'close')
  const connection = await open()
  await t.rejects(simulation.until(connection.send(Metadata, 9, { topics: null })), {
    code: 'CONNECTION_LOST',
    retriable: true,
  })
  await t.rejects(connection.send(Metadata, 9, { topics: null }), { code: 'CONNECTION_LOST' })
})

for (const [name, raw] of [
  ['a TLS alert', Buffer.from('15030300020246', 'hex')],
  ['HTTP', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ['an answer to nobody', Buffer.from('0000000400ffffff', 'hex')],
  ['a frame without an id', Buffer.from('0000000100', 'hex')],
] as const) {
  t.test(`connection: ${name} is a protocol error`, async (t) => {
    const { open, simulation } = await stage(() => ({ raw }))
    const connection = await open()
    await t.rejects(simulation.until(connection.send(Metadata, 9, { topics: null })), {
      code: /PROTOCOL|REQUEST_TIMEOUT/,
    })
    t.notOk(connection.open)
  })
}

t.test('connection: close rejects what waits', async (t) => {
  const { open, simulation } = await stage(() => 'silence')
  const connection = await open()
  const sent = connection.send(Metadata, 9, { topics: null })
  connection.close()
  await t.rejects(simulation.until(sent), { code: 'CLOSED', retriable: false })
})

t.test('connection: nobody there is an error with the address', async (t) => {
  const simulation = new Simulation(testSeed(1))
  const env = simulation.createEnv('client')
  simulation.createEnv('broker')
  const opening = Connection.open({
    env,
    host: 'broker',
    port: 9092,
    clientId: 'test',
    connectTimeoutMs: 5000,
    requestTimeoutMs: 2000,
  })
  const error = await simulation.until(opening).catch((caught: unknown) => caught)
  t.ok(error instanceof KafkaError)
  t.match(error, { code: 'UNREACHABLE', retriable: true, message: /broker:9092/ })
})

t.test('connection: a signal ends one wait, and its answer is dropped', async (t) => {
  let held = 0
  const { open, simulation } = await stage(({ request, correlationId, socket }) => {
    held = correlationId
    if (request.topics[0].name === 'first') return 'silence'
    socket.write([encodeResponse(Metadata, 9, held - 1, metadata('late') as never).finish()])
    return { response: metadata('second') }
  })
  const connection = await open()
  const abort = new AbortController()
  const options = { signal: abort.signal }
  const first = connection.send(Metadata, 9, { topics: [{ name: 'first' }] }, options)
  abort.abort(new Error('enough'))
  await t.rejects(first, { code: 'ABORTED', kind: 'aborted', cause: { message: 'enough' } })
  const second = connection.send(Metadata, 9, { topics: [{ name: 'second' }] })
  t.equal((await simulation.until(second)).clusterId, 'second')
  t.ok(connection.open)
  await t.rejects(connection.send(Metadata, 9, { topics: null }, options), { code: 'ABORTED' })
})

t.test('connection: one that nobody uses is closed, one that waits is not', async (t) => {
  const { simulation, env } = await stage(() => 'silence')
  const connection = await simulation.until(
    Connection.open({
      env,
      host: 'broker',
      port: 9092,
      clientId: 'test',
      connectTimeoutMs: 5000,
      requestTimeoutMs: 100_000,
      idleMsMax: 10_000,
    }),
  )
  const waiting = connection.send(Metadata, 9, { topics: null }, { timeoutMs: 25_000 })
  const failed = t.rejects(waiting, { code: 'REQUEST_TIMEOUT' })
  await simulation.run(env.clock.monotonicMs() + 20_000)
  t.ok(connection.open)
  await simulation.run(env.clock.monotonicMs() + 10_000)
  await failed
  const idle = await simulation.until(
    Connection.open({
      env,
      host: 'broker',
      port: 9092,
      clientId: 'test',
      connectTimeoutMs: 5000,
      requestTimeoutMs: 1000,
      idleMsMax: 10_000,
    }),
  )
  await simulation.run(env.clock.monotonicMs() + 9000)
  t.ok(idle.open)
  await simulation.run(env.clock.monotonicMs() + 2000)
  t.notOk(idle.open)
})
