import type * as net from 'node:net'
import { NetworkError } from '../env.ts'
import { descriptorOf } from './descriptor.ts'
import type { RealFile } from './disk-file.ts'
import { native } from './native.ts'

/** Enough to fill what a full socket has freed before it calls itself writable. */
const bridgeBytes = 64 * 1024

/**
 * Sends a range of a file from the kernel. Everything written to the socket before must have left.
 *
 * Node has no event for "writable again" without a write of its own. So when the socket is full, the next piece of the
 * range goes through Node as ordinary bytes: its callback is that event.
 */
export async function sendFileRange(
  socket: net.Socket,
  file: RealFile,
  position: number,
  count: number,
): Promise<void> {
  const system = native()
  const end = position + count
  for (let at = position; at < end;) {
    const socketFd = descriptorOf(socket)
    if (socket.destroyed || socketFd === undefined || system?.sendFile === undefined) return
    const sent = system.sendFile(socketFd, file.fd, at, end - at)
    if (sent > 0) at += sent
    else if (sent === -system.eagain) at += await sendCopy(socket, file, at, end - at)
    else throw refusal(file, at, sent)
  }
}

async function sendCopy(
  socket: net.Socket,
  file: RealFile,
  position: number,
  left: number,
): Promise<number> {
  const bytes = Buffer.allocUnsafe(Math.min(left, bridgeBytes))
  const got = file.read(bytes, 0, bytes.length, position)
  if (got === 0) throw refusal(file, position, 0)
  // A failed write destroys the socket, which says why: nothing to add here.
  await new Promise<void>((resolve) => {
    socket.write(bytes.subarray(0, got), () => resolve())
  })
  return got
}

function refusal(file: RealFile, position: number, sent: number): NetworkError {
  const code = sent === 0 ? 'EOF' : `ERRNO_${-sent}`
  return new NetworkError(`Failed to send ${file.path} from ${position}: ${code}`, { code })
}
