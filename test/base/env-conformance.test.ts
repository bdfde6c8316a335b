// The same expectations of every binding of `Env`: what holds on the machine holds in the simulation.
import t, { type Test } from 'tap'
import { StorageError } from '../../base/env.ts'
import {
  closed,
  connectedPair,
  realHarness,
  received,
  simulatedHarness,
  type Harness,
} from './env-harness.ts'

type Body = (t: Test, harness: Harness) => Promise<void>

function each(title: string, body: Body): void {
  for (const create of [realHarness, () => simulatedHarness()]) {
    const harness = create()
    void t.test(`${title} (${harness.name})`, async (t) => {
      t.teardown(() => harness.cleanUp())
      await body(t, harness)
    })
  }
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof StorageError) return `${error.code} ${error.path}`
    throw error
  }
  return 'no error'
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  return undefined
}

each('disk: what is written is read back, in any cut', async (t, { env, root }) => {
  const file = env.disk.open(`${root}/a`, 'write')
  file.write([Buffer.from('hello '), Buffer.from(''), Buffer.from('world')], 0)
  file.write([Buffer.from('W')], 6)
  const bytes = Buffer.alloc(20)
  t.equal(file.size(), 11)
  t.equal(file.read(bytes, 2, 20 - 2, 4), 7, 'the end of the file cuts a read')
  t.equal(bytes.toString('latin1', 2, 9), 'o World')
  t.equal(file.read(bytes, 0, 5, 11), 0)
  t.equal(env.disk.readFile(`${root}/a`)?.toString(), 'hello World')
  file.close()
})

each('disk: a write of more buffers than one system call takes', async (t, { env, root }) => {
  const buffers = Array.from({ length: 3_000 }, (_, index) => Buffer.from(`${index},`))
  const file = env.disk.open(`${root}/a`, 'write')
  file.write(buffers, 3)
  t.same(env.disk.readFile(`${root}/a`)?.subarray(3), Buffer.concat(buffers))
  file.close()
})

each('disk: truncation cuts, and extends with zeros', async (t, { env, root }) => {
  const file = env.disk.open(`${root}/a`, 'write')
  file.write([Buffer.from('abcdef')], 0)
  file.truncate(2)
  file.truncate(4)
  t.same(env.disk.readFile(`${root}/a`), Buffer.from('ab\0\0'))
  file.write([Buffer.from('z')], 6)
  t.same(env.disk.readFile(`${root}/a`), Buffer.from('ab\0\0\0\0z'), 'a gap reads as zeros')
  file.close()
})

each('disk: errors carry code and path', async (t, { env, root, settle }) => {
  const { disk } = env
  t.equal(
    codeOf(() => disk.open(`${root}/absent`, 'read')),
    `ENOENT ${root}/absent`,
  )
  t.equal(
    codeOf(() => disk.open(`${root}/no/such`, 'write')),
    `ENOENT ${root}/no/such`,
  )
  t.equal(
    codeOf(() => disk.list(`${root}/absent`)),
    `ENOENT ${root}/absent`,
  )
  t.equal(
    codeOf(() => disk.rename(`${root}/absent`, `${root}/b`)),
    `ENOENT ${root}/absent`,
  )
  t.match(await rejection(settle(disk.syncDirectory(`${root}/absent`))), { code: 'ENOENT' })
  t.equal(
    codeOf(() => disk.syncDirectoryNow(`${root}/absent`)),
    `ENOENT ${root}/absent`,
  )
  disk.open(`${root}/a`, 'write').close()
  const reader = disk.open(`${root}/a`, 'read')
  t.equal(
    codeOf(() => reader.write([Buffer.from('x')], 0)),
    `EBADF ${root}/a`,
  )
  reader.close()
})

each('disk: names appear, move and go', async (t, { env, root, settle }) => {
  const { disk } = env
  disk.makeDirectory(`${root}/d/e`)
  disk.makeDirectory(`${root}/d/e`)
  for (const name of ['c', 'a', 'b']) disk.open(`${root}/d/${name}`, 'write').close()
  t.same(disk.list(`${root}/d`), ['a', 'b', 'c', 'e'])
  const file = disk.open(`${root}/d/a`, 'write')
  file.write([Buffer.from('kept')], 0)
  disk.rename(`${root}/d/a`, `${root}/d/b`)
  t.equal(disk.readFile(`${root}/d/b`)?.toString(), 'kept', 'a rename replaces')
  disk.remove(`${root}/d/b`)
  disk.remove(`${root}/d/b`)
  t.equal(file.size(), 4, 'an open file outlives its name')
  file.close()
  t.match(disk.stat(`${root}/d`), { directory: true })
  t.match(disk.stat(`${root}/d/c`), { directory: false, bytes: 0 })
  t.equal(disk.stat(`${root}/d/zzz`), undefined)
  t.equal(disk.readFile(`${root}/d/zzz`), undefined)
  await settle(disk.syncDirectory(`${root}/d`))
  disk.syncDirectoryNow(`${root}/d`)
  await settle(disk.removeTree(`${root}/d`))
  await settle(disk.removeTree(`${root}/d`))
  t.same(disk.list(root), [])
})

