// Whether a server answers a request of its protocol, asked with a connection of its own.
import * as net from 'node:net'
import { Metadata } from '../../protocol/messages/metadata.ts'
import { send } from '../lib/admin.ts'

interface Address {
  readonly host: string
  readonly port: number
}

const answerWithinMs = 2_000

/** Knows so many brokers, and would serve clients. */
export async function kafkaServes(address: Address, brokers: number): Promise<boolean> {
  const request = { topics: [], allowAutoTopicCreation: false }
  const asked = send(address, Metadata, 9, request)
  const late = AbortSignal.timeout(answerWithinMs)
  const response = await Promise.race([
    asked,
    new Promise<undefined>((resolve) =>
      late.addEventListener('abort', () => resolve(undefined), { once: true }),
    ),
  ])
  return response !== undefined && response.brokers.length >= brokers
}

/** Accepts, no more: a controller of Kafka's kind has no request for clients. */
export async function accepts(address: Address): Promise<boolean> {
  await talk(address, '', /^/)
  return true
}

export function natsServes(address: Address): Promise<boolean> {
  return talk(address, 'CONNECT {"verbose":false}\r\nPING\r\n', /PONG\r\n/)
}

/** `-LOADING` until it has read what it keeps. */
export function redisServes(address: Address): Promise<boolean> {
  return talk(address, 'PING\r\n', /^\+PONG/)
}

function talk({ host, port }: Address, question: string, wanted: RegExp): Promise<boolean> {
  const socket = net.connect(port, host)
  return new Promise((resolve, reject) => {
    let text = ''
    const done = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(answerWithinMs, () => done(false))
    socket.once('error', reject)
    socket.once('close', () => resolve(false))
    socket.once('connect', () => (question === '' ? done(true) : socket.write(question)))
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
      if (wanted.test(text)) done(true)
      else if (text.endsWith('\n') && !text.startsWith('INFO')) done(false)
    })
  })
}
