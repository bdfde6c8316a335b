import { NetworkError, type DialOptions, type Listener, type Network, type Socket } from '../env.ts'
import { Pipe, type Route } from './pipe.ts'
import type { Prng } from './prng.ts'
import type { Owner, ScheduledEvent, Scheduler } from './scheduler.ts'
import { SimulatedSocket } from './simulated-socket.ts'

/** Names by which a host calls itself. */
const ownNames = new Set(['', 'localhost', '127.0.0.1', '0.0.0.0', '::', '::1'])

interface Host {
  readonly name: string
  readonly owner: Owner
  /** Without power: nothing arrives, nobody answers. */
  up: boolean
  readonly listeners: Map<number, (socket: Socket) => void>
}

interface Connection {
  readonly hosts: readonly [string, string]
  readonly sockets: readonly [SimulatedSocket, SimulatedSocket]
  readonly pipes: readonly [Pipe, Pipe]
}

/** Hosts and the connections between them, on virtual time. */
export class SimulatedNetwork implements Route {
  readonly scheduler: Scheduler
  retransmitMs = 15_000
  /** How long a packet takes: between these. */
  latencyMs: readonly [least: number, most: number] = [0.05, 0.5]
  readonly #random: Prng
  readonly #hosts = new Map<string, Host>()
  readonly #cuts = new Set<string>()
  #connections: Connection[] = []
  #nextPort = 32_768

  constructor(scheduler: Scheduler, random: Prng) {
    this.scheduler = scheduler
    this.#random = random
  }

  /** What the process on host `name` sees of the network. */
  join(name: string, owner: Owner): Network {
    const host: Host = { name, owner, up: true, listeners: new Map() }
    this.#hosts.set(name, host)
    return {
      listen: (options, accept) => this.#listen(host, options, accept),
      dial: (options) => this.#dial(host, options),
    }
  }

  delayMs(): number {
    return this.#random.between(...this.latencyMs)
  }

  open(from: string, to: string): boolean {
    return this.#hosts.get(to)?.up === true && !this.#cuts.has(`${from}>${to}`)
  }

  /** Nothing gets through in this direction until `heal`; TCP keeps trying for `retransmitMs`. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`)
  }

  /** The cut in this direction ends. */
  mend(from: string, to: string): void {
    if (this.#cuts.delete(`${from}>${to}`)) this.#retry()
  }

  /** All cuts end. */
  heal(): void {
    this.#cuts.clear()
    this.#retry()
  }

  /** Breaks every connection between two hosts; what was on its way is lost. */
  reset(one: string, other: string): void {
    for (const { hosts, sockets, pipes } of this.#connections) {
      if (!hosts.includes(one) || !hosts.includes(other)) continue
      for (const pipe of pipes) pipe.clear()
      for (const socket of sockets) socket.abort('ECONNRESET')
    }
  }

  /** The process of a host is gone. Its kernel closes the connections, or has no power to. */
  abandon(name: string, power: boolean): void {
    const host = this.#hosts.get(name)
    if (host === undefined) return
    host.up = power
    host.listeners.clear()
    for (const { hosts, sockets } of this.#connections) {
      for (const side of [0, 1] as const) {
        if (hosts[side] !== name) continue
        if (power) sockets[side].destroy()
        sockets[side].abandon()
      }
    }
  }

  /** The host has power again. */
  boot(name: string): void {
    const host = this.#hosts.get(name)
    if (host !== undefined) host.up = true
    this.#retry()
  }

  #retry(): void {
    for (const { pipes } of this.#connections) for (const pipe of pipes) pipe.retry()
  }

  #listen(
    host: Host,
    options: { host: string; port: number },
    accept: (socket: Socket) => void,
  ): Promise<Listener> {
    const port = options.port === 0 ? this.#nextPort++ : options.port
    if (host.listeners.has(port)) {
      const code = 'EADDRINUSE'
      const message = `Failed to listen on ${options.host}:${port}: ${code}`
      return this.#later(host, 0, () => Promise.reject(new NetworkError(message, { code })))
    }
    host.listeners.set(port, accept)
    const close = (): Promise<void> => {
      if (host.listeners.get(port) === accept) host.listeners.delete(port)
      return Promise.resolve()
    }
    return this.#later(host, 0, () => Promise.resolve({ host: host.name, port, close }))
  }

  #later<T>(host: Host, delayMs: number, run: () => Promise<T>): Promise<T> {
    return new Promise((resolve) => {
      this.scheduler.schedule({
        delayMs,
        label: 'net call',
        owner: host.owner,
        run: () => resolve(run()),
      })
    })
  }

  #dial(from: Host, options: DialOptions): Promise<Socket> {
    const to = ownNames.has(options.host) ? from : this.#hosts.get(options.host)
    const { owner } = from
    // Packets outlive a process; what it waited for must not run in the next one.
    const { life } = owner
    const isAlive = (): boolean => owner.life === life
    return new Promise((resolve, reject) => {
      const fail = (code: string): void => {
        reject(
          new NetworkError(`Failed to connect to ${options.host}:${options.port}: ${code}`, {
            code,
          }),
        )
      }
      const answer = (label: string, delayMs: number, run: () => void): ScheduledEvent =>
        this.scheduler.schedule({ delayMs, label, owner, run })
      if (to === undefined) {
        answer('net unknown host', 0, () => fail('ENOTFOUND'))
        return
      }
      let client: SimulatedSocket | undefined
      const timeout = answer('net dial timeout', options.timeoutMs, () => {
        client?.destroy()
        fail('ETIMEDOUT')
      })
      const arrive = (): void => {
        if (!isAlive() || !this.open(from.name, to.name)) return
        const accept = to.listeners.get(options.port)
        if (accept === undefined) {
          answer('net refused', this.delayMs(), () => {
            this.scheduler.cancel(timeout)
            fail('ECONNREFUSED')
          })
          return
        }
        const [near, far, back] = this.#connect(from, to, options)
        client = near
        back.send(() => {
          if (!isAlive()) return
          this.scheduler.cancel(timeout)
          answer('net connected', 0, () => resolve(near))
        })
        this.scheduler.schedule({
          delayMs: 0,
          label: 'net accept',
          owner: to.owner,
          run: () => accept(far),
        })
      }
      this.scheduler.schedule({ delayMs: this.delayMs(), label: 'net dial', run: arrive })
    })
  }

  #connect(
    from: Host,
    to: Host,
    { lendChunks }: DialOptions,
  ): [near: SimulatedSocket, far: SimulatedSocket, back: Pipe] {
    const { scheduler } = this
    const random = this.#random
    const near = new SimulatedSocket({
      scheduler,
      random,
      owner: from.owner,
      remoteAddress: to.name,
      lends: lendChunks === true,
    })
    const far = new SimulatedSocket({
      scheduler,
      random,
      owner: to.owner,
      remoteAddress: from.name,
      lends: true,
    })
    const forth = new Pipe(this, {
      from: from.name,
      to: to.name,
      giveUp: () => near.abort('ETIMEDOUT'),
    })
    const back = new Pipe(this, {
      from: to.name,
      to: from.name,
      giveUp: () => far.abort('ETIMEDOUT'),
    })
    near.connect(far, forth)
    far.connect(near, back)
    this.#connections = this.#connections.filter(
      ({ sockets: [one, other] }) => !(one.closed && other.closed),
    )
    this.#connections.push({
      hosts: [from.name, to.name],
      sockets: [near, far],
      pipes: [forth, back],
    })
    return [near, far, back]
  }
}
