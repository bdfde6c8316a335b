import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Env, Listener, Socket } from '../../base/env.ts'
import { createRealEnv } from '../../base/real/real-env.ts'
import { createSimulatedEnv } from '../../base/simulated/simulated-env.ts'

/** One binding of `Env`, so that the same test runs over each. */
export interface Harness {
  readonly name: string
  readonly env: Env
  /** An empty directory. */
  readonly root: string
  /** Waits for the promise: the simulation only moves while somebody waits. */
  readonly settle: <T>(promise: Promise<T>) => Promise<T>
  readonly cleanUp: () => void
}

export function realHarness(): Harness {
  const root = mkdtempSync(join(tmpdir(), 'millrace-env-'))
  return {
    name: 'real',
    env: createRealEnv(),
    root,
    settle: (promise) => promise,
    cleanUp: () => rmSync(root, { recursive: true }),
  }
}

export function simulatedHarness(seed = 1): Harness {
  const env = createSimulatedEnv(seed)
  env.disk.makeDirectory('/data')
  return {
    name: 'simulated',
    env,
    root: '/data',
    settle: (promise) => env.simulation.until(promise),
    cleanUp: () => undefined,
  }
}

export interface Pair {
  readonly listener: Listener
  readonly near: Socket
  readonly far: Socket
}

/** A connection of the process with itself. */
export async function connectedPair(harness: Harness): Promise<Pair> {
  const { network } = harness.env
  let accepted: (socket: Socket) => void = () => undefined
  const incoming = new Promise<Socket>((resolve) => {
    accepted = resolve
  })
  const failed = (error: Error): void => {
    throw error
  }
  const listener = await harness.settle(
    network.listen({ host: '127.0.0.1', port: 0 }, (socket) => accepted(socket), failed),
  )
  const { host, port } = listener
  const near = await harness.settle(network.dial({ host, port, timeoutMs: 5_000 }))
  const far = await harness.settle(incoming)
  return { listener, near, far }
}

/** Everything that arrives until the socket closes. */
export function received(socket: Socket): Promise<{ bytes: Buffer; error: Error | undefined }> {
  const chunks: Buffer[] = []
  return new Promise((resolve) => {
    // A copy: an accepted socket only lends the chunk.
    socket.onData = (chunk) => chunks.push(Buffer.from(chunk))
    socket.onClose = (error) => resolve({ bytes: Buffer.concat(chunks), error })
  })
}

/** Resolves when the socket has closed, with the reason. */
export function closed(socket: Socket): Promise<Error | undefined> {
  return new Promise((resolve) => {
    socket.onClose = resolve
  })
}
