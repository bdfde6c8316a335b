// What a simulated machine can suffer, and that a seed decides all of it.
import t from 'tap'
import type { Listener, Socket } from '../../../base/env.ts'
import {
  createSimulatedEnv,
  Simulation,
  type SimulatedEnv,
} from '../../../base/simulated/simulated-env.ts'
import { closed, received } from '../env-harness.ts'

const ignore = (): void => undefined

function disk(seed: number): SimulatedEnv {
  const env = createSimulatedEnv(seed)
  env.disk.makeDirectory('/d')
  env.disk.syncDirectoryNow('/')
  return env
}

/** A file whose name and first bytes are durable. */
function durableFile(env: SimulatedEnv, bytes: Buffer): void {
  const file = env.disk.open('/d/a', 'write')
  file.write([bytes], 0)
  file.syncNow()
  env.disk.syncDirectoryNow('/d')
  file.close()
}

t.test('disk: a power cut keeps what was synced, and any part of the rest', async (t) => {
  const outcomes = new Map<string, number>()
  for (let seed = 0; seed < 300; seed++) {
    const env = disk(seed)
    durableFile(env, Buffer.alloc(1_000, 1))
    const file = env.disk.open('/d/a', 'write')
    for (let index = 0; index < 4; index++)
      file.write([Buffer.alloc(512, 2 + index)], 1_024 + index * 512)
    env.cutPower()
    env.boot()
    const left = env.disk.readFile('/d/a') ?? Buffer.alloc(0)
    t.ok(
      left.subarray(0, 1_000).equals(Buffer.alloc(1_000, 1)),
      `seed ${seed}: synced bytes are there`,
    )
    const sectors = [0, 1, 2, 3].map((index) => left[1_024 + index * 512])
    const text = sectors.map((value) => (value === undefined ? '-' : value)).join('')
    outcomes.set(text, (outcomes.get(text) ?? 0) + 1)
  }
  t.ok(outcomes.has('----'), 'all of it lost')
  t.ok(outcomes.has('2345'), 'none of it lost')
  t.ok(outcomes.has('23--'), 'a prefix')
  t.ok(
    [...outcomes.keys()].some((text) => /0.*[2-5]/.test(text)),
    'a hole before what survived',
  )
  t.ok(outcomes.has('0000') || outcomes.has('2000'), 'a size without its data')
})

t.test('disk: a name is lost without a sync of its directory', async (t) => {
  let lost = 0
  let kept = 0
  for (let seed = 0; seed < 50; seed++) {
    const env = disk(seed)
    const file = env.disk.open('/d/new', 'write')
    file.write([Buffer.from('synced')], 0)
    file.syncNow()
    env.cutPower()
    if (env.disk.stat('/d/new') === undefined) lost += 1
    else if (env.disk.readFile('/d/new')?.toString() === 'synced') kept += 1
  }
  t.ok(lost > 0 && kept > 0 && lost + kept === 50, `lost ${lost}, kept ${kept}`)
})

t.test('disk: a rename shows the old file or the new one, never neither', async (t) => {
  const seen = new Set<string>()
  for (let seed = 0; seed < 50; seed++) {
    const env = disk(seed)
    durableFile(env, Buffer.from('old'))
    const file = env.disk.open('/d/a.tmp', 'write')
    file.write([Buffer.from('new')], 0)
    file.syncNow()
    env.disk.rename('/d/a.tmp', '/d/a')
    env.cutPower()
    seen.add(env.disk.readFile('/d/a')?.toString() ?? 'neither')
  }
  t.same([...seen].sort(), ['new', 'old'])
})

t.test('disk: a sync covers what was written before it began', async (t) => {
  for (let seed = 0; seed < 20; seed++) {
    const env = disk(seed)
    durableFile(env, Buffer.from('a'))
    const file = env.disk.open('/d/a', 'write')
    file.write([Buffer.from('b')], 1)
    const first = file.sync()
    const second = file.sync()
    file.write([Buffer.from('c')], 2)
    await env.simulation.until(Promise.all([first, second]))
    env.cutPower()
    t.match(env.disk.readFile('/d/a')?.toString(), /^ab(c|\0)?$/, `seed ${seed}`)
  }
})

