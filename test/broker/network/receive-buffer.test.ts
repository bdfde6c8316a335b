import t from 'tap'
import { FrameError, ReceiveBuffer } from '../../../broker/network/receive-buffer.ts'
import { ReceiveMemory } from '../../../broker/network/receive-memory.ts'

const seed = Number(process.env['SEED'] ?? 20261120)

function randomSource(start: number): () => number {
  let state = start >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 4294967296
  }
}

function frame(body: Buffer): Buffer {
  const prefix = Buffer.alloc(4)
  prefix.writeInt32BE(body.length)
  return Buffer.concat([prefix, body])
}

const ignored = { memoryReady: () => undefined }

t.test('receive buffer: any cut of a stream into chunks gives the same frames', async (t) => {
  t.comment(`seed ${seed}`)
  const random = randomSource(seed)
  for (let round = 0; round < 60; round++) {
    const bodies = Array.from({ length: 1 + Math.floor(random() * 12) }, () => {
      const size = random() < 0.2 ? Math.floor(random() * 400_000) : Math.floor(random() * 300)
      return Buffer.alloc(size, Math.floor(random() * 256))
    })
    const stream = Buffer.concat(bodies.map(frame))
    const buffer = new ReceiveBuffer(1_000_000, new ReceiveMemory(10_000_000))
    const seen: Buffer[] = []
    for (let at = 0; at < stream.length;) {
      const size = 1 + Math.floor(random() * (random() < 0.5 ? 9 : 65_536))
      const lent = Buffer.from(stream.subarray(at, at + size))
      buffer.push(lent)
      at += size
      for (let next = buffer.next(ignored); next !== undefined; next = buffer.next(ignored)) {
        if (random() < 0.2) {
          // Later: it is handed out again.
          buffer.unread()
          t.ok(buffer.partial)
          break
        }
        seen.push(Buffer.from(next))
      }
      // The socket takes its memory back.
      buffer.own()
      lent.fill(0xdb)
    }
    for (let next = buffer.next(ignored); next !== undefined; next = buffer.next(ignored)) {
      seen.push(Buffer.from(next))
    }
    t.equal(seen.length, bodies.length)
    t.ok(seen.every((each, index) => each.equals(bodies[index]!)))
    t.notOk(buffer.partial)
    buffer.close()
  }
})

t.test(
  'receive buffer: a size beyond the limit or below zero is refused before memory is taken',
  async (t) => {
    for (const size of [-1, 1001, 0x7fffffff, 0x16030100]) {
      const memory = new ReceiveMemory(10_000_000)
      const buffer = new ReceiveBuffer(1000, memory)
      const prefix = Buffer.alloc(4)
      prefix.writeInt32BE(size)
      buffer.push(prefix)
      t.throws(() => buffer.next(ignored), FrameError)
      t.equal(memory.usedBytes, 0)
    }
  },
)

t.test('receive buffer: a TLS hello on a plain port is named as such', async (t) => {
  const buffer = new ReceiveBuffer(100_000_000, new ReceiveMemory(1000))
  buffer.push(Buffer.from([0x16, 0x03, 0x01, 0x00]))
  t.throws(() => buffer.next(ignored), /TLS on a plaintext listener/)
})

t.test('receive buffer: memory follows the bytes received, not those announced', async (t) => {
  const memory = new ReceiveMemory(1_000_000_000)
  const buffer = new ReceiveBuffer(100_000_000, memory)
  const prefix = Buffer.alloc(4)
  prefix.writeInt32BE(100_000_000)
  buffer.push(prefix)
  t.equal(buffer.next(ignored), undefined)
  t.equal(memory.usedBytes, 0, 'a prefix alone costs nothing')
  buffer.push(Buffer.alloc(100_000))
  t.equal(buffer.next(ignored), undefined)
  t.ok(memory.usedBytes <= 4 * 100_000, `${memory.usedBytes} bytes for 100,000 received`)
  buffer.close()
  t.equal(memory.usedBytes, 0, 'all is given back')
})

t.test(
  'receive memory: when it is used up the others wait, the oldest gets on, and they are called after it',
  async (t) => {
    const memory = new ReceiveMemory(300_000)
    const body = Buffer.alloc(200_000, 1)
    const bytes = frame(body)
    const first = new ReceiveBuffer(1_000_000, memory)
    const second = new ReceiveBuffer(1_000_000, memory)
    first.push(bytes.subarray(0, 100_004))
    t.equal(first.next(ignored), undefined)
    let called = 0
    second.push(Buffer.from(bytes))
    second.push(Buffer.alloc(1))
    const third = new ReceiveBuffer(1_000_000, memory)
    third.push(Buffer.from(bytes.subarray(0, 150_000)))
    t.equal(third.next({ memoryReady: () => called++ }), undefined)
    t.ok(third.starved)
    first.push(bytes.subarray(100_004))
    t.ok(first.next(ignored)?.equals(body), 'the oldest is never starved')
    t.equal(second.next(ignored)?.length, 200_000, 'a frame in one chunk takes no memory')
    first.next(ignored)
    t.ok(called > 0, 'the waiting one is called')
    t.equal(third.next(ignored), undefined)
    t.notOk(third.starved)
  },
)

t.test('receive memory: when the oldest goes, the next one gets on', async (t) => {
  const memory = new ReceiveMemory(300_000)
  const oldest = new ReceiveBuffer(1_000_000, memory)
  const second = new ReceiveBuffer(1_000_000, memory)
  oldest.push(frame(Buffer.alloc(200_000)).subarray(0, 100_004))
  t.equal(oldest.next(ignored), undefined)
  second.push(frame(Buffer.alloc(90_000)).subarray(0, 30_000))
  t.equal(second.next(ignored), undefined)
  const body = Buffer.alloc(600_000, 1)
  const third = new ReceiveBuffer(1_000_000, memory)
  third.push(frame(body).subarray(0, 590_000))
  const waiter = { memoryReady: (): void => void third.next(waiter) }
  t.equal(third.next(waiter), undefined)
  t.ok(third.starved)
  second.close()
  oldest.close()
  t.notOk(third.starved, 'nobody is older, so it may take what it needs')
  third.push(frame(body).subarray(590_000))
  t.ok(third.next(ignored)?.equals(body))
  third.close()
  t.equal(memory.usedBytes, 0)
})
