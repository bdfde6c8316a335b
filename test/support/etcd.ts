/** Processes of etcd for tests, on this machine's loopback. Tests are skipped where there is no `etcd`. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const hasEtcd = spawnSync('etcd', ['--version']).status === 0

export interface EtcdMember {
  readonly endpoint: string
  readonly dataDirectory: string
  process: ChildProcess
  start(): void
}

export interface EtcdCluster {
  readonly members: readonly EtcdMember[]
  readonly endpoints: readonly string[]
  kill(index: number, signal?: NodeJS.Signals): Promise<void>
  /** Starts a killed member again, on its data. */
  restart(index: number): Promise<void>
  stop(): Promise<void>
}

export interface EtcdClusterOptions {
  readonly size?: number
  /** More command-line arguments of each member. */
  readonly args?: readonly string[]
  readonly scheme?: 'http' | 'https'
}

export async function startEtcd(options: EtcdClusterOptions = {}): Promise<EtcdCluster> {
  const { size = 1, args = [], scheme = 'http' } = options
  const folder = mkdtempSync(join(tmpdir(), 'millrace-etcd-'))
  const ports = await freePorts(2 * size)
  const peers = Array.from(
    { length: size },
    (_, index) => `http://127.0.0.1:${ports[size + index]}`,
  )
  const initial = peers.map((peer, index) => `m${index}=${peer}`).join(',')
  const members = peers.map((peer, index): EtcdMember => {
    const endpoint = `localhost:${ports[index]}`
    const dataDirectory = join(folder, `m${index}`)
    const launch = (): ChildProcess => {
      const child = spawn(
        'etcd',
        [
          ...argumentsOf({ name: `m${index}`, 'data-dir': dataDirectory }),
          ...argumentsOf({ 'listen-client-urls': `${scheme}://${endpoint}` }),
          ...argumentsOf({ 'advertise-client-urls': `${scheme}://${endpoint}` }),
          ...argumentsOf({ 'listen-peer-urls': peer, 'initial-advertise-peer-urls': peer }),
          ...argumentsOf({ 'initial-cluster': initial, 'log-level': 'error' }),
          ...args,
        ],
        { stdio: 'ignore' },
      )
      return child
    }
    return {
      endpoint,
      dataDirectory,
      process: launch(),
      start() {
        this.process = launch()
      },
    }
  })
  await Promise.all(members.map(listening))
  if (scheme === 'http') await healthy(members[0]!)
  const cluster: EtcdCluster = {
    members,
    endpoints: members.map(({ endpoint }) => endpoint),
    async kill(index, signal = 'SIGKILL') {
      const child = members[index]!.process
      if (child.exitCode !== null || child.signalCode !== null) return
      const gone = once(child, 'exit')
      child.kill(signal)
      await gone
    },
    async restart(index) {
      members[index]!.start()
      await listening(members[index]!)
    },
    async stop() {
      await Promise.all(members.map((_, index) => cluster.kill(index)))
      rmSync(folder, { recursive: true, force: true })
    },
  }
  return cluster
}

function argumentsOf(values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => [`--${name}`, value])
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => once(server.close(), 'close')))
  return ports
}

async function listening({ endpoint }: EtcdMember): Promise<void> {
  const port = Number(endpoint.split(':').at(-1))
  for (let attempt = 0; attempt < 400; attempt++) {
    const socket = connect(port, 'localhost')
    const open = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    socket.destroy()
    if (open) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error(`etcd did not listen on ${endpoint}`)
}

/** It listens before it has a leader. */
async function healthy({ endpoint }: EtcdMember): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const answer = await fetch(`http://${endpoint}/health`).catch(() => undefined)
    if (answer?.ok === true) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`etcd at ${endpoint} is not healthy`)
}