t.test('disk: a sync that fails leaves clean pages behind', async (t) => {
  const env = disk(3)
  durableFile(env, Buffer.from('a'))
  const file = env.disk.open('/d/a', 'write')
  env.disk.fail({ operation: 'sync', code: 'EIO', path: '/d/a', times: 1 })
  file.write([Buffer.from('b')], 1)
  await t.rejects(env.simulation.until(file.sync()), { name: 'StorageError', code: 'EIO' })
  await env.simulation.until(file.sync())
  t.equal(env.disk.readFile('/d/a')?.toString(), 'ab', 'still readable')
  env.cutPower()
  t.equal(env.disk.readFile('/d/a')?.toString(), 'a', 'the second sync had nothing to write')
})

t.test('disk: ENOSPC after what fits', async (t) => {
  const env = disk(1)
  env.disk.capacityBytes = 10
  const file = env.disk.open('/d/a', 'write')
  file.write([Buffer.alloc(6)], 0)
  t.throws(() => file.write([Buffer.alloc(3), Buffer.alloc(3)], 6), { code: 'ENOSPC' })
  t.equal(file.size(), 10)
  t.equal(env.disk.space('/d').freeBytes, 0)
  file.write([Buffer.alloc(6)], 2)
  env.disk.remove('/d/a')
  t.equal(env.disk.space('/d').freeBytes, 10)
})

t.test('disk: faults strike where and when they are told to', async (t) => {
  const env = disk(1)
  const file = env.disk.open('/d/a', 'write')
  env.disk.fail({ operation: 'write', code: 'EROFS', path: '/d/a', after: 1, times: 2 })
  env.disk.fail({ operation: 'read', code: 'EIO', path: '/other' })
  const write = (): void => file.write([Buffer.from('x')], 0)
  write()
  t.throws(write, { code: 'EROFS', path: '/d/a' })
  t.throws(write, { code: 'EROFS' })
  write()
  t.equal(file.read(Buffer.alloc(1), 0, 1, 0), 1)
  env.disk.fail({ operation: 'open', code: 'EMFILE' })
  t.throws(() => env.disk.open('/d/a', 'read'), { code: 'EMFILE' })
  env.disk.faults.clear()
  env.disk.open('/d/a', 'read').close()
})

t.test('disk: rot shows in reads and maps alike', async (t) => {
  const env = disk(1)
  durableFile(env, Buffer.from([0, 0, 0]))
  const file = env.disk.open('/d/a', 'read')
  const map = file.map(3)
  env.disk.flipBit('/d/a', 1, 7)
  t.same(env.disk.readFile('/d/a'), Buffer.from([0, 128, 0]))
  t.equal(map?.read(1, 1)[0], 128)
  map?.release()
  env.cutPower()
  t.same(env.disk.readFile('/d/a'), Buffer.from([0, 128, 0]))
})

t.test('disk: a released map shows poison', async (t) => {
  const env = disk(1)
  durableFile(env, Buffer.from('abc'))
  const map = env.disk.open('/d/a', 'read').map(3)
  const bytes = map?.read(0, 3)
  map?.release()
  t.same(bytes, Buffer.alloc(3, 0xdb))
})

t.test('disk: another one in its place has nothing of what was synced', async (t) => {
  const env = disk(1)
  durableFile(env, Buffer.from('synced'))
  env.cutPower()
  env.disk.replace()
  env.boot()
  t.same(env.disk.list('/'), [])
  env.disk.makeDirectory('/d')
  t.same(env.disk.list('/d'), [])
})

t.test('process: a kill keeps the page cache, frees locks, and stops every callback', async (t) => {
  const env = disk(1)
  const file = env.disk.open('/d/a', 'write')
  file.write([Buffer.from('unsynced')], 0)
  t.ok(env.disk.lock('/d/.lock'))
  let calls = 0
  env.timers.after(1, () => (calls += 1))
  void file.sync().then(() => (calls += 1))
  env.kill()
  await env.simulation.run(1_000)
  t.equal(calls, 0)
  t.throws(() => file.size(), { message: 'a file dies with its process' })
  t.equal(env.disk.readFile('/d/a')?.toString(), 'unsynced')
  t.ok(env.disk.lock('/d/.lock'))
})

