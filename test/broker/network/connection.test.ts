// One connection on a socket made of two arrays: what goes in, in which order it is handled, what comes out.
import t from 'tap'
import type { Socket } from '../../../base/env.ts'
import { AssertionError } from '../../../base/assert.ts'
import { silentLogger } from '../../../base/logger.ts'
import { createRealEnv } from '../../../base/real/real-env.ts'
import { Connection, type ConnectionLimits } from '../../../broker/network/connection.ts'
import { Outbox } from '../../../broker/network/outbox.ts'
import { ReceiveMemory } from '../../../broker/network/receive-memory.ts'
import type { Route, Routes } from '../../../broker/network/route.ts'
import { refuseApiVersionsVersion } from '../../../broker/handlers/api-versions.ts'
import { decodeResponse, encodeRequest } from '../../../protocol/headers.ts'
import { ApiVersions } from '../../../protocol/messages/api-versions.ts'
import { FindCoordinator } from '../../../protocol/messages/find-coordinator.ts'
import { InitProducerId } from '../../../protocol/messages/init-producer-id.ts'

class FakeSocket implements Socket {
  readonly remoteAddress = '127.0.0.1'
  onData: (chunk: Buffer) => void = () => undefined
  onDrain: () => void = () => undefined
  onClose: (error?: Error) => void = () => undefined
  written: Buffer[] = []
  writeCount = 0
  backlogBytes = 0
  /** The client takes nothing. */
  isStuck = false
  reading = true
  ended = false
  destroyed = false
  write(buffers: readonly Uint8Array[], done?: () => void): void {
    this.writeCount++
    this.written.push(...buffers.map((each) => Buffer.from(each)))
    if (this.isStuck) this.backlogBytes += Buffer.concat(buffers).length
    done?.()
  }
  pause(): void {
    this.reading = false
  }
  resume(): void {
    this.reading = true
  }
  end(): void {
    this.ended = true
    this.destroy()
  }
  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.onClose()
  }
  /** Correlation ids of the answers so far. */
  get answered(): number[] {
    const bytes = Buffer.concat(this.written)
    const ids: number[] = []
    for (let at = 0; at < bytes.length; at += 4 + bytes.readInt32BE(at)) {
      ids.push(bytes.readInt32BE(at + 4))
    }
    return ids
  }
}

const limits: ConnectionLimits = {
  requestBytesMax: 1_000_000,
  pipelinedCountMax: 5,
  backlogBytesMax: 1000,
  backlogStallMsMax: 60_000,
  firstByteMsMax: 10_000,
  idleMsMax: 600_000,
  frameBytesPerSecondMin: 1024,
}

interface Waiting {
  readonly key: string
  readonly answer: () => void
  readonly fail: (error: unknown) => void
}

/** InitProducerId stands for an API whose requests may overlap, FindCoordinator for one whose may not. */
function setUp(): {
  socket: FakeSocket
  connection: Connection
  waiting: Waiting[]
  started: string[]
  clock: { ms: number }
  failures: unknown[]
  closed: () => boolean
  memory: ReceiveMemory
} {
  const socket = new FakeSocket()
  const waiting: Waiting[] = []
  const started: string[] = []
  const failures: unknown[] = []
  const clock = { ms: 1000 }
  const memory = new ReceiveMemory(10_000_000)
  let closed = false
  const park = <Response>(key: string, response: Response): Promise<Response> => {
    started.push(key)
    return new Promise((resolve, reject) => {
      waiting.push({ key, answer: () => resolve(response), fail: reject })
    })
  }
  const producerIds: Route<typeof InitProducerId> = {
    api: InitProducerId,
    versionMin: 0,
    versionMax: 5,
    overlaps: true,
    handle: (request) =>
      park(`id ${request.transactionTimeoutMs}`, { errorCode: 0, producerId: 1, producerEpoch: 0 }),
  }
  const coordinators: Route<typeof FindCoordinator> = {
    api: FindCoordinator,
    versionMin: 0,
    versionMax: 6,
    overlaps: false,
    handle: (request) => {
      const answer = { errorCode: 0, nodeId: 1, host: 'h', port: 1 }
      return request.key === 'known' ? Promise.resolve(answer) : park(`find ${request.key}`, answer)
    },
  }
  const versions: Route<typeof ApiVersions> = {
    api: ApiVersions,
    versionMin: 0,
    versionMax: 4,
    overlaps: false,
    handle: (request) => {
      started.push(`versions ${request.clientSoftwareName}`)
      if (request.clientSoftwareName === 'bug') throw new TypeError('a bug')
      return request.clientSoftwareName === 'silent' ? undefined : { errorCode: 0, apiKeys: [] }
    },
    refuseVersion: refuseApiVersionsVersion,
  }
  const routes: Routes = new Map<number, Route>([
    [producerIds.api.key, producerIds as unknown as Route],
    [coordinators.api.key, coordinators as unknown as Route],
    [versions.api.key, versions as unknown as Route],
  ])
  const connection = new Connection(socket, {
    id: 1,
    listenerName: 'PLAINTEXT',
    routes,
    limits,
    memory,
    outbox: new Outbox(createRealEnv().timers),
    clock: { wallMs: () => clock.ms, monotonicMs: () => clock.ms },
    logger: silentLogger,
    failed: (error) => failures.push(error),
    closed: () => {
      closed = true
    },
  })
  return { socket, connection, waiting, started, clock, failures, closed: () => closed, memory }
}

