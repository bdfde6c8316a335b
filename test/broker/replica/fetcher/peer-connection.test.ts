import t from 'tap'
import {
  isPeerFailure,
  PeerConnection,
  PeerError,
} from '../../../../broker/replica/fetcher/peer-connection.ts'
import { Simulation, type SimulatedEnv } from '../../../../base/simulated/simulated-env.ts'
import { ApiVersions } from '../../../../protocol/messages/api-versions.ts'
import { Fetch } from '../../../../protocol/messages/fetch.ts'
import type { AnyApi } from '../../../../protocol/schema/api.ts'
import { FakeBroker, type React } from '../../../client/fake-broker.ts'
import { testSeed } from '../../../support/seeded-random.ts'

interface Stage {
  readonly simulation: Simulation
  readonly peer: SimulatedEnv
  readonly broker: FakeBroker
  readonly open: () => Promise<PeerConnection>
}

async function stage(
  react: React,
  served: readonly [apiVersions: number, fetch: number] = [4, 18],
): Promise<Stage> {
  const simulation = new Simulation(testSeed(1))
  const peer = simulation.createEnv('broker')
  const env = simulation.createEnv('follower')
  const broker = await simulation.until(
    FakeBroker.listen({
      env: peer,
      port: 9092,
      serves: new Map<AnyApi, readonly [number, number]>([
        [ApiVersions, [0, served[0]]],
        [Fetch, [4, served[1]]],
      ]),
      react,
    }),
  )
  const options = {
    env,
    host: 'broker',
    port: 9092,
    clientId: 'broker-1-fetcher-0',
    timeoutMs: 2000,
  }
  return { simulation, peer, broker, open: () => simulation.until(PeerConnection.open(options)) }
}

const request = { maxWaitMs: 0, minBytes: 1, topics: [] }

function answer(bytes: Buffer): { response: object } {
  const partitions = [
    {
      partitionIndex: 0,
      errorCode: 0,
      highWatermark: 1,
      abortedTransactions: null,
      records: bytes,
    },
  ]
  return { response: { responses: [{ topicId: '1'.repeat(32), partitions }] } }
}

t.test('peer: answers of any size come whole, one after the other, in one buffer', async (t) => {
  const sizes = [10, 3_000_000, 0, 700_000, 65_536, ...Array.from({ length: 40 }, () => 100)]
  const bodies = sizes.map((size, index) => Buffer.alloc(size, index + 1))
  let next = 0
  const { simulation, open } = await stage(() => answer(bodies[next++] ?? Buffer.alloc(0)))
  const connection = await open()
  for (const body of bodies) {
    const response = await simulation.until(connection.send(Fetch, 18, request))
    const records = response.responses[0]?.partitions[0]?.records
    t.ok(records?.equals(body), `${body.length} bytes`)
  }
  connection.close()
  t.notOk(connection.open)
})

t.test('peer: versions are the highest that both speak, with an old ApiVersions too', async (t) => {
  const { open } = await stage(() => 'silence', [0, 17])
  const connection = await open()
  t.equal(connection.versionOf(Fetch), 17)
  t.throws(() => connection.versionOf(Fetch, 18), { code: 'UNSUPPORTED' })
})

t.test('peer: no answer in time ends the connection', async (t) => {
  const { simulation, open } = await stage(() => 'silence')
  const connection = await open()
  await t.rejects(simulation.until(connection.send(Fetch, 18, request)), { code: 'TIMEOUT' })
  t.notOk(connection.open)
  await t.rejects(connection.send(Fetch, 18, request), { code: 'TIMEOUT' })
})

t.test('peer: whoever waits learns that the connection broke', async (t) => {
  const { simulation, open, peer } = await stage((received) =>
    received.version === 18 ? 'close' : 'silence',
  )
  const first = await open()
  await t.rejects(simulation.until(first.send(Fetch, 18, request)), { code: 'CLOSED' })
  const second = await open()
  const waiting = second.send(Fetch, 17, request)
  waiting.catch(() => undefined)
  await simulation.run(simulation.scheduler.nowMs + 10)
  peer.kill()
  const error: unknown = await simulation.until(waiting).catch((reason: unknown) => reason)
  t.ok(error instanceof PeerError)
  t.ok(isPeerFailure(error))
  await t.rejects(open(), 'nobody listens any more')
})

t.test('peer: bytes that are no answer end the connection', async (t) => {
  const raw = [
    Buffer.from('7fffffff', 'hex'),
    Buffer.from('ffffffff', 'hex'),
    Buffer.from('00000004000000ff', 'hex'),
    Buffer.from('0000000100', 'hex'),
  ]
  for (const bytes of raw) {
    const { simulation, open } = await stage(() => ({ raw: bytes }))
    const connection = await open()
    await t.rejects(simulation.until(connection.send(Fetch, 18, request)), { code: 'PROTOCOL' })
  }
})