each('disk: a file may be closed while a sync is in flight', async (t, { env, root, settle }) => {
  const file = env.disk.open(`${root}/a`, 'write')
  file.write([Buffer.from('a')], 0)
  file.syncNow()
  const synced = file.sync()
  const warmed = file.warm(0, 1)
  file.close()
  await settle(Promise.all([synced, warmed]))
  t.throws(() => file.size(), { message: 'a closed file is not used' })
})

each('disk: a lock is exclusive until it is released', async (t, { env, root }) => {
  const lock = env.disk.lock(`${root}/.lock`)
  t.equal(env.disk.lock(`${root}/.lock`), undefined)
  lock?.release()
  const next = env.disk.lock(`${root}/.lock`)
  t.ok(next)
  next?.release()
})

each('disk: space is known', async (t, { env, root }) => {
  const { totalBytes, freeBytes } = env.disk.space(root)
  t.ok(totalBytes > 0 && freeBytes > 0 && freeBytes <= totalBytes)
})

each('disk: a map shows later writes, and outlives the name', async (t, { env, root }) => {
  const path = `${root}/a`
  const file = env.disk.open(path, 'write')
  file.write([Buffer.from('first')], 0)
  const map = file.map(1024 * 1024)
  file.write([Buffer.from('second')], 5)
  t.equal(map?.byteLength, 1024 * 1024)
  t.equal(map?.read(0, 11).toString('latin1'), 'firstsecond')
  t.equal(map?.resident(0, 11), true)
  env.disk.remove(path)
  file.close()
  t.equal(map?.read(0, 11).toString('latin1'), 'firstsecond')
  map?.release()
  t.throws(() => map?.release(), { message: 'a map is released once' })
})

each('disk: maps made again and again never show another file', async (t, { env, root }) => {
  const files = [0, 1, 2].map((index) => {
    const file = env.disk.open(`${root}/${index}`, 'write')
    file.write([Buffer.alloc(8192, index + 1)], 0)
    return file
  })
  let wrong = 0
  for (let round = 0; round < 200; round++) {
    // The next map may get the address of the last one.
    const file = files[round % 3]
    const map = file?.map(8192 + (round % 5) * 4096)
    if (map?.read(8191, 1)[0] !== (round % 3) + 1) wrong += 1
    map?.release()
  }
  t.equal(wrong, 0)
  for (const file of files) file.close()
})

each('network: bytes arrive in order, whatever the writes', async (t, harness) => {
  const { near, far, listener } = await connectedPair(harness)
  const arrived = received(far)
  const sent: Buffer[] = []
  let done = 0
  for (let round = 0; round < 200; round++) {
    const buffers = Array.from({ length: (round % 5) + 1 }, (_, index) =>
      Buffer.alloc(round * index * 7, round),
    )
    sent.push(...buffers)
    near.write(buffers, () => (done += 1))
  }
  near.end()
  const { bytes, error } = await harness.settle(arrived)
  t.ok(bytes.equals(Buffer.concat(sent)))
  t.equal(error, undefined)
  t.equal(done, 200)
  await listener.close()
})

each('network: a socket names the other end', async (t, harness) => {
  const { near, far, listener } = await connectedPair(harness)
  t.equal(near.remoteAddress, listener.host)
  const gone = closed(far)
  near.destroy()
  await harness.settle(gone)
  await listener.close()
})