const overlapping = (id: number): Buffer =>
  encodeRequest(InitProducerId, 1, id, 'test', {
    transactionalId: null,
    transactionTimeoutMs: id,
  }).finish()
const exclusive = (id: number, key = String(id)): Buffer =>
  encodeRequest(FindCoordinator, 1, id, 'test', { key, keyType: 0 }).finish()
const versionsRequest = (id: number, name: string): Buffer =>
  encodeRequest(ApiVersions, 3, id, 'test', {
    clientSoftwareName: name,
    clientSoftwareVersion: '1',
  }).finish()

/** Of the event loop, and the next: what becomes ready in one leaves behind its events. */
const turn = (): Promise<void> =>
  new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

t.test(
  'connection: answers leave in the order of requests, whatever becomes ready first',
  async (t) => {
    const { socket, waiting, started } = setUp()
    socket.onData(Buffer.concat([overlapping(1), overlapping(2), overlapping(3)]))
    t.same(started, ['id 1', 'id 2', 'id 3'])
    waiting[2]?.answer()
    waiting[1]?.answer()
    await turn()
    t.same(socket.answered, [])
    waiting[0]?.answer()
    await turn()
    t.same(socket.answered, [1, 2, 3])
    t.equal(socket.writeCount, 1, 'what is ready goes out as one write')
  },
)

t.test(
  'connection: a request that must not overlap waits for all before it, and holds up all behind it',
  async (t) => {
    const { socket, waiting, started } = setUp()
    socket.onData(
      Buffer.concat([overlapping(1), exclusive(2), overlapping(3), versionsRequest(4, 'x')]),
    )
    t.same(started, ['id 1'])
    waiting[0]?.answer()
    await turn()
    t.same(started, ['id 1', 'find 2'])
    waiting[1]?.answer()
    await turn()
    t.same(started, ['id 1', 'find 2', 'id 3'])
    waiting[2]?.answer()
    await turn()
    t.same(started, ['id 1', 'find 2', 'id 3', 'versions x'])
    t.same(socket.answered, [1, 2, 3, 4])
  },
)

t.test('connection: a request that is being answered holds no memory for requests', async (t) => {
  const { socket, started, memory } = setUp()
  const request = exclusive(1, 'k'.repeat(30_000))
  socket.onData(request.subarray(0, 20_000))
  t.ok(memory.usedBytes > 0)
  socket.onData(request.subarray(20_000))
  t.same([started.length, memory.usedBytes], [1, 0])
})

t.test('connection: a client that takes an answer slowly is not idle', async (t) => {
  const { socket, connection, clock, closed } = setUp()
  socket.onData(versionsRequest(1, 'x'))
  for (let left = 20; left > 0; left--) {
    clock.ms += limits.backlogStallMsMax / 2
    socket.backlogBytes = left * 1000
    connection.sweep(clock.ms)
  }
  t.notOk(closed())
})

t.test('connection: beyond the pipelining limit bytes stay in the socket', async (t) => {
  const { socket, waiting, started } = setUp()
  socket.onData(Buffer.concat([1, 2, 3, 4, 5, 6, 7].map(overlapping)))
  t.equal(started.length, 5)
  t.notOk(socket.reading)
  for (const each of waiting.slice(0, 5)) each.answer()
  await turn()
  t.equal(started.length, 7)
  t.ok(socket.reading)
})

t.test(
  'connection: a client that does not take its answers is not read from until it does',
  async (t) => {
    const { socket, started } = setUp()
    socket.backlogBytes = 5000
    socket.onData(versionsRequest(1, 'x'))
    t.same(started, [])
    t.notOk(socket.reading)
    socket.backlogBytes = 0
    socket.onDrain()
    t.same(started, ['versions x'])
    t.ok(socket.reading)
  },
)

