import t from 'tap'
import type { Socket } from '../../base/env.ts'
import { silentLogger } from '../../base/logger.ts'
import { Simulation, type SimulatedEnv } from '../../base/simulated/simulated-env.ts'
import type { Controller } from '../../controller/controller.ts'
import { ControllerServer } from '../../controller/controller-server.ts'
import {
  decodeFrame,
  encodeFrame,
  magic,
  RpcFrames,
  rpcVersion,
  toBroker,
  toController,
} from '../../controller/rpc/frames.ts'
import { errors } from '../../protocol/errors.ts'
import { forReal, newTopic, openController, register } from '../support/controllers.ts'

const incarnation = 'cd'.repeat(16)

/** A controller that listens, and a machine beside it. */
class World {
  readonly simulation = new Simulation(1)
  readonly env = this.simulation.createEnv('controller')
  readonly peer: SimulatedEnv = this.simulation.createEnv('broker')
  controller!: Controller
  server!: ControllerServer
  readonly gone: [number, string][] = []

  static async create(localBrokerId?: number): Promise<World> {
    const world = new World()
    const { env, simulation } = world
    world.controller = await simulation.until(openController({ env }))
    const options = { env, logger: silentLogger, host: 'controller', port: 9093, localBrokerId }
    world.server = await simulation.until(
      ControllerServer.listen({
        ...options,
        failed: (error) => {
          throw error
        },
      }),
    )
    return world
  }

  serve(): void {
    const served = Object.create(this.controller) as Controller
    this.server.serve(
      new Proxy(served, {
        get: (_, name) => {
          if (name === 'disconnected') {
            return (brokerId: number, incarnation: string) =>
              this.gone.push([brokerId, incarnation])
          }
          const value: unknown = Reflect.get(this.controller, name, this.controller)
          return typeof value === 'function'
            ? (value as () => unknown).bind(this.controller)
            : value
        },
      }),
    )
  }

  async connect(): Promise<Peer> {
    const dialled = this.peer.network.dial({ host: 'controller', port: 9093, timeoutMs: 1000 })
    return new Peer(this, await this.simulation.until(dialled))
  }

  run(ms: number): Promise<void> {
    return this.simulation.run(this.simulation.scheduler.nowMs + ms)
  }
}

class Peer {
  readonly received: (readonly unknown[])[] = []
  closed = false
  readonly #world: World
  readonly #socket: Socket

  constructor(world: World, socket: Socket) {
    this.#world = world
    this.#socket = socket
    const frames = new RpcFrames(1 << 24)
    socket.onData = (chunk) => {
      for (const body of frames.push(chunk)) this.received.push(decodeFrame(body))
    }
    socket.onClose = () => {
      this.closed = true
    }
  }

  async send(...fields: unknown[]): Promise<void> {
    this.#socket.write(encodeFrame(fields))
    await this.#world.run(20)
  }

  async sendBytes(bytes: Buffer): Promise<void> {
    this.#socket.write([bytes])
    await this.#world.run(20)
  }

  subscribe(options: { clusterId?: string; epoch?: number; offset?: number } = {}): Promise<void> {
    const { clusterId = null, epoch = -1, offset = -1 } = options
    const { subscribe } = toController
    return this.send(subscribe, magic, rpcVersion, clusterId, 7, incarnation, epoch, offset)
  }

  get types(): unknown[] {
    return this.received.map(([type]) => type)
  }

  async leave(): Promise<void> {
    this.#socket.destroy()
    await this.#world.run(20)
  }
}

t.test('server: a new broker gets a snapshot, then each batch', async (t) => {
  const world = await World.create()
  world.serve()
  const { controller } = world
  await world.simulation.until(register(controller))
  const peer = await world.connect()
  await peer.subscribe()
  t.same(peer.types, [toBroker.accepted, toBroker.snapshot])
  const { clusterId, offset } = controller.image
  t.same(peer.received[0]?.slice(1), [clusterId, 1, offset, controller.generation])
  await world.simulation.until(controller.createTopics([newTopic('orders')], forReal))
  await world.run(20)
  t.same(peer.received[2]?.slice(0, 2), [toBroker.delta, controller.image.offset])
})

