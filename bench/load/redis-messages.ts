// Redis streams: XADD, XRANGE.
import { once } from 'node:events'
import * as net from 'node:net'
import { crc32c } from '../../protocol/bytes/crc32c.ts'
import { Checksum } from './checksum.ts'
import { Unparsed, type MessageJob, type MessageResult, type Parser } from './messages.ts'

/** What RESP is made of: the head of an array, or a value that came whole. */
type Token = { readonly arrayOf: number } | { readonly value: Buffer }

/** Cuts bytes into tokens, as far as they are whole; arrays need not be. */
function tokens(take: (token: Token) => void): Parser {
  return {
    take: (bytes) => {
      let at = 0
      for (;;) {
        const end = bytes.indexOf('\r\n', at)
        if (end < 0) return at
        const line = bytes.toString('latin1', at + 1, end)
        switch (String.fromCharCode(bytes[at] ?? 0)) {
          case '+':
            take({ value: Buffer.from(line) })
            break
          case '*':
            take({ arrayOf: Number(line) })
            break
          case '$': {
            const [from, next] = [end + 2, end + 2 + Number(line) + 2]
            if (next > bytes.length) return at
            take({ value: bytes.subarray(from, next - 2) })
            at = next
            continue
          }
          default:
            throw new Error(`Redis answered ${bytes.toString('latin1', at, end)}`)
        }
        at = end + 2
      }
    },
  }
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

/** Gives each token to `take`, until that says that it is enough. */
function receive(socket: net.Socket, take: (token: Token) => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const unparsed = new Unparsed(
      tokens((token) => {
        if (take(token)) resolve()
      }),
    )
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
  const all = receive(socket, () => {
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
  let [received, entriesLeft, part, last] = [0, 0, 0, '']
  const ask = (from: string): void => {
    socket.write(command('XRANGE', stream, from, '+', 'COUNT', `${window}`))
  }
  // An array of entries, each an array of its id and an array of field and value.
  const all = receive(socket, (token) => {
    if ('arrayOf' in token) {
      if (entriesLeft > 0) return false
      entriesLeft = token.arrayOf
      if (entriesLeft <= 0) throw new Error(`${stream} ends after ${received} entries`)
      return false
    }
    if (part === 0) last = token.value.toString()
    if (part === 2) {
      checksum.add(crc32c(token.value))
      received += 1
      entriesLeft -= 1
    }
    part = (part + 1) % 3
    if (part !== 0 || entriesLeft > 0) return false
    if (received < count) ask(`(${last}`)
    return received >= count
  })
  ask('-')
  await all
  if (received > count) throw new Error(`${stream} has more than ${count} entries`)
  return checksum.toString()
}
