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
import { redisServes } from './probes.ts'

const host = '127.0.0.1'

/** Redis with an append-only file, for its streams: one server. It holds all data in memory. */
export class RedisPeer implements Peer {
  readonly name = 'redis'
  readonly protocol = 'redis'

  memoryBytes(): number {
    return 3e9
  }

  async prepare({ processes }: Parameters<Peer['prepare']>[0]): Promise<PeerDescription> {
    const asked = processes.spawn('redis-server', ['--version'])
    if ((await asked.exited) !== 0)
      throw new PeerUnavailable('no redis-server: apt-get install redis-server')
    const [, version = 'unknown'] = /v=([\d.]+)/.exec(asked.output()) ?? []
    return {
      version: `redis-server ${version}`,
      remarks: [
        'append-only file: appendfsync no where an acknowledgement need not be on the disk, else always',
        'no snapshots and no rewriting of the file meanwhile',
      ],
    }
  }

  async start({ folder, terms, processes }: StartOptions): Promise<RunningPeer> {
    if (terms.brokers !== 1) throw new PeerUnavailable('one server only')
    const [port = 0] = await freePorts(1)
    mkdirSync(folder, { recursive: true })
    const settings = {
      port,
      bind: host,
      dir: folder,
      appendonly: 'yes',
      appendfsync: terms.durability === 'ack' ? 'always' : 'no',
      'auto-aof-rewrite-percentage': 0,
      save: '',
    }
    const args = Object.entries(settings).flatMap(([key, value]) => [`--${key}`, `${value}`])
    const serves = (): Promise<boolean> => redisServes({ host, port })
    const node = { id: 1, host, port, dataFolder: folder, command: 'redis-server', args, serves }
    return Instance.start({ peer: this, terms, processes, controllers: [], brokers: [node] })
  }
}