interface World {
  readonly simulation: Simulation
  readonly a: SimulatedEnv
  readonly b: SimulatedEnv
  readonly listener: Listener
  readonly near: Socket
  readonly far: Socket
}

/** Host "a" connected to a listener on host "b". */
async function world(seed: number): Promise<World> {
  const simulation = new Simulation(seed)
  const [a, b] = [simulation.createEnv('a'), simulation.createEnv('b')]
  let accept: (socket: Socket) => void = ignore
  const incoming = new Promise<Socket>((resolve) => {
    accept = resolve
  })
  const listening = b.network.listen(
    { host: '0.0.0.0', port: 9092 },
    (socket) => accept(socket),
    ignore,
  )
  const listener = await simulation.until(listening)
  const near = await simulation.until(a.network.dial({ host: 'b', port: 9092, timeoutMs: 1_000 }))
  return { simulation, a, b, listener, near, far: await simulation.until(incoming) }
}

t.test('process: what a killed one has dialled does not reach the next one', async (t) => {
  for (const port of [9092, 1]) {
    const simulation = new Simulation(port)
    const [server, client] = [simulation.createEnv('server'), simulation.createEnv('client')]
    await simulation.until(server.network.listen({ host: '', port: 9092 }, ignore, ignore))
    let answers = 0
    const count = (): void => {
      answers += 1
    }
    client.network.dial({ host: 'server', port, timeoutMs: 1000 }).then(count, count)
    client.kill()
    await simulation.run(5000)
    t.equal(answers, 0)
  }
})

t.test('network: a short cut delays, a long one breaks the connection', async (t) => {
  const { simulation, near, far } = await world(1)
  const chunks: string[] = []
  far.onData = (chunk) => chunks.push(chunk.toString())
  simulation.network.cut('a', 'b')
  near.write([Buffer.from('one')])
  await simulation.run(simulation.scheduler.nowMs + 10_000)
  t.same(chunks, [])
  simulation.network.heal()
  await simulation.run(simulation.scheduler.nowMs + 10)
  t.same(chunks, ['one'])
  simulation.network.cut('a', 'b')
  const gone = closed(near)
  near.write([Buffer.from('two')])
  t.match(await simulation.until(gone), { code: 'ETIMEDOUT' })
  t.same(chunks, ['one'])
})

t.test('network: a one-way cut lets the other way through', async (t) => {
  const { simulation, near, far } = await world(1)
  const chunks: string[] = []
  near.onData = (chunk) => chunks.push(chunk.toString())
  simulation.network.cut('a', 'b')
  far.write([Buffer.from('news')])
  await simulation.run(simulation.scheduler.nowMs + 10)
  t.same(chunks, ['news'])
})

t.test('network: one cut ends and the others do not', async (t) => {
  const { simulation, near, far } = await world(1)
  const chunks: string[] = []
  near.onData = (chunk) => chunks.push(chunk.toString())
  far.onData = (chunk) => chunks.push(chunk.toString())
  simulation.network.cut('a', 'b')
  simulation.network.cut('b', 'a')
  near.write([Buffer.from('there')])
  far.write([Buffer.from('back')])
  simulation.network.mend('b', 'a')
  await simulation.run(simulation.scheduler.nowMs + 10)
  t.same(chunks, ['back'])
  simulation.network.mend('a', 'b')
  await simulation.run(simulation.scheduler.nowMs + 10)
  t.same(chunks, ['back', 'there'])
})

