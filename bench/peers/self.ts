// Millrace: what this clone is built to, or another commit of it.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, sep } from 'node:path'
import type { Peer, PeerDescription, RunningPeer, StartOptions, Terms } from '../harness/peer.ts'
import { Instance, type NodePlan } from './instance.ts'
import { compiledRoot, repositoryRoot } from './places.ts'
import { freePorts } from './ports.ts'
import { accepts, kafkaServes } from './probes.ts'

const host = '127.0.0.1'
const controllerId = 100
const processBytes = 0.6e9

export class SelfPeer implements Peer {
  readonly name: string = 'self'
  readonly protocol = 'kafka'
  /** The command's file. */
  protected program = programOf(compiledRoot)

  memoryBytes({ brokers }: Terms): number {
    return processBytes * (brokers === 1 ? 1 : brokers + 1)
  }

  async prepare(_options: Parameters<Peer['prepare']>[0]): Promise<PeerDescription> {
    return this.describe(ownVersion())
  }

  start({ folder, terms, processes }: StartOptions): Promise<RunningPeer> {
    return startMillrace(this, { folder, terms, processes, program: this.program })
  }

  protected describe(commit: string): PeerDescription {
    return {
      version: `${commit}, Node ${process.version}`,
      remarks: [
        // Without the folders of this machine: results are published.
        `runs ${this.program.split(sep).slice(-3).join('/')}`,
        'settings as Millrace comes with them, but for addresses, folders and flush.policy; logs warnings',
      ],
    }
  }
}

/** What it is called is not worth a run: there may be no git, or one that does not trust this folder. */
function ownVersion(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', ['-C', repositoryRoot, ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  if (!existsSync(join(repositoryRoot, '.git'))) return 'of no repository'
  try {
    const commit = git('rev-parse', '--short', 'HEAD')
    return git('status', '--porcelain', '-uno') === '' ? commit : `${commit} and changes`
  } catch {
    return 'of an unknown commit'
  }
}

/** The bundle where it was built, else the compiled command. */
export function programOf(compiled: string): string {
  const bundle = join(compiled, 'bin', 'millrace.js')
  return existsSync(bundle) ? bundle : join(compiled, 'cli', 'main.js')
}

async function startMillrace(
  peer: Peer,
  options: StartOptions & { readonly program: string },
): Promise<RunningPeer> {
  const { folder, terms, processes, program } = options
  const { brokers: count, durability, properties } = terms
  const settings = { 'flush.policy': durability, ...properties }
  const flags = [
    '--log-level',
    'warn',
    ...Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
  ]
  const plan = (id: number, port: number, role: readonly string[]): NodePlan => {
    const dataFolder = join(folder, `node-${id}`)
    const place = ['--node-id', `${id}`, '--data-dir', dataFolder]
    return {
      id,
      host,
      port,
      dataFolder,
      command: process.execPath,
      args: [program, 'start', ...place, ...role, ...flags],
      serves: () =>
        id === controllerId ? accepts({ host, port }) : kafkaServes({ host, port }, count),
    }
  }
  const [controllerPort = 0, ...ports] = await freePorts(1 + count)
  const listener = (port: number): string[] => ['--listener', `${host}:${port}`]
  if (count === 1) {
    const brokers = ports.map((port) => plan(1, port, listener(port)))
    return Instance.start({ peer, terms, processes, controllers: [], brokers })
  }
  const place = `${host}:${controllerPort}`
  const controllers = [
    plan(controllerId, controllerPort, ['--roles', 'controller', '--controller-listener', place]),
  ]
  const brokers = ports.map((port, index) =>
    plan(index + 1, port, ['--roles', 'broker', '--controllers', place, ...listener(port)]),
  )
  return Instance.start({ peer, terms, processes, controllers, brokers })
}
