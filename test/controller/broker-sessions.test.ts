import t from 'tap'
import type { Test } from 'tap'
import { silentLogger } from '../../base/logger.ts'
import { BrokerSessions } from '../../controller/broker-sessions.ts'
import { manualEnv, type ManualEnv } from '../support/manual-env.ts'

const incarnation = 'a'.repeat(32)

/** Time that can also jump, as it does for a process that was stopped. */
function stallingEnv(): { env: ManualEnv; stall: (ms: number) => void } {
  const env = manualEnv(1)
  let stalledMs = 0
  const clock = {
    wallMs: () => env.clock.wallMs() + stalledMs,
    monotonicMs: () => env.clock.monotonicMs() + stalledMs,
  }
  return {
    env: { ...env, clock, advance: (ms) => env.advance(ms) },
    stall: (ms) => void (stalledMs += ms),
  }
}

function start(
  t: Test,
  brokerIds: readonly number[],
  env: ManualEnv = manualEnv(1),
  localBrokerId?: number,
): {
  sessions: BrokerSessions
  expired: (readonly number[])[]
  touch: (...ids: number[]) => void
  env: ManualEnv
} {
  const expired: (readonly number[])[] = []
  const sessions = new BrokerSessions({
    env,
    logger: silentLogger,
    timeoutMs: 9000,
    heartbeatIntervalMs: 1000,
    localBrokerId,
    onExpired: (ids) => expired.push(ids),
  })
  sessions.begin(brokerIds.map((id) => ({ id, incarnation, fenced: false })))
  t.teardown(() => sessions.end())
  const touch = (...ids: number[]): void => {
    for (const id of ids) sessions.touch(id, { fenced: false, appliedOffset: 5, endOffset: 5 })
  }
  return { sessions, expired, touch, env }
}

t.test('sessions: a broker that is silent for the timeout expires, once', async (t) => {
  const { sessions, expired, touch, env } = start(t, [1, 2, 3])
  await env.advance(5000)
  touch(1, 2)
  await env.advance(3990)
  t.same(expired, [])
  t.ok(sessions.isLive(3))
  await env.advance(20)
  t.same(expired, [[3]])
  t.notOk(sessions.isLive(3))
  touch(1, 2)
  await env.advance(8000)
  t.same(expired, [[3]])
})

t.test('sessions: brokers that expire at one tick are told together', async (t) => {
  const { expired, touch, env } = start(t, [1, 2, 3, 4, 5, 6])
  await env.advance(5000)
  touch(1, 2, 3)
  await env.advance(4500)
  t.same(expired, [[4, 5, 6]])
})

t.test('sessions: a closed connection ends one in 1.5 s, unless a heartbeat comes', async (t) => {
  const { sessions, expired, touch, env } = start(t, [1, 2, 3])
  sessions.disconnected(1, incarnation)
  sessions.disconnected(2, incarnation)
  sessions.disconnected(3, 'b'.repeat(32))
  t.notOk(sessions.isLive(1), 'a restarted broker need not wait')
  await env.advance(1000)
  touch(2)
  await env.advance(490)
  t.same(expired, [])
  await env.advance(20)
  t.same(expired, [[1]])
  await env.advance(3000)
  t.same(expired, [[1]], 'another incarnation has nothing to do with it')
})

t.test('sessions: when most expire at once they get one more heartbeat', async (t) => {
  const { expired, touch, env } = start(t, [1, 2, 3])
  await env.advance(5000)
  touch(1)
  await env.advance(4900)
  t.same(expired, [])
  touch(2)
  await env.advance(1000)
  t.same(expired, [[3]], 'one of three is no mass, and has waited')
  const all = start(t, [1, 2, 3])
  await all.env.advance(9900)
  t.same(all.expired, [])
  await all.env.advance(200)
  t.same(all.expired, [[1, 2, 3]])
})

t.test('sessions: most brokers lost within a moment are told together', async (t) => {
  const closed = start(t, [1, 2, 3])
  for (const id of [1, 2, 3]) {
    closed.sessions.disconnected(id, incarnation)
    await closed.env.advance(10)
  }
  await closed.env.advance(4000)
  t.same(closed.expired, [[1, 2, 3]], 'closed connections')

  const silent = start(t, [1, 2, 3, 4])
  await silent.env.advance(1000)
  for (const id of [1, 2, 3]) {
    silent.touch(id)
    await silent.env.advance(300)
  }
  for (let second = 0; second < 12; second++) {
    silent.touch(4)
    await silent.env.advance(1000)
  }
  t.same(silent.expired, [[1, 2, 3]], 'machines that lost their power between two heartbeats')
})

t.test('sessions: time in which the controller stood still counts for nobody', async (t) => {
  const { env, stall } = stallingEnv()
  const { expired } = start(t, [1, 2, 3, 4], env)
  await env.advance(6000)
  stall(5000)
  await env.advance(2000)
  t.same(expired, [])
  await env.advance(3000)
  t.same(expired, [[1, 2, 3, 4]])
})

t.test('sessions: a stall while most seem dead puts the end of their wait off, too', async (t) => {
  const { env, stall } = stallingEnv()
  const { expired, touch } = start(t, [1, 2, 3], env)
  await env.advance(9100)
  stall(5000)
  await env.advance(500)
  t.same(expired, [], 'their heartbeats may be in the sockets')
  touch(1, 2, 3)
  await env.advance(5000)
  t.same(expired, [])
})

t.test(
  'sessions: a new reign gives full sessions, and between reigns nobody expires',
  async (t) => {
    const { sessions, expired, env } = start(t, [1, 2])
    await env.advance(8000)
    sessions.end()
    await env.advance(60_000)
    t.same(expired, [])
    sessions.begin([
      { id: 1, incarnation, fenced: false },
      { id: 2, incarnation, fenced: true },
      { id: 3, incarnation, fenced: false },
    ])
    await env.advance(8900)
    sessions.touch(3, { fenced: false, appliedOffset: 1, endOffset: 2 })
    await env.advance(200)
    t.same(expired, [[1]], 'who is fenced already has no session')
  },
)

t.test('sessions: the broker in the own process never expires', async (t) => {
  const { expired, env } = start(t, [7], manualEnv(1), 7)
  await env.advance(600_000)
  t.same(expired, [])
})

t.test('sessions: brokers that stop do not hold others up', async (t) => {
  const { sessions, touch } = start(t, [1, 2])
  t.equal(sessions.lowestActiveOffset(), -1, 'not heard of yet')
  touch(1)
  sessions.beginShutdown(2, 7)
  sessions.beginShutdown(2, 9)
  t.equal(sessions.shutdownOffset(2), 7)
  t.equal(sessions.lowestActiveOffset(), 5)
  sessions.touch(1, { fenced: true, appliedOffset: 6, endOffset: 8 })
  t.equal(sessions.lowestActiveOffset(), Infinity)
  t.match(sessions.observers(), [
    { brokerId: 1, appliedOffset: 6 },
    { brokerId: 2, lastFetchMs: -1 },
  ])
})