t.test(
  'connection: ApiVersions of the future is answered in the oldest layout with our range',
  async (t) => {
    const { socket } = setUp()
    const request = versionsRequest(7, 'x')
    request.writeInt16BE(99, 6)
    socket.onData(request)
    await turn()
    const frame = Buffer.concat(socket.written).subarray(4)
    const { correlationId, response } = decodeResponse(ApiVersions, 0, frame)
    t.equal(correlationId, 7)
    t.equal(response.errorCode, 35)
    t.match(response.apiKeys, [{ apiKey: 18, minVersion: 0, maxVersion: 4 }])
  },
)

t.test(
  'connection: answers that wait for nothing are backlog before the next request',
  async (t) => {
    const { socket } = setUp()
    socket.isStuck = true
    const requests = Array.from({ length: 200 }, (_, id) => exclusive(id, 'known'))
    socket.onData(Buffer.concat(requests))
    await turn()
    t.ok(socket.backlogBytes > limits.backlogBytesMax)
    t.ok(socket.backlogBytes < 1.2 * limits.backlogBytesMax)
    t.equal(socket.reading, false)
    socket.backlogBytes = 0
    socket.isStuck = false
    socket.onDrain()
    await turn()
    t.equal(socket.answered.length, 200)
  },
)

t.test(
  'connection: an answer that waits for the end of the turn is not sent after the close',
  async (t) => {
    const { socket, waiting } = setUp()
    socket.onData(overlapping(1))
    waiting[0]?.answer()
    await Promise.resolve()
    socket.destroy()
    await turn()
    t.equal(socket.writeCount, 0)
  },
)

t.test('connection: what can not be understood closes it without an answer', async (t) => {
  const unknownKey = exclusive(1)
  unknownKey.writeInt16BE(999, 4)
  const unknownVersion = exclusive(1)
  unknownVersion.writeInt16BE(99, 6)
  const cut = exclusive(1)
  cut.writeInt32BE(cut.length - 6)
  for (const bytes of [
    unknownKey,
    unknownVersion,
    cut.subarray(0, -2),
    Buffer.from([0, 0, 0, 0]),
  ]) {
    const { socket, closed, started, failures } = setUp()
    socket.onData(bytes)
    t.ok(closed())
    t.same(started, [])
    t.same(socket.written, [])
    t.same(failures, [], 'that is no bug of ours')
  }
})

t.test('connection: bytes behind the end of a request are ignored', async (t) => {
  const { socket, closed } = setUp()
  const trailing = Buffer.concat([versionsRequest(1, 'x'), Buffer.alloc(3)])
  trailing.writeInt32BE(trailing.length - 4)
  socket.onData(Buffer.concat([trailing, versionsRequest(2, 'x')]))
  t.same(socket.answered, [1, 2])
  t.notOk(closed())
})

t.test('connection: a bug in a handler costs its connection only', async (t) => {
  const { socket, closed, failures } = setUp()
  socket.onData(versionsRequest(1, 'bug'))
  t.ok(closed())
  t.same(failures, [])
  const later = setUp()
  later.socket.onData(exclusive(1))
  later.waiting[0]?.fail(new TypeError('a bug'))
  await turn()
  t.ok(later.closed())
})

t.test('connection: an assertion that fails is told, also when the client has left', async (t) => {
  const { socket, waiting, failures } = setUp()
  socket.onData(exclusive(1))
  socket.destroy()
  const failure = new AssertionError('this can not be')
  waiting[0]?.fail(failure)
  await turn()
  t.same(failures, [failure])
})

t.test('connection: a request that began fast and crawls is ended', async (t) => {
  const { socket, connection, clock, closed } = setUp()
  const announced = Buffer.alloc(500_000)
  announced.writeInt32BE(900_000)
  socket.onData(announced)
  clock.ms += 10_001
  connection.sweep(clock.ms)
  t.notOk(closed(), 'it was fast until now')
  for (let second = 0; second <= 10; second++) {
    clock.ms += 1000
    socket.onData(Buffer.alloc(1))
    connection.sweep(clock.ms)
  }
  t.ok(closed())
})

t.test('connection: an API that answers nothing does not hold up the next', async (t) => {
  const { socket } = setUp()
  socket.onData(Buffer.concat([versionsRequest(1, 'silent'), versionsRequest(2, 'x')]))
  t.same(socket.answered, [2])
})

