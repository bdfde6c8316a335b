import t from 'tap'
import { silentLogger } from '../../base/logger.ts'
import { BrokerLifecycle, type LifecycleOptions } from '../../broker/broker-lifecycle.ts'
import { ClusterImage } from '../../broker/metadata/image.ts'
import type {
  BrokerHeartbeat,
  ControllerLink,
  HeartbeatAnswer,
} from '../../controller/controller-link.ts'
import { refuse, type Outcome } from '../../controller/outcome.ts'
import { errors } from '../../protocol/errors.ts'
import { manualEnv } from '../support/manual-env.ts'

const incarnation = '1'.repeat(32)
const serving = { isFenced: false, isCaughtUp: true, shouldShutdown: false, suspended: false }

/** A lifecycle whose controller says what the test wants. */
function world(options: Partial<LifecycleOptions> = {}) {
  const env = manualEnv(1)
  const image = new ClusterImage('c')
  const state = {
    env,
    image,
    registrations: 0,
    epochs: [] as number[],
    failures: [] as Error[],
    heartbeats: [] as BrokerHeartbeat[],
    register: (): Outcome<{ epoch: number }> => ({ ok: true, epoch: 10 }),
    answer: (): Outcome<HeartbeatAnswer> => ({ ok: true, ...serving }),
  }
  const link = {
    image,
    registerBroker: async () => {
      state.registrations++
      return state.register()
    },
    heartbeat: async (heartbeat: BrokerHeartbeat) => {
      state.heartbeats.push(heartbeat)
      return state.answer()
    },
  }
  const lifecycle = new BrokerLifecycle({
    env,
    logger: silentLogger,
    link: link as unknown as ControllerLink,
    nodeId: 1,
    incarnation,
    registration: () => ({ brokerId: 1, incarnation, listeners: [], rack: null, host: 'm' }),
    registered: (epoch) => state.epochs.push(epoch),
    heartbeats: { intervalMs: 1000, sessionTimeoutMs: 9000 },
    registrationTimeoutMs: 60_000,
    failed: (error) => state.failures.push(error),
    ...options,
  })
  return Object.assign(state, { lifecycle })
}

/** Another incarnation, or this one, at an epoch. */
function know(image: ClusterImage, epoch: number, of = incarnation): void {
  image.apply(image.offset + 1, [
    {
      type: 'registerBroker',
      brokerId: 1,
      brokerEpoch: epoch,
      incarnation: of,
      fenced: true,
      inControlledShutdown: false,
      listeners: [{ name: 'P', host: 'elsewhere', port: 9, securityProtocol: 'PLAINTEXT' }],
      rack: null,
      host: 'm',
    },
  ])
}

t.test('lifecycle: registers, stays fenced until it serves, and then asks for more', async (t) => {
  const w = world()
  await w.lifecycle.register()
  await w.env.advance(2500)
  t.same(w.epochs, [10])
  t.ok(w.heartbeats.every(({ wantFence, brokerEpoch }) => wantFence && brokerEpoch === 10))
  t.equal(w.heartbeats.length, 3)
  const served = w.lifecycle.serve()
  await w.env.advance(0)
  await served
  t.match(w.heartbeats.at(-1), { wantFence: false, wantShutdown: false })
  w.lifecycle.close()
})

t.test('lifecycle: a refused registration is repeated until the time is over', async (t) => {
  const w = world({ registrationTimeoutMs: 5000 })
  w.register = () => refuse(errors.duplicateBrokerRegistration, 'used id')
  const registering = w.lifecycle.register()
  const refused = t.rejects(registering, { code: 'NOT_REGISTERED', message: 'used id' })
  await w.env.advance(10_000)
  await refused
  t.ok(w.registrations > 4 && w.registrations < 15)
})

t.test('lifecycle: a data directory of another cluster is final', async (t) => {
  const w = world()
  w.register = () => refuse(errors.inconsistentClusterId, 'another')
  await t.rejects(w.lifecycle.register(), { code: 'NOT_REGISTERED' })
  t.equal(w.registrations, 1)
})

t.test('lifecycle: without answers the session ends, with one it goes on', async (t) => {
  const w = world()
  await w.lifecycle.register()
  void w.lifecycle.serve()
  await w.env.advance(5000)
  w.answer = () => refuse(errors.notController)
  await w.env.advance(8000)
  t.notOk(w.lifecycle.sessionExpired)
  await w.env.advance(2000)
  t.ok(w.lifecycle.sessionExpired)
  w.answer = () => ({ ok: true, ...serving, suspended: true })
  await w.env.advance(1500)
  t.ok(w.lifecycle.sessionExpired, 'another controller may have taken over')
  w.answer = () => ({ ok: true, ...serving })
  await w.env.advance(1500)
  t.notOk(w.lifecycle.sessionExpired)
  w.lifecycle.close()
})

