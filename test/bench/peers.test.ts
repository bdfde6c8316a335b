// Peers as processes: what is missing is named, what dies is told, nothing is left running.
import * as net from 'node:net'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { PeerFailed, PeerUnavailable, type Peer, type Terms } from '../../bench/harness/peer.ts'
import { ProcessRegistry } from '../../bench/harness/processes.ts'
import { PreparedCommand } from '../../bench/load/prepared-command.ts'
import { Instance, type NodePlan } from '../../bench/peers/instance.ts'
import { peerNamed } from '../../bench/peers/peers.ts'
import { freePorts } from '../../bench/peers/ports.ts'
import { natsServes, redisServes } from '../../bench/peers/probes.ts'

const terms: Terms = { brokers: 1, durability: 'os' }

/** A server of one line, or whatever the program does. */
async function planOf(program: string): Promise<NodePlan> {
  const [port = 0] = await freePorts(1)
  const host = '127.0.0.1'
  const serves = async (): Promise<boolean> => redisServes({ host, port })
  const args = ['-e', program, `${port}`]
  return { id: 1, host, port, dataFolder: '/', command: process.execPath, args, serves }
}

const answering = `require('net').createServer((s) => { s.on('error', () => {}); s.once('data', () => s.write('+PONG\\r\\n')) })
  .listen(Number(process.argv[1]), '127.0.0.1')`

function peer(name: string): Peer {
  const found = peerNamed(name)
  if (found === undefined) throw new Error(`There is no peer ${name}`)
  return found
}

t.test('peers: names', async (t) => {
  for (const name of ['self', 'self@HEAD', 'kafka', 'nats', 'redis'])
    t.equal(peerNamed(name)?.name, name)
  t.equal(peerNamed('rabbit'), undefined)
  t.equal(peerNamed('self@'), undefined)
})

t.test('peers: what is not installed is unavailable, with how to get it', async (t) => {
  const path = process.env['PATH']
  const processes = new ProcessRegistry()
  t.teardown(() => {
    process.env['PATH'] = path
  })
  process.env['PATH'] = '/nowhere'
  for (const [name, wanted] of [
    ['kafka', /apt-get install default-jdk/],
    ['nats', /apt-get install nats-server/],
    ['redis', /apt-get install redis-server/],
  ] as const) {
    const prepared = peer(name).prepare({ processes, log: () => undefined })
    await t.rejects(prepared, { name: 'PeerUnavailable', message: wanted })
  }
})

t.test('peers: a commit that git does not know is unavailable', async (t) => {
  const prepared = peer('self@no-such-ref').prepare({
    processes: new ProcessRegistry(),
    log: () => undefined,
  })
  await t.rejects(prepared, PeerUnavailable)
})

t.test('instance: starts, tells a death, starts again, stops', async (t) => {
  const processes = new ProcessRegistry()
  t.teardown(() => processes.killAll())
  const plan = {
    peer: peer('redis'),
    terms,
    processes,
    controllers: [],
    brokers: [await planOf(answering)],
  }
  const instance = await Instance.start(plan)
  const [node] = instance.nodes
  t.ok(instance.readyMs > 0)
  t.equal(instance.failure(), undefined)
  t.strictSame(instance.processIds(), [node.processId])
  process.kill(node.processId, 'SIGKILL')
  while (instance.failure() === undefined) await new Promise((resolve) => setTimeout(resolve, 5))
  t.match(instance.failure(), /is gone/)
  t.strictSame(instance.processIds(), [])
  await node.restart()
  t.equal(instance.failure(), undefined, 'it lives again')
  await node.kill()
  t.equal(instance.failure(), undefined, 'whoever is killed by us has not failed')
  await node.restart()
  await instance.stop()
  t.strictSame(instance.processIds(), [])
})

t.test('instance: what ends before it serves has failed, with what it wrote', async (t) => {
  const processes = new ProcessRegistry()
  const brokers = [await planOf('console.error("no such setting"); process.exit(3)')]
  const plan = { peer: peer('redis'), terms, processes, controllers: [], brokers }
  const error = await Instance.start(plan).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  t.ok(error instanceof PeerFailed)
  t.match(error, { message: /no such setting/ })
})

t.test('probes: a server that is loading does not serve', async (t) => {
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', (bytes) =>
      socket.write(bytes.includes('CONNECT') ? 'INFO {}\r\nPONG\r\n' : '-LOADING data\r\n'),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const { port } = server.address() as net.AddressInfo
  const address = { host: '127.0.0.1', port }
  t.equal(await redisServes(address), false)
  t.equal(await natsServes(address), true)
})

t.test('prepared command: waits until it is told, counts what it ran, tells failure', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-test-'))
  const processes = new ProcessRegistry()
  t.teardown(async () => {
    await processes.killAll()
    rmSync(folder, { recursive: true, force: true })
  })
  const good = await PreparedCommand.create(processes, ['echo', 'two words'])
  t.match(await good.run(), /^two words$/m)
  await good.close()
  const bad = await PreparedCommand.create(processes, ['sh', '-c', 'echo why; exit 7'])
  await t.rejects(bad.run(), /ended with 7[\s\S]*why/)
  await bad.close()
})