t.test(
  'connection: no first byte, a crawling frame, idleness and unread answers end it in their time',
  async (t) => {
    const silent = setUp()
    silent.connection.sweep(silent.clock.ms + 9000)
    t.notOk(silent.closed())
    silent.connection.sweep(silent.clock.ms + 10_001)
    t.ok(silent.closed(), 'no first byte')

    const crawling = setUp()
    crawling.socket.onData(Buffer.from([0, 0, 1, 0]))
    crawling.clock.ms += 10_001
    crawling.socket.onData(Buffer.from([0]))
    crawling.connection.sweep(crawling.clock.ms)
    t.ok(crawling.closed(), 'a frame at a crawl')

    const idle = setUp()
    idle.socket.onData(versionsRequest(1, 'x'))
    idle.connection.sweep(idle.clock.ms + 599_000)
    t.notOk(idle.closed())
    idle.connection.sweep(idle.clock.ms + 600_001)
    t.ok(idle.closed(), 'idle')

    const forgotten = setUp()
    forgotten.socket.onData(exclusive(1))
    forgotten.connection.sweep(forgotten.clock.ms + 600_001)
    t.ok(forgotten.closed(), 'idle while its request waits')

    const unread = setUp()
    unread.socket.onData(exclusive(1))
    unread.socket.backlogBytes = 10
    unread.connection.sweep(unread.clock.ms)
    unread.connection.sweep(unread.clock.ms + 59_000)
    t.notOk(unread.closed())
    unread.connection.sweep(unread.clock.ms + 60_001)
    t.ok(unread.closed(), 'unread answers')
  },
)

t.test(
  'connection: draining takes no further request, and ends when those in progress are answered',
  async (t) => {
    const { socket, connection, waiting, started } = setUp()
    socket.onData(overlapping(1))
    connection.drain()
    socket.onData(overlapping(2))
    t.same(started, ['id 1'])
    t.notOk(socket.ended)
    waiting[0]?.answer()
    await turn()
    t.same(socket.answered, [1])
    t.ok(socket.ended)
  },
)

t.test('connection: a client that is always in the middle of some frame is not slow', async (t) => {
  const { socket, connection, clock, closed } = setUp()
  const bytes = versionsRequest(1, 'x')
  socket.onData(bytes.subarray(0, 5))
  for (let second = 0; second < 30; second++) {
    clock.ms += 1000
    socket.onData(Buffer.concat([bytes.subarray(5), bytes.subarray(0, 5)]))
    connection.sweep(clock.ms)
  }
  t.notOk(closed())
  t.equal(socket.answered.length, 30)
})

t.test(
  'connection: the time in which we did not read is not held against the client',
  async (t) => {
    const { socket, connection, waiting, clock, closed } = setUp()
    socket.onData(Buffer.concat([exclusive(1), exclusive(2).subarray(0, 9)]))
    t.notOk(socket.reading)
    clock.ms += 60_000
    connection.sweep(clock.ms)
    waiting[0]?.answer()
    await turn()
    t.ok(socket.reading)
    clock.ms += 900
    connection.sweep(clock.ms)
    t.notOk(closed())
    clock.ms += 10_000
    connection.sweep(clock.ms)
    t.ok(closed(), 'from then on it is')
  },
)

t.test('connection: once it is to be closed, nothing that waits behind is begun', async (t) => {
  const { socket, waiting, started } = setUp()
  socket.destroy = () => undefined // Real sockets close later.
  const unknownKey = exclusive(2)
  unknownKey.writeInt16BE(999, 4)
  socket.onData(Buffer.concat([overlapping(1), unknownKey, overlapping(3)]))
  waiting[0]?.answer()
  socket.onData(overlapping(4))
  await turn()
  t.same(started, ['id 1'])
})

t.test('connection: what arrives while it drains stays in the socket', async (t) => {
  const { socket, connection, waiting } = setUp()
  socket.onData(overlapping(1))
  connection.drain()
  socket.onData(overlapping(2))
  t.notOk(socket.reading)
  socket.end = () => socket.resume() // Real sockets read on, and close when the client does.
  waiting[0]?.answer()
  await turn()
  socket.onDrain()
  t.ok(socket.reading, 'a close of the client is seen')
})

t.test('connection: its close is told once to everybody who asked', async (t) => {
  const { socket, connection } = setUp()
  const told: string[] = []
  connection.onClosed(() => told.push('a'))
  const takeBack = connection.onClosed(() => told.push('b'))
  takeBack()
  socket.destroy()
  t.same(told, ['a'])
  t.ok(connection.closed)
})
