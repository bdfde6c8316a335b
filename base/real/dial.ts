import * as net from 'node:net'
import { NetworkError, type DialOptions, type Socket } from '../env.ts'
import { networkError } from './coded-error.ts'
import { ownBuffers, RealSocket } from './socket.ts'
import { realTimers } from './timers.ts'

/** Each lending connection has one: Windows reads ahead, so that none can be shared. */
const lentBytes = 128 * 1024

/** Rejects with `NetworkError`. */
export function dial(options: DialOptions): Promise<Socket> {
  const place = `connect to ${options.host}:${options.port}`
  return new Promise((resolve, reject) => {
    const { host, port } = options
    let receive: (chunk: Buffer) => void = () => undefined
    const buffer = options.lendChunks === true ? Buffer.allocUnsafeSlow(lentBytes) : undefined
    const onread =
      buffer === undefined
        ? {}
        : {
            onread: {
              buffer,
              callback: (count: number): boolean => {
                receive(buffer.subarray(0, count))
                return true
              },
            },
          }
    const socket = net.connect({ host, port, noDelay: true, ...onread })
    const { timeoutMs } = options
    const tooLate = (): void => {
      const message = `Failed to ${place} within ${timeoutMs} ms`
      socket.destroy(new NetworkError(message, { code: 'ETIMEDOUT' }))
    }
    const timeout = realTimers.after(timeoutMs, tooLate, { holdsProcess: true })
    const fail = (error: Error): void => {
      timeout.cancel()
      reject(networkError(place, error))
    }
    socket.once('error', fail)
    socket.once('connect', () => {
      timeout.cancel()
      socket.removeListener('error', fail)
      const data = (receiver: (chunk: Buffer) => void): void => {
        receive = receiver
      }
      resolve(new RealSocket(buffer === undefined ? ownBuffers(socket) : { socket, data }))
    })
  })
}
