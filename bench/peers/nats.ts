import { mkdirSync } from 'node:fs'
import {
  PeerUnavailable,
  type Peer,
  type PeerDescription,
  type RunningPeer,
  type StartOptions,
} from '../harness/peer.ts'
import { Instance } from './instance.ts'
import { freePorts } from './ports.ts'
import { natsServes } from './probes.ts'

const host = '127.0.0.1'

/** NATS JetStream with its file store: one server. */
export class NatsPeer implements Peer {
  readonly name = 'nats'
  readonly protocol = 'nats'

  memoryBytes(): number {
    return 0.5e9
  }

  async prepare({ processes }: Parameters<Peer['prepare']>[0]): Promise<PeerDescription> {
    const asked = processes.spawn('nats-server', ['--version'])
    if ((await asked.exited) !== 0)
      throw new PeerUnavailable('no nats-server: apt-get install nats-server')
    const [version = 'unknown'] = /v[\d.]+/.exec(asked.output()) ?? []
    return {
      version: `nats-server ${version}`,
      remarks: [
        'JetStream, file store; it flushes every two minutes, never before an acknowledgement',
      ],
    }
  }

  async start({ folder, terms, processes }: StartOptions): Promise<RunningPeer> {
    if (terms.brokers !== 1 || terms.durability !== 'os')
      throw new PeerUnavailable('one server only, and no flush before an acknowledgement')
    const [port = 0] = await freePorts(1)
    mkdirSync(folder, { recursive: true })
    const args = ['-a', host, '-p', `${port}`, '-js', '-sd', folder]
    const serves = (): Promise<boolean> => natsServes({ host, port })
    const node = { id: 1, host, port, dataFolder: folder, command: 'nats-server', args, serves }
    return Instance.start({ peer: this, terms, processes, controllers: [], brokers: [node] })
  }
}
