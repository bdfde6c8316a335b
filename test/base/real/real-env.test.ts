// What only the machine can show: descriptors that run out, locks of other processes, closes with work in flight.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import * as net from 'node:net'
import { constants, PerformanceObserver } from 'node:perf_hooks'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import type { Socket } from '../../../base/env.ts'
import { lockByProcessId } from '../../../base/real/disk-lock.ts'
import { createRealEnv } from '../../../base/real/real-env.ts'
import { realDisk } from '../../../base/real/disk.ts'
import { native } from '../../../base/real/native.ts'
import { realNetwork } from '../../../base/real/network.ts'

const here = fileURLToPath(new URL('.', import.meta.url))

function temporaryFolder(t: { teardown(run: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-real-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  return folder
}

t.test('lock: dies with the process that held it', async (t) => {
  const path = join(temporaryFolder(t), '.lock')
  const script = `
    const { realDisk } = await import(${JSON.stringify(join(here, '../../../base/real/disk.js'))})
    console.log(realDisk.lock(${JSON.stringify(path)}) === undefined ? 'refused' : 'held')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script])
  const exited = new Promise((resolve) => child.once('exit', resolve))
  const first = await new Promise((resolve) =>
    child.stdout.once('data', (data) => resolve(String(data).trim())),
  )
  t.equal(first, 'held')
  t.equal(realDisk.lock(path), undefined)
  child.kill('SIGKILL')
  await exited
  const lock = realDisk.lock(path)
  t.ok(lock)
  lock?.release()
})

t.test('lock without flock: exclusive, taken over from the dead', async (t) => {
  const path = join(temporaryFolder(t), '.lock')
  const lock = lockByProcessId(path)
  t.equal(readFileSync(path, 'utf8'), String(process.pid))
  t.equal(lockByProcessId(path), undefined, 'held by us')
  lock?.release()
  writeFileSync(path, String(process.ppid))
  t.equal(lockByProcessId(path), undefined, 'held by a living process')
  const { pid } = spawnSync(process.execPath, ['-e', ''])
  for (const left of [String(pid), String(process.pid), '', 'garbage']) {
    writeFileSync(path, left)
    const next = lockByProcessId(path)
    t.ok(next, `left behind: "${left}"`)
    next?.release()
  }
})

t.test('map: pages never touched are not resident', { skip: native() === undefined }, async (t) => {
  const file = realDisk.open(join(temporaryFolder(t), 'a'), 'write')
  file.truncate(64 * 1024 * 1024)
  file.write([Buffer.alloc(10_000)], 32 * 1024 * 1024)
  const map = file.map(64 * 1024 * 1024)
  t.equal(map?.resident(32 * 1024 * 1024 + 5, 9_000), true)
  t.equal(map?.resident(32 * 1024 * 1024 - 1, 9_000), false, 'the page before')
  t.equal(map?.resident(0, 64 * 1024 * 1024), false)
  await file.warm(16 * 1024 * 1024, 1024 * 1024)
  t.equal(map?.resident(16 * 1024 * 1024, 1024 * 1024), true)
  map?.release()
  file.close()
})

t.test(
  'map: a large file read once leaves little of it in the process',
  { skip: native() === undefined },
  async (t) => {
    const file = realDisk.open(join(temporaryFolder(t), 'a'), 'write')
    const partBytes = 2 ** 20
    const partCount = 256
    const part = Buffer.alloc(partBytes, 1)
    for (let index = 0; index < partCount; index++) file.write([part], index * partBytes)
    const map = file.map(partCount * partBytes)
    const before = fileBytesOfProcess()
    let different = 0
    for (let index = 0; index < partCount; index++) {
      if (map?.read(index * partBytes, partBytes).equals(part) !== true) different++
    }
    t.equal(different, 0)
    t.ok(fileBytesOfProcess() - before < 100 * 2 ** 20, `${fileBytesOfProcess() - before} bytes`)
    t.equal(map?.read(5, 1)[0], 1, 'what was read before can be read again')
    map?.release()
    file.close()
  },
)

/** 0 where there is no /proc. */
function fileBytesOfProcess(): number {
  if (!existsSync('/proc/self/status')) return 0
  const line = /^RssFile:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))
  return Number(line?.[1] ?? 0) * 1024
}

async function majorCollections(work: () => void): Promise<number> {
  let count = 0
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { detail } = entry as unknown as { detail: { kind: number } }
      if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) count += 1
    }
  })
  observer.observe({ entryTypes: ['gc'] })
  work()
  // Node tells of them in a later turn, and of none once the observer is gone.
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  observer.disconnect()
  return count
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
}

t.test('map: many large ones cost no collections', { skip: native() === undefined }, async (t) => {
  const file = realDisk.open(join(temporaryFolder(t), 'a'), 'write')
  file.write([Buffer.from('x')], 0)
  file.map(2 ** 30)?.release()
  const mapped = await majorCollections(() => {
    for (let round = 0; round < 500; round++) file.map(2 ** 30)?.release()
  })
  t.ok(mapped <= 2, `${mapped} collections`)
  const forced = await majorCollections(collectGarbage)
  t.ok(forced > 0, 'they are seen when there are any')
  t.equal(file.map(2 ** 33), undefined, 'larger than a Buffer can be')
  file.close()
})

t.test(
  'map: a released one is an error to a socket, no crash and no bytes',
  { skip: native() === undefined },
  async (t) => {
    const script = `
    const { createRealEnv } = await import(${JSON.stringify(join(here, '../../../base/real/real-env.js'))})
    const { disk, network } = createRealEnv()
    const file = disk.open(${JSON.stringify(join(temporaryFolder(t), 'a'))}, 'write')
    file.write([Buffer.alloc(1000000)], 0)
    const map = file.map(1000000)
    const listener = await network.listen({ host: '127.0.0.1', port: 0 }, (socket) => {
      socket.onClose = (error) => { console.log(error.code); process.exit() }
      const bytes = map.read(0, 1000000)
      map.release()
      socket.write([bytes])
    }, console.log)
    const client = await network.dial({ host: '127.0.0.1', port: listener.port, timeoutMs: 5000 })
    client.onData = (bytes) => console.log('received', bytes.length)`
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
    })
    t.equal(stdout.trim(), 'EFAULT')
  },
)

t.test('dial: a time-out of more than Node can wait for at once', async (t) => {
  const { network } = createRealEnv()
  const warnings: string[] = []
  const warned = (warning: Error): void => void warnings.push(warning.name)
  process.on('warning', warned)
  t.teardown(() => process.off('warning', warned))
  const fail = (error: Error): void => void t.error(error)
  const listener = await network.listen({ host: '127.0.0.1', port: 0 }, () => undefined, fail)
  const { port } = listener
  const socket = await network.dial({ host: '127.0.0.1', port, timeoutMs: 2 ** 40 })
  await new Promise((resolve) => setImmediate(resolve))
  t.same(warnings, [], 'it is not one of a millisecond')
  socket.destroy()
  await listener.close()
})

const crowdedServer = `
  const { createRealEnv } = await import(${JSON.stringify(join(here, '../../../base/real/real-env.js'))})
  let failures = 0
  const listener = await createRealEnv().network.listen({ host: '127.0.0.1', port: 0 },
    (socket) => { socket.onData = (chunk) => socket.write([chunk]) },
    (error) => { if (error.code === 'EMFILE') failures += 1 })
  process.on('message', () => process.send({ failures }))
  process.send({ port: listener.port })`

const linux = process.platform === 'linux'

t.test(
  'listener: short of descriptors it refuses, reports, and serves again',
  { skip: !linux },
  async (t) => {
    const command = ['--nofile=64', process.execPath, '--input-type=module', '-e', crowdedServer]
    const child = spawn('prlimit', command, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    t.teardown(() => child.kill('SIGKILL'))
    const message = (): Promise<Record<string, number>> =>
      new Promise((resolve) =>
        child.once('message', (data) => resolve(data as Record<string, number>)),
      )
    const { port = 0 } = await message()
    const clients = Array.from({ length: 200 }, () => net.connect(port, '127.0.0.1'))
    const outcomes = await Promise.all(clients.map(outcome))
    const served = outcomes.filter((each) => each === 'echo').length
    t.ok(served > 5 && served < 64, `${served} of 200 are served`)
    child.send('failures?')
    const { failures = 0 } = await message()
    t.ok(failures >= 1 && failures <= 3, `${failures} reports`)
    const gone = clients.map((client) => new Promise((resolve) => client.once('close', resolve)))
    for (const client of clients) client.destroy()
    await Promise.all(gone.filter((_, index) => outcomes[index] === 'echo'))
    let last = 'closed'
    // The server hears of the ends a moment later.
    for (const endMs = Date.now() + 5_000; last !== 'echo' && Date.now() < endMs;) {
      const client = net.connect(port, '127.0.0.1')
      last = await outcome(client)
      client.destroy()
    }
    t.equal(last, 'echo')
  },
)

/** What a connection that says "hello" comes to. */
function outcome(socket: net.Socket): Promise<'echo' | 'closed'> {
  return new Promise((resolve) => {
    socket.on('connect', () => socket.write('hello'))
    socket.on('error', () => resolve('closed'))
    socket.on('close', () => resolve('closed'))
    socket.on('data', () => resolve('echo'))
  })
}

t.test(
  'socket: its backlog shrinks while one large write leaves, so that a slow reader is no dead one',
  async (t) => {
    const bytes = 32 * 1024 * 1024
    const accepted = new Promise<Socket>((resolve, reject) => {
      realNetwork
        .listen({ host: '127.0.0.1', port: 0 }, resolve, reject)
        .then((listener) => {
          t.teardown(() => listener.close())
          return net.connect(listener.port, '127.0.0.1')
        })
        .then((client) => clients.push(client), reject)
    })
    const clients: net.Socket[] = []
    const server = await accepted
    server.onClose = () => undefined
    t.teardown(() => server.destroy())
    let done = false
    server.write([Buffer.alloc(bytes)], () => {
      done = true
    })
    const before = server.backlogBytes
    t.ok(before > 0 && before <= bytes, `${before} bytes wait`)
    const [client] = clients
    // The client takes a part and stops: by then the write must not be over.
    await new Promise<void>((resolve) => {
      let count = 0
      client?.on('data', (chunk) => {
        count += chunk.length
        if (count < bytes / 2) return
        client.pause()
        client.removeAllListeners('data')
        resolve()
      })
    })
    t.notOk(done)
    t.ok(server.backlogBytes < before, `${server.backlogBytes} bytes wait still`)
    client?.resume()
    await new Promise<void>((resolve) => {
      server.onDrain = resolve
    })
    t.equal(server.backlogBytes, 0)
    client?.destroy()
  },
)

t.test(
  'timers: none fires before its time, by the clock that deadlines are compared with',
  async (t) => {
    const { clock, timers } = createRealEnv()
    const early: number[] = []
    for (let round = 0; round < 60; round++) {
      // The loop last looked at the clock before this.
      const busyUntilMs = clock.monotonicMs() + (round % 7)
      while (clock.monotonicMs() < busyUntilMs);
      const dueMs = clock.monotonicMs() + 1 + (round % 10) / 3
      await new Promise<void>((resolve) => {
        timers.after(dueMs - clock.monotonicMs(), resolve, { holdsProcess: true })
      })
      if (clock.monotonicMs() < dueMs) early.push(dueMs - clock.monotonicMs())
    }
    t.same(early, [])
  },
)