t.test('network: a reset loses the suffix that was on its way', async (t) => {
  const { simulation, near, far } = await world(1)
  let arrivedBytes = 0
  far.onData = (chunk) => (arrivedBytes += chunk.length)
  const gone = [closed(near), closed(far)]
  let done = 0
  near.write([Buffer.from('arrives')], () => (done += 1))
  await simulation.run(simulation.scheduler.nowMs + 10)
  near.write([Buffer.from('is lost')], () => (done += 1))
  simulation.network.reset('a', 'b')
  for (const error of await simulation.until(Promise.all(gone)))
    t.match(error, { code: 'ECONNRESET' })
  t.equal(arrivedBytes, 7)
  t.equal(done, 2)
})

t.test(
  'network: the peers of a killed process see the end, those of a dead host see nothing',
  async (t) => {
    const killed = await world(1)
    const arrived = received(killed.far)
    killed.near.write([Buffer.from('last words')])
    killed.a.kill()
    t.equal((await killed.simulation.until(arrived)).bytes.toString(), 'last words')

    const dark = await world(1)
    const gone = closed(dark.far)
    let closes = 0
    void gone.then(() => (closes += 1))
    dark.a.cutPower()
    await dark.simulation.run(dark.simulation.scheduler.nowMs + 60_000)
    t.equal(closes, 0, 'half open')
    const dial = dark.b.network.dial({ host: 'a', port: 1, timeoutMs: 100 })
    await t.rejects(dark.simulation.until(dial), { code: 'ETIMEDOUT' })
    dark.a.boot()
    dark.far.write([Buffer.from('anybody?')])
    t.match(await dark.simulation.until(gone), { code: 'ECONNRESET' })
    const refused = dark.b.network.dial({ host: 'a', port: 1, timeoutMs: 100 })
    await t.rejects(dark.simulation.until(refused), { code: 'ECONNREFUSED' })
  },
)

t.test('process: a stopped one answers when it goes on', async (t) => {
  const { simulation, b, near, far } = await world(1)
  far.onData = (chunk) => far.write([chunk])
  const echoes: number[] = []
  near.onData = () => echoes.push(simulation.scheduler.nowMs)
  b.pause()
  near.write([Buffer.from('ping')])
  await simulation.run(simulation.scheduler.nowMs + 5_000)
  t.same(echoes, [])
  b.resume()
  await simulation.run(simulation.scheduler.nowMs + 10)
  t.equal(echoes.length, 1)
})

t.test('clock: a jump of the wall clock moves no timer', async (t) => {
  const env = createSimulatedEnv(1)
  const firedMs: number[] = []
  env.timers.after(1_000, () => firedMs.push(env.clock.monotonicMs()))
  const beforeMs = env.clock.wallMs()
  env.wallSkewMs = -3_600_000
  t.equal(env.clock.wallMs(), beforeMs - 3_600_000)
  await env.simulation.run(2_000)
  t.same(firedMs, [1_000])
})

/** Traffic, syncs and faults, all drawn from the seed. */
async function busyRun(seed: number): Promise<string> {
  const { simulation, a, b, near, far } = await world(seed)
  const { random } = simulation
  far.onData = (chunk) => far.write([chunk])
  near.onData = ignore
  near.onClose = ignore
  far.onClose = ignore
  const file = a.disk.open('/log', 'write')
  for (let round = 0; round < 50; round++) {
    file.write([random.bytes(random.below(2_000))], file.size())
    near.write([random.bytes(random.below(50_000))], () => void file.sync())
    if (random.chance(0.1)) simulation.network.cut('b', 'a')
    if (random.chance(0.3)) simulation.network.heal()
    await simulation.run(simulation.scheduler.nowMs + random.between(0, 3))
  }
  a.cutPower()
  b.kill()
  await simulation.run(simulation.scheduler.nowMs + 100)
  simulation.scheduler.note(a.disk.readFile('/log')?.toString('hex') ?? 'lost', 0)
  return simulation.traceHash
}

t.test('determinism: a seed gives the same trace, another seed another', async (t) => {
  const hashes = new Set<string>()
  for (let seed = 0; seed < 10; seed++) {
    const hash = await busyRun(seed)
    t.equal(await busyRun(seed), hash, `seed ${seed}`)
    hashes.add(hash)
  }
  t.equal(hashes.size, 10)
})