each(
  'network: done is called exactly once when the writer destroys mid-write',
  async (t, harness) => {
    const { near, far, listener } = await connectedPair(harness)
    far.pause()
    const log: string[] = []
    const counts = Array.from({ length: 20 }, () => 0)
    for (let index = 0; index < 20; index++) {
      near.write([Buffer.alloc(1_000_000), Buffer.alloc(10)], () => {
        counts[index] = (counts[index] ?? 0) + 1
        log.push('done')
      })
    }
    t.ok(near.backlogBytes > 1_000_000)
    t.same(log, [], 'never from within write')
    const gone = new Promise<void>((resolve) => {
      near.onClose = () => {
        log.push('close')
        resolve()
      }
    })
    const farGone = closed(far)
    near.destroy()
    const late = new Promise<void>((resolve) => {
      near.write([Buffer.from('late')], resolve)
    })
    await harness.settle(gone)
    t.same(
      counts,
      Array.from({ length: 20 }, () => 1),
    )
    t.equal(log.at(-1), 'close', 'onClose is the last')
    await harness.settle(late)
    far.resume()
    await harness.settle(farGone)
    await listener.close()
  },
)

each('network: done is called exactly once when the peer dies mid-write', async (t, harness) => {
  const { near, far, listener } = await connectedPair(harness)
  far.pause()
  const counts = Array.from({ length: 20 }, () => 0)
  for (let index = 0; index < 20; index++) {
    near.write(
      [Buffer.alloc(1_000_000), Buffer.alloc(10)],
      () => (counts[index] = (counts[index] ?? 0) + 1),
    )
  }
  const gone = closed(near)
  far.destroy()
  const error = await harness.settle(gone)
  t.match(error, { name: 'NetworkError', code: /ECONNRESET|EPIPE/ })
  t.same(
    counts,
    Array.from({ length: 20 }, () => 1),
  )
  await listener.close()
})

each('network: a slow reader builds a backlog, and a drain ends it', async (t, harness) => {
  const { near, far, listener } = await connectedPair(harness)
  const bytes = Buffer.alloc(20_000_000, 7)
  let receivedBytes = 0
  far.onData = (chunk) => (receivedBytes += chunk.length)
  far.pause()
  let drains = 0
  const drained = new Promise<void>((resolve) => {
    near.onDrain = () => {
      drains += 1
      resolve()
    }
  })
  near.write([bytes])
  t.ok(near.backlogBytes > 0)
  t.equal(drains, 0)
  far.resume()
  await harness.settle(drained)
  t.equal(near.backlogBytes, 0)
  const gone = closed(far)
  near.end()
  await harness.settle(gone)
  t.equal(receivedBytes, bytes.length)
  t.equal(drains, 1)
  await listener.close()
})

each('network: nothing is delivered while paused', async (t, harness) => {
  const { near, far, listener } = await connectedPair(harness)
  const chunks: string[] = []
  let arrived: () => void = () => undefined
  far.onData = (chunk) => {
    chunks.push(chunk.toString())
    far.pause()
    arrived()
  }
  const first = new Promise<void>((resolve) => {
    arrived = resolve
  })
  near.write([Buffer.from('one')])
  await harness.settle(first)
  const second = new Promise<void>((resolve) => {
    arrived = resolve
  })
  near.write([Buffer.from('two')])
  // The echo on the other way arrives after "two" did.
  const echoed = new Promise<void>((resolve) => {
    near.onData = () => resolve()
  })
  far.write([Buffer.from('echo')])
  await harness.settle(echoed)
  t.same(chunks, ['one'])
  far.resume()
  await harness.settle(second)
  t.same(chunks, ['one', 'two'])
  const gone = closed(far)
  near.destroy()
  far.resume()
  await harness.settle(gone)
  await listener.close()
})

each('network: end sends what is queued, and the peer sees a normal end', async (t, harness) => {
  const { near, far, listener } = await connectedPair(harness)
  const arrived = received(far)
  const gone = closed(near)
  near.write([Buffer.alloc(5_000_000, 1)])
  near.end()
  let late = 0
  near.write([Buffer.from('late')], () => (late += 1))
  const { bytes, error } = await harness.settle(arrived)
  t.equal(bytes.length, 5_000_000, 'nothing after the end')
  t.equal(error, undefined)
  t.equal(await harness.settle(gone), undefined)
  t.equal(late, 1)
  await listener.close()
})

