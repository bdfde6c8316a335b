import * as net from 'node:net'
import { NetworkError, type Network, type Socket } from '../env.ts'
import { networkError } from './coded-error.ts'
import { listen } from './listener.ts'
import { ownBuffers } from './receiving.ts'
import { RealSocket } from './socket.ts'

/** TCP through node:net. */
export const realNetwork: Network = { listen, dial }

function dial(options: { host: string; port: number; timeoutMs: number }): Promise<Socket> {
  const place = `connect to ${options.host}:${options.port}`
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: options.host, port: options.port, noDelay: true })
    const timeout = setTimeout(() => {
      const error = new NetworkError(`Failed to ${place} within ${options.timeoutMs} ms`, {
        code: 'ETIMEDOUT',
      })
      socket.destroy(error)
    }, options.timeoutMs)
    const fail = (error: Error): void => {
      clearTimeout(timeout)
      reject(networkError(place, error))
    }
    socket.once('error', fail)
    socket.once('connect', () => {
      clearTimeout(timeout)
      socket.removeListener('error', fail)
      resolve(RealSocket.over(ownBuffers(socket)))
    })
  })
}
