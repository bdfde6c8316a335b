import type { Peer } from '../harness/peer.ts'
import { KafkaPeer } from './kafka.ts'
import { NatsPeer } from './nats.ts'
import { RedisPeer } from './redis.ts'
import { SelfAtPeer } from './self-at.ts'
import { SelfPeer } from './self.ts'

export const peerNames = ['self', 'self@REF', 'kafka', 'nats', 'redis'] as const

/** As `--peers` takes it; undefined: there is no such peer. */
export function peerNamed(name: string): Peer | undefined {
  if (name.startsWith('self@') && name.length > 'self@'.length)
    return new SelfAtPeer(name.slice('self@'.length))
  switch (name) {
    case 'self':
      return new SelfPeer()
    case 'kafka':
      return new KafkaPeer()
    case 'nats':
      return new NatsPeer()
    case 'redis':
      return new RedisPeer()
    default:
      return undefined
  }
}
