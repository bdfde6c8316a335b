import * as net from 'node:net'
import { NetworkError, type DialOptions, type Socket } from '../env.ts'
import { networkError } from './coded-error.ts'
import { ownBuffers, RealSocket } from './socket.ts'

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
      const data = (receiver: (chunk: Buffer) => void): void => {
        receive = receiver
      }
      resolve(new RealSocket(buffer === undefined ? ownBuffers(socket) : { socket, data }))
    })
  })
}