t.test('lifecycle: another broker with its id ends it', async (t) => {
  const w = world()
  await w.lifecycle.register()
  know(w.image, 12, '2'.repeat(32))
  w.answer = () => refuse(errors.staleBrokerEpoch)
  await w.env.advance(3000)
  t.match(w.failures, [{ code: 'FENCED', message: /node 1, at elsewhere:9.*node\.id/ }])
  t.equal(w.heartbeats.length, 1)
})

t.test('lifecycle: metadata that name another incarnation are not followed', async (t) => {
  const w = world()
  know(w.image, 5, '2'.repeat(32))
  await w.lifecycle.register()
  t.ok(w.lifecycle.keepsPlace(), 'an earlier life')
  know(w.image, 10)
  t.ok(w.lifecycle.keepsPlace())
  know(w.image, 12, '2'.repeat(32))
  t.notOk(w.lifecycle.keepsPlace())
  w.image.apply(w.image.offset + 1, [{ type: 'unregisterBroker', brokerId: 1, brokerEpoch: 12 }])
  t.notOk(w.lifecycle.keepsPlace(), 'not even when that one has gone')
  t.match(w.failures, [{ code: 'FENCED', message: /node 1, at elsewhere:9.*node\.id/ }])
  await w.env.advance(3000)
  t.same(w.heartbeats.length, 1)
})

t.test(
  'lifecycle: its own later epoch is taken over, and a lost registration repeated',
  async (t) => {
    const w = world()
    await w.lifecycle.register()
    know(w.image, 11)
    w.answer = () => refuse(errors.staleBrokerEpoch)
    await w.env.advance(1500)
    t.equal(w.lifecycle.epoch, 11)
    w.image.apply(w.image.offset + 1, [{ type: 'unregisterBroker', brokerId: 1, brokerEpoch: 11 }])
    w.register = () => ({ ok: true, epoch: 30 })
    await w.env.advance(1500)
    t.equal(w.lifecycle.epoch, 30)
    t.same(w.failures, [])
    w.lifecycle.close()
  },
)

for (const [title, of] of [
  ['its own', incarnation],
  ['an earlier', '2'.repeat(32)],
] as const) {
  t.test(
    `lifecycle: ${title} lower epoch, of a store that was put back, is replaced`,
    async (t) => {
      const w = world()
      await w.lifecycle.register()
      know(w.image, 5, of)
      w.answer = () => refuse(errors.staleBrokerEpoch)
      w.register = () => {
        w.answer = () => ({ ok: true, ...serving })
        return { ok: true, epoch: 30 }
      }
      await w.env.advance(1500)
      t.equal(w.lifecycle.epoch, 30)
      t.equal(w.registrations, 2)
      t.same(w.failures, [])
      w.lifecycle.close()
    },
  )
}

t.test('lifecycle: leaving ends when the controller says so', async (t) => {
  const w = world()
  await w.lifecycle.register()
  void w.lifecycle.serve()
  await w.env.advance(100)
  let left = false
  void w.lifecycle.leave().then(() => (left = true))
  await w.env.advance(2000)
  t.match(w.heartbeats.at(-1), { wantShutdown: true, wantFence: false })
  t.notOk(left)
  w.answer = () => ({ ok: true, ...serving, isFenced: true, shouldShutdown: true })
  await w.env.advance(100)
  t.ok(left)
  w.lifecycle.close()
})

t.test('lifecycle: leaving does not wait for a controller that is away', async (t) => {
  const w = world()
  await w.lifecycle.register()
  void w.lifecycle.serve()
  w.answer = () => refuse(errors.notController)
  let left = false
  void w.lifecycle.leave().then(() => (left = true))
  await w.env.advance(6000)
  t.ok(left)
  w.lifecycle.close()
})

t.test('lifecycle: leaving does not bring a session back that has ended', async (t) => {
  const w = world()
  await w.lifecycle.register()
  void w.lifecycle.serve()
  w.answer = () => refuse(errors.notController)
  await w.env.advance(10_000)
  t.ok(w.lifecycle.sessionExpired, 'somebody else may lead by now')
  let left = false
  void w.lifecycle.leave().then(() => (left = true))
  t.ok(w.lifecycle.sessionExpired)
  await w.env.advance(2000)
  t.ok(w.lifecycle.sessionExpired)
  t.notOk(left, 'the controller has a moment to come back')
  await w.env.advance(3000)
  t.ok(left)
  w.lifecycle.close()
})

t.test('lifecycle: nobody hears of a broker that is alone with its controller', async (t) => {
  const w = world({ heartbeats: undefined })
  await w.lifecycle.register()
  await w.lifecycle.serve()
  await w.env.advance(60_000)
  t.same(w.heartbeats, [])
  t.notOk(w.lifecycle.sessionExpired)
  t.notOk(w.lifecycle.isFenced)
  await w.lifecycle.leave()
})
