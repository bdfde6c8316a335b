import { closeSync } from 'node:fs'
import * as net from 'node:net'
import { descriptorOf, isReserved } from './descriptor.ts'
import { native } from './native.ts'
import { ownBuffers, type Incoming } from './socket.ts'

/** Where the bytes of every accepted connection arrive, one read after the other. */
let shared: Buffer | undefined
/**
 * Holds what a client with five requests of 64 KiB under way has sent, so that they come whole and with one event. With
 * 128 KiB, of which the second request filled only a half, they cost a quarter more.
 */
const sharedBytes = 512 * 1024

/**
 * An accepted socket that reads into one buffer shared by all: a chunk is valid until its receiver returns.
 *
 * Node makes 64 KiB of garbage for every read otherwise, of which V8 knows only that it is much: at 250 MB/s it
 * collected the whole heap for every 20 MB received, and spent 0.9 s of other threads' time on a gigabyte.
 * Node offers a buffer of one's own (`onread`) to sockets made by hand only. So such a socket is made from a second
 * descriptor of the connection, and the accepted one is closed before it has read anything; it was made with
 * `pauseOnConnect`. Undefined: there is no descriptor left.
 */
export function lentBuffer(accepted: net.Socket): Incoming | undefined {
  const duplicate = native()?.duplicate
  const fd = descriptorOf(accepted)
  if (duplicate === undefined || fd === undefined) {
    accepted.resume()
    return ownBuffers(accepted)
  }
  const copy = duplicate(fd)
  if (copy === undefined) return undefined
  // The accepted descriptor takes the same low hole every time: only the one that stays tells how full it is.
  if (isReserved(copy)) {
    closeSync(copy)
    return undefined
  }
  const taken = adopt(copy)
  if (taken !== undefined) accepted.destroy()
  return taken
}

function adopt(fd: number): Incoming | undefined {
  shared ??= Buffer.allocUnsafeSlow(sharedBytes)
  let receive: (chunk: Buffer) => void = () => undefined
  const callback = (count: number): boolean => {
    if (shared !== undefined) receive(shared.subarray(0, count))
    return true
  }
  try {
    // The types know `onread` for `connect` only.
    const options: net.SocketConstructorOpts & Pick<net.SocketConnectOpts, 'onread'> = {
      fd,
      onread: { buffer: shared, callback },
    }
    const socket = new net.Socket(options)
    socket.setNoDelay(true)
    return {
      socket,
      data: (receiver) => {
        receive = receiver
      },
    }
  } catch {
    closeSync(fd) // It broke before it was ours.
    return undefined
  }
}
