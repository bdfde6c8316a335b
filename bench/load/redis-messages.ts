// Redis streams: XADD, XRANGE.
import { once } from 'node:events'
import * as net from 'node:net'
import { crc32c } from '../../protocol/bytes/crc32c.ts'
import { Checksum } from './checksum.ts'
import { Unparsed, type MessageJob, type MessageResult } from './messages.ts'

/** A value of RESP that came whole, or undefined: there is more to come. */
interface Reply {
  readonly next: number
  readonly value: Buffer | readonly Reply['value'][] | null
}

function parse(bytes: Buffer, at: number): Reply | undefined {
  const end = bytes.indexOf('\r\n', at)
  if (end < 0) return undefined
  const line = bytes.toString('latin1', at + 1, end)
  switch (String.fromCharCode(bytes[at] ?? 0)) {
    case '+':
    case ':':
      return { next: end + 2, value: Buffer.from(line) }
    case '$': {
      const size = Number(line)
      if (size < 0) return { next: end + 2, value: null }
      const next = end + 2 + size + 2
      if (next > bytes.length) return undefined
      return { next, value: bytes.subarray(end + 2, end + 2 + size) }
    }
    case '*':
      return parseArray(bytes, end + 2, Number(line))
    default:
      throw new Error(`Redis answered ${bytes.toString('latin1', at, end)}`)
  }
}

function parseArray(bytes: Buffer, at: number, count: number): Reply | undefined {
  const values: Reply['value'][] = []
  let next = at
  for (let index = 0; index < count; index++) {
    const item = parse(bytes, next)
    if (item === undefined) return undefined
    values.push(item.value)
    next = item.next
  }
  return { next, value: values }
}

function command(...parts: readonly (string | Uint8Array)[]): Buffer {
  const pieces: Buffer[] = [Buffer.from(`*${parts.length}\r\n`)]
  for (const part of parts) {
    const bytes = Buffer.from(part)
    pieces.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'))
  }
  return Buffer.concat(pieces)
}

export async function prepareRedis(job: MessageJob): Promise<() => Promise<MessageResult>> {
  const { host, port } = job
  const socket = net.connect({ host, port, noDelay: true })
  await once(socket, 'connect')
  return async () => {
    const beganMs = performance.now()
    try {
      const checksum = await (job.action === 'publish'
        ? publish(socket, job)
        : consume(socket, job))
      return { elapsedMs: performance.now() - beganMs, checksum }
    } finally {
      socket.destroy()
    }
  }
}

/** Gives each reply to `take`, until that says that it is enough. */
function replies(socket: net.Socket, take: (value: Reply['value']) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const unparsed = new Unparsed({
      take: (bytes) => {
        let at = 0
        for (;;) {
          const reply = parse(bytes, at)
          if (reply === undefined) return at
          at = reply.next
          if (take(reply.value)) resolve()
        }
      },
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('The server closed the connection')))
    socket.on('data', (chunk) => {
      try {
        unparsed.received(chunk)
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)))
      }
    })
  })
}

async function publish(
  socket: net.Socket,
  { stream, count, payloads, window }: MessageJob,
): Promise<string> {
  const frames = payloads.map((payload) => command('XADD', stream, '*', 'v', payload))
  let [sent, acknowledged] = [0, 0]
  const send = (): void => {
    socket.cork()
    while (sent < count && sent - acknowledged < window)
      socket.write(frames[sent++ % frames.length] ?? '')
    socket.uncork()
  }
  const all = replies(socket, () => {
    acknowledged += 1
    // Not for each: they would go out one by one.
    if (sent < count && sent - acknowledged <= window >> 1) send()
    return acknowledged === count
  })
  send()
  await all
  return new Checksum().toString()
}

async function consume(socket: net.Socket, { stream, count, window }: MessageJob): Promise<string> {
  const checksum = new Checksum()
  let received = 0
  const ask = (from: string): void => {
    socket.write(command('XRANGE', stream, from, '+', 'COUNT', `${window}`))
  }
  // Each entry: its id, and [field, value].
  const all = replies(socket, (entries) => {
    if (!Array.isArray(entries) || entries.length === 0)
      throw new Error(`${stream} ends after ${received} entries`)
    let last = ''
    for (const entry of entries as [Buffer, [Buffer, Buffer]][]) {
      const [id, [, value]] = entry
      received += 1
      checksum.add(crc32c(value))
      last = id.toString()
    }
    if (received >= count) return true
    ask(`(${last}`)
    return false
  })
  ask('-')
  await all
  if (received > count) throw new Error(`${stream} has more than ${count} entries`)
  return checksum.toString()
}