t.test('server: a broker that returns gets what it missed and no snapshot', async (t) => {
  const world = await World.create()
  world.serve()
  const { controller } = world
  const { offset } = controller.image
  await world.simulation.until(register(controller))
  const peer = await world.connect()
  await peer.subscribe({ clusterId: controller.image.clusterId, epoch: 1, offset })
  t.same(peer.types, [toBroker.accepted, toBroker.delta])
})

t.test('server: whoever is of another cluster, reign or history is sent away', async (t) => {
  const world = await World.create()
  world.serve()
  const { offset } = world.controller.image
  const cases = [
    { from: { clusterId: 'another' }, error: errors.inconsistentClusterId },
    { from: { epoch: 2, offset: 0 }, error: errors.staleControllerEpoch },
    { from: { epoch: 1, offset: offset + 1 }, error: errors.offsetOutOfRange },
  ]
  for (const { from, error } of cases) {
    const peer = await world.connect()
    await peer.subscribe(from)
    t.match(peer.received, [[toBroker.refused, error.code, String, null]])
    t.equal(peer.received.length, 1)
    t.ok(peer.closed)
  }
})

t.test('server: a broker with the number of the one in its process is sent away', async (t) => {
  const world = await World.create(7)
  world.serve()
  const peer = await world.connect()
  await peer.subscribe()
  const { code } = errors.duplicateBrokerRegistration
  t.match(peer.received, [[toBroker.refused, code, /Node 7 is .* node\.id of its own/, null]])
  t.ok(peer.closed)
  t.same(world.gone, [], 'the one in the process goes on')
})

t.test('server: while another controller reigns it tells where', async (t) => {
  const world = await World.create()
  world.server.standBy(() => 'other:9093')
  const peer = await world.connect()
  await peer.subscribe()
  t.match(peer.received, [[toBroker.refused, errors.notController.code, String, 'other:9093']])
  world.serve()
  const served = await world.connect()
  await served.subscribe()
  t.notOk(served.closed)
  world.server.standBy(() => null)
  await world.run(20)
  t.ok(served.closed, 'who was served is sent away')
})

t.test('server: what is not a broker costs its connection only', async (t) => {
  const world = await World.create()
  world.serve()
  const nonsense = [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.from([0, 0, 0, 5, 0xdd, 0xff, 0xff, 0xff, 0xff]),
    Buffer.concat(encodeFrame([9])),
    Buffer.concat(encodeFrame([toController.subscribe, 'x'])),
    Buffer.concat(encodeFrame([toController.subscribe, magic, rpcVersion, 1, 2, 3])),
    Buffer.concat(encodeFrame([toController.request, 1, 2, []])),
    Buffer.concat(encodeFrame(['x'])),
    Buffer.from([0, 0, 0, 1, 0xc0]),
  ]
  for (const bytes of nonsense) {
    const peer = await world.connect()
    await peer.sendBytes(bytes)
    t.ok(peer.closed, bytes.toString('hex'))
  }
  const peer = await world.connect()
  await peer.subscribe()
  await peer.send(toController.request, 1, 2, [[8, 1, 1, false, false]])
  t.ok(peer.closed, 'a heartbeat in the name of another broker')
  t.same(world.gone, [[7, incarnation]])
})

t.test('server: another version is told so', async (t) => {
  const world = await World.create()
  world.serve()
  const peer = await world.connect()
  await peer.send(toController.subscribe, magic, rpcVersion + 1, 'whatever')
  t.match(peer.received, [[toBroker.refused, errors.unsupportedVersion.code, /same Millrace/]])
})

t.test('server: a broker is gone with its last connection, or when it falls silent', async (t) => {
  const world = await World.create()
  world.serve()
  const first = await world.connect()
  await first.subscribe()
  const second = await world.connect()
  await second.subscribe()
  await first.leave()
  t.same(world.gone, [])
  await world.run(30_000)
  t.ok(second.closed)
  t.same(world.gone, [[7, incarnation]])
})

t.test('server: requests are answered, each with the offset it rests upon', async (t) => {
  const world = await World.create()
  world.serve()
  const peer = await world.connect()
  await peer.subscribe()
  await peer.send(toController.request, 5, 4, [7])
  t.same(peer.types.slice(2), [toBroker.delta, toBroker.answer], 'news first')
  t.same(peer.received.at(-1), [toBroker.answer, 5, world.controller.image.offset, [0, [0, 1000]]])
})