each('network: a range of a file goes between the writes around it', async (t, harness) => {
  // Files are sent by who was called.
  const { near: far, far: near, listener } = await connectedPair(harness)
  const path = `${harness.root}/a`
  const file = harness.env.disk.open(path, 'write')
  const content = Buffer.alloc(3_000_000)
  for (let index = 0; index < content.length; index++) content[index] = (index * 31) >> 7
  file.write([content], 0)
  const arrived = received(far)
  const log: string[] = []
  const big = Buffer.alloc(2_000_000, 9)
  near.write([Buffer.from('<'), big], () => log.push('before'))
  near.sendFile?.(file, 100, 2_900_000, () => log.push('first'))
  near.write([Buffer.from('|')], () => log.push('between'))
  near.sendFile?.(file, 0, 1_000, () => log.push('second'))
  near.write([Buffer.from('>')], () => log.push('after'))
  t.equal(near.backlogBytes >= 2_901_000, true)
  near.end()
  const { bytes, error } = await harness.settle(arrived)
  t.equal(error, undefined)
  t.ok(
    bytes.equals(
      Buffer.concat([
        Buffer.from('<'),
        big,
        content.subarray(100, 2_900_100),
        Buffer.from('|'),
        content.subarray(0, 1_000),
        Buffer.from('>'),
      ]),
    ),
  )
  t.same(log, ['before', 'first', 'between', 'second', 'after'])
  file.close()
  await listener.close()
})

each('network: done of a file range is called once when the socket dies', async (t, harness) => {
  // Files are sent by who was called.
  const { near: far, far: near, listener } = await connectedPair(harness)
  const file = harness.env.disk.open(`${harness.root}/a`, 'write')
  file.write([Buffer.alloc(20_000_000)], 0)
  far.pause()
  const log: string[] = []
  near.sendFile?.(file, 0, 20_000_000, () => log.push('file'))
  near.write([Buffer.from('x')], () => log.push('write'))
  const gone = new Promise<void>((resolve) => {
    near.onClose = () => {
      log.push('close')
      resolve()
    }
  })
  near.onDrain = () => log.push('drain')
  harness.env.timers.soon(() => near.destroy())
  await harness.settle(gone)
  t.same(log, ['file', 'write', 'close'])
  file.close()
  far.destroy()
  await listener.close()
})

each('network: destroy tells why', async (t, harness) => {
  const { near, far, listener } = await connectedPair(harness)
  const [nearGone, farGone] = [closed(near), closed(far)]
  near.destroy(new Error('Enough'))
  t.match(await harness.settle(nearGone), { message: 'Enough' })
  await harness.settle(farGone)
  await listener.close()
})

each('network: refusals are coded', async (t, harness) => {
  const { network } = harness.env
  const ignore = (): void => undefined
  const listener = await harness.settle(
    network.listen({ host: '127.0.0.1', port: 0 }, ignore, ignore),
  )
  const { port } = listener
  const again = network.listen({ host: '127.0.0.1', port }, ignore, ignore)
  t.match(await rejection(harness.settle(again)), { name: 'NetworkError', code: 'EADDRINUSE' })
  await listener.close()
  const refused = network.dial({ host: '127.0.0.1', port, timeoutMs: 5_000 })
  t.match(await rejection(harness.settle(refused)), { name: 'NetworkError', code: 'ECONNREFUSED' })
})

each('network: accepted sockets outlive the listener', async (t, harness) => {
  const { near, far, listener } = await connectedPair(harness)
  await harness.settle(listener.close())
  const arrived = received(far)
  near.write([Buffer.from('still here')])
  near.end()
  t.equal((await harness.settle(arrived)).bytes.toString(), 'still here')
})

each('timers: in order, cancellable, and soon comes first', async (t, { env, settle }) => {
  const log: string[] = []
  const last = new Promise<void>((resolve) => {
    env.timers.after(20, () => {
      log.push('late')
      resolve()
    })
  })
  env.timers.after(2, () => log.push('early'))
  env.timers.after(1, () => log.push('cancelled')).cancel()
  env.timers.after(2 ** 40, () => log.push('never'))
  env.timers.soon(() => log.push('soon'))
  const startMs = env.clock.monotonicMs()
  // A pending timer of ours does not keep a real process alive; this one does.
  const alive = setInterval(() => undefined, 1_000)
  await settle(last)
  clearInterval(alive)
  t.same(log, ['soon', 'early', 'late'])
  t.ok(env.clock.monotonicMs() - startMs >= 19)
  t.ok(Number.isInteger(env.clock.wallMs()))
})

each('random: as many bytes as asked for, fractions below one', async (t, { env }) => {
  t.equal(env.random.bytes(33).length, 33)
  t.notSame(env.random.bytes(16), env.random.bytes(16))
  for (let round = 0; round < 100; round++) {
    const fraction = env.random.fraction()
    t.ok(fraction >= 0 && fraction < 1)
  }
})
