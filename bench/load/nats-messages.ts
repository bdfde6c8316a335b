// NATS JetStream: publishes with a reply subject each, pulls with a consumer that needs no acknowledgements.
import { once } from 'node:events'
import * as net from 'node:net'
import { crc32c } from '../../protocol/bytes/crc32c.ts'
import { Checksum } from './checksum.ts'
import { Unparsed, type MessageJob, type MessageResult } from './messages.ts'

const inbox = '_INBOX.bench'
const crlf = Buffer.from('\r\n')
/** One connection: everything that comes is for one of these. */
const subscriptions = { acknowledgements: '1', messages: '2', answers: '3' } as const

type Handler = (payload: Buffer, header: string) => void

/** A connection that gives messages to handlers by subscription. */
class NatsConnection {
  readonly socket: net.Socket
  readonly handlers = new Map<string, Handler>()
  readonly failed: Promise<never>
  #fail: (error: Error) => void = () => undefined

  constructor({ host, port }: MessageJob) {
    this.socket = net.connect({ host, port, noDelay: true })
    this.failed = new Promise<never>((_, reject) => (this.#fail = reject))
    this.failed.catch(() => undefined)
    const unparsed = new Unparsed({ take: (bytes) => this.#take(bytes) })
    this.socket.on('error', (error) => this.#fail(error))
    this.socket.on('close', () => this.#fail(new Error('The server closed the connection')))
    this.socket.on('data', (chunk) => {
      try {
        unparsed.received(chunk)
      } catch (error) {
        this.#fail(error instanceof Error ? error : new Error(String(error)))
      }
    })
  }

  async open(): Promise<void> {
    await once(this.socket, 'connect')
    const options = { verbose: false, pedantic: false, headers: true, no_responders: true }
    this.socket.write(`CONNECT ${JSON.stringify(options)}\r\n`)
    for (const [name, id] of Object.entries(subscriptions))
      this.socket.write(`SUB ${inbox}.${name} ${id}\r\n`)
  }

  async ask(subject: string, request: object): Promise<Record<string, unknown>> {
    const body = JSON.stringify(request)
    const answered = new Promise<Buffer>((resolve) =>
      this.handlers.set(subscriptions.answers, (payload) => resolve(Buffer.from(payload))),
    )
    this.socket.write(`PUB ${subject} ${inbox}.answers ${Buffer.byteLength(body)}\r\n${body}\r\n`)
    const answer = JSON.parse((await Promise.race([answered, this.failed])).toString()) as {
      readonly error?: { readonly description: string }
    }
    if (answer.error !== undefined) throw new Error(`${subject}: ${answer.error.description}`)
    return answer as Record<string, unknown>
  }

  /** MSG subject sid [reply] size, HMSG subject sid [reply] size-of-headers size; others are a line. */
  #take(bytes: Buffer): number {
    let at = 0
    for (;;) {
      const end = bytes.indexOf(crlf, at)
      if (end < 0) return at
      const line = bytes.toString('latin1', at, end)
      const hasHeaders = line.startsWith('HMSG ')
      if (!hasHeaders && !line.startsWith('MSG ')) {
        if (line.startsWith('-ERR')) throw new Error(line)
        if (line === 'PING') this.socket.write('PONG\r\n')
        at = end + 2
        continue
      }
      const fields = line.split(' ')
      const size = Number(fields.at(-1))
      const headerBytes = hasHeaders ? Number(fields.at(-2)) : 0
      const from = end + 2
      if (from + size + 2 > bytes.length) return at
      const header = bytes.toString('latin1', from, from + headerBytes)
      const payload = bytes.subarray(from + headerBytes, from + size)
      this.handlers.get(fields[2] ?? '')?.(payload, header)
      at = from + size + 2
    }
  }
}

export async function prepareNats(job: MessageJob): Promise<() => Promise<MessageResult>> {
  const connection = new NatsConnection(job)
  await connection.open()
  const go =
    job.action === 'publish' ? await publisher(connection, job) : await consumer(connection, job)
  return async () => {
    const beganMs = performance.now()
    try {
      const checksum = await Promise.race([go(), connection.failed])
      return { elapsedMs: performance.now() - beganMs, checksum }
    } finally {
      connection.socket.destroy()
    }
  }
}

async function publisher(
  connection: NatsConnection,
  { stream, count, payloads, window }: MessageJob,
): Promise<() => Promise<string>> {
  const config = { name: stream, subjects: [stream], storage: 'file', retention: 'limits' }
  await connection.ask(`$JS.API.STREAM.CREATE.${stream}`, config)
  const frames = payloads.map((payload) => {
    const line = `PUB ${stream} ${inbox}.acknowledgements ${payload.length}\r\n`
    return Buffer.concat([Buffer.from(line), payload, crlf])
  })
  return () =>
    new Promise((resolve, reject) => {
      let [sent, acknowledged] = [0, 0]
      const send = (): void => {
        connection.socket.cork()
        while (sent < count && sent - acknowledged < window)
          connection.socket.write(frames[sent++ % frames.length] ?? crlf)
        connection.socket.uncork()
      }
      connection.handlers.set(subscriptions.acknowledgements, (payload) => {
        // {"stream":"...", "seq":1}, or {"error":{...}}
        if (payload.includes('"error"')) reject(new Error(payload.toString()))
        acknowledged += 1
        if (acknowledged === count) resolve(new Checksum().toString())
        // Not for each: they would go out one by one.
        else if (sent - acknowledged <= window >> 1) send()
      })
      send()
    })
}

async function consumer(
  connection: NatsConnection,
  { stream, count, window }: MessageJob,
): Promise<() => Promise<string>> {
  const config = { deliver_policy: 'all', ack_policy: 'none', max_waiting: 8 }
  const created = await connection.ask(`$JS.API.CONSUMER.CREATE.${stream}`, {
    stream_name: stream,
    config,
  })
  const subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${String(created['name'])}`
  const request = JSON.stringify({ batch: window })
  const pull = `PUB ${subject} ${inbox}.messages ${request.length}\r\n${request}\r\n`
  return () =>
    new Promise((resolve, reject) => {
      const checksum = new Checksum()
      let [received, asked] = [0, 0]
      const ask = (): void => {
        asked += window
        connection.socket.write(pull)
      }
      connection.handlers.set(subscriptions.messages, (payload, header) => {
        if (header !== '') {
          reject(new Error(`A pull was answered with ${header}`))
          return
        }
        received += 1
        checksum.add(crc32c(payload))
        if (received === count) resolve(checksum.toString())
        // The next part is asked for before this one is over.
        else if (asked < count && asked - received <= window >> 1) ask()
      })
      ask()
    })
}
