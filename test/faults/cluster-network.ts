/**
 * A network for the processes of a cluster: each has a namespace of its own, joined by a bridge to which this machine
 * belongs as well, for the clients. Packets between any two can be dropped, in one direction or both. Needs root.
 */
import { run } from '../clients/processes.ts'

/** The last byte of the address that clients come from. */
const clientsId = 254

/** Classic BPF for tc: drop what has this address at `position` in an IPv4 frame (26 its source, 30 its destination). */
function dropAddress(address: string, position: 26 | 30): string {
  const number = Buffer.from(address.split('.').map(Number)).readUInt32BE()
  const program = [
    '40 0 0 12', // the EtherType
    '21 0 3 2048', // IPv4, or go to the end
    `32 0 0 ${position}`,
    `21 0 1 ${number}`,
    '6 0 0 2', // TC_ACT_SHOT
    '6 0 0 4294967295', // TC_ACT_UNSPEC: the next filter decides
  ]
  return `${program.length},${program.join(',')}`
}

const dropAll = '1,6 0 0 2'

export class ClusterNetwork {
  readonly #ids: readonly number[]
  readonly #name: string
  readonly #subnet: string

  private constructor(ids: readonly number[]) {
    this.#ids = ids
    this.#name = `mr${process.pid}`
    this.#subnet = `10.${64 + ((process.pid >> 8) % 128)}.${process.pid & 255}`
  }

  static async create(ids: readonly number[]): Promise<ClusterNetwork> {
    const network = new ClusterNetwork(ids)
    try {
      await network.#build()
    } catch (error) {
      await network.remove()
      throw error
    }
    return network
  }

  hostOf(id: number): string {
    return `${this.#subnet}.${id}`
  }

  /** What puts a command into the network of a process. */
  prefixOf(id: number): string[] {
    return ['ip', 'netns', 'exec', this.#namespace(id)]
  }

  /** What `from` sends to `to` is lost. */
  async drop(from: number, to: number): Promise<void> {
    if (from === clientsId) await this.#filter(to, 'egress', dropAddress(this.hostOf(from), 26))
    else await this.#filter(from, 'ingress', dropAddress(this.hostOf(to), 30))
  }

  async cutBetween(one: number, other: number): Promise<void> {
    await Promise.all([this.drop(one, other), this.drop(other, one)])
  }

  async cutClients(id: number): Promise<void> {
    await this.cutBetween(id, clientsId)
  }

  /** From everybody, clients included. */
  async isolate(id: number): Promise<void> {
    await Promise.all([this.#filter(id, 'ingress', dropAll), this.#filter(id, 'egress', dropAll)])
  }

  /** Everybody hears everybody again. */
  async heal(): Promise<void> {
    for (const id of this.#ids) {
      for (const direction of ['ingress', 'egress']) {
        await run('tc', ['filter', 'del', 'dev', this.#link(id), direction])
      }
    }
  }

  async remove(): Promise<void> {
    for (const id of this.#ids) {
      await run('ip', ['netns', 'del', this.#namespace(id)], { mayFail: true })
      await run('ip', ['link', 'del', this.#link(id)], { mayFail: true })
    }
    await run('ip', ['link', 'del', this.#name], { mayFail: true })
  }

  async #build(): Promise<void> {
    await run('ip', ['link', 'add', this.#name, 'type', 'bridge'])
    await run('ip', ['address', 'add', `${this.hostOf(clientsId)}/24`, 'dev', this.#name])
    await run('ip', ['link', 'set', this.#name, 'up'])
    for (const id of this.#ids) {
      const [namespace, link] = [this.#namespace(id), this.#link(id)]
      const inside = (...args: string[]) => run('ip', ['-n', namespace, ...args])
      await run('ip', ['netns', 'add', namespace])
      const peer = ['peer', 'name', 'eth0', 'netns', namespace]
      await run('ip', ['link', 'add', link, 'type', 'veth', ...peer])
      await run('ip', ['link', 'set', link, 'master', this.#name, 'up'])
      await inside('address', 'add', `${this.hostOf(id)}/24`, 'dev', 'eth0')
      await inside('link', 'set', 'eth0', 'up')
      await inside('link', 'set', 'lo', 'up')
      await run('tc', ['qdisc', 'add', 'dev', link, 'clsact'])
    }
  }

  async #filter(id: number, direction: 'ingress' | 'egress', bytecode: string): Promise<void> {
    const place = ['dev', this.#link(id), direction]
    await run('tc', ['filter', 'add', ...place, 'bpf', 'da', 'bytecode', bytecode])
  }

  #namespace(id: number): string {
    return `${this.#name}n${id}`
  }

  /** At most 15 characters. */
  #link(id: number): string {
    return `${this.#name}v${id}`
  }
}
