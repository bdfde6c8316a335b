import * as net from 'node:net'
import { NetworkError, type Listener, type Socket } from '../env.ts'
import { networkError } from './coded-error.ts'
import { isNearlyLast } from './descriptor.ts'
import { acceptedSocket } from './file-sending-socket.ts'
import { lentBuffer } from './receiving.ts'

/** How often a lack of descriptors is reported at most. */
const reportIntervalMs = 1_000

/** Rejects with `NetworkError`; later trouble goes to `failed`, and does not end the listener. */
export function listen(
  options: { readonly host: string; readonly port: number; readonly backlog?: number },
  accept: (socket: Socket) => void,
  failed: (error: Error) => void,
): Promise<Listener> {
  const { host, port, backlog = 511 } = options
  let reportedMs = -Infinity
  const shed = (socket: net.Socket): void => {
    socket.on('error', () => undefined)
    socket.destroy()
    if (performance.now() - reportedMs < reportIntervalMs) return
    reportedMs = performance.now()
    const message = 'Closed a new connection: nearly all file descriptors are in use (ulimit -n)'
    failed(new NetworkError(message, { code: 'EMFILE' }))
  }
  const server = net.createServer({ noDelay: true, pauseOnConnect: true }, (socket) => {
    const incoming = isNearlyLast(socket) ? undefined : lentBuffer(socket)
    if (incoming === undefined) shed(socket)
    else accept(acceptedSocket(incoming))
  })
  const close = async (): Promise<void> => {
    server.close()
  }
  return new Promise((resolve, reject) => {
    const refuse = (error: Error): void => reject(networkError(`listen on ${host}:${port}`, error))
    server.once('error', refuse)
    server.listen({ host, port, backlog }, () => {
      server.removeListener('error', refuse)
      server.on('error', (error) => failed(networkError(`accept on ${host}:${port}`, error)))
      const address = server.address()
      if (address === null || typeof address === 'string') refuse(new Error('No address'))
      else resolve({ host: address.address, port: address.port, close })
    })
  })
}
