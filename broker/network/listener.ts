import type { Clock, Env, Listener as BoundListener, Socket, Timer } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import { Connection, type ConnectionLimits } from './connection.ts'
import { Outbox } from './outbox.ts'
import type { ReceiveMemory } from './receive-memory.ts'
import type { Routes } from './route.ts'

const sweepEveryMs = 1000

export interface ListenerOptions {
  readonly env: Env
  readonly name: string
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** Connections that may wait to be accepted. */
  readonly backlogCount: number
  readonly routes: Routes
  readonly limits: ConnectionLimits
  readonly memory: ReceiveMemory
  /** Counts and ids of connections over all listeners of the broker. */
  readonly registry: ConnectionRegistry
  readonly logger: Logger
  readonly failed: (error: unknown) => void
}

/** The connections of all listeners together: their limits hold for the broker as a whole. */
export class ConnectionRegistry {
  readonly #countMax: () => number
  readonly #countPerAddressMax: () => number
  readonly #connections = new Set<Connection>()
  readonly #countByAddress = new Map<string, number>()
  #nextId = 1

  /** The limits may change while the broker runs. */
  constructor(limits: {
    readonly countMax: () => number
    readonly countPerAddressMax: () => number
  }) {
    this.#countMax = limits.countMax
    this.#countPerAddressMax = limits.countPerAddressMax
  }

  get connections(): ReadonlySet<Connection> {
    return this.#connections
  }

  nextId(): number {
    return this.#nextId++
  }

  /** Why a further connection from `address` is refused; undefined when it is welcome. */
  refusal(address: string): string | undefined {
    const countMax = this.#countMax()
    if (this.#connections.size >= countMax) return `max.connections of ${countMax} reached`
    const countPerAddressMax = this.#countPerAddressMax()
    const count = this.#countByAddress.get(address) ?? 0
    if (count >= countPerAddressMax)
      return `max.connections.per.ip of ${countPerAddressMax} reached`
    return undefined
  }

  add(connection: Connection): void {
    this.#connections.add(connection)
    const address = connection.remoteAddress
    this.#countByAddress.set(address, (this.#countByAddress.get(address) ?? 0) + 1)
  }

  remove(connection: Connection): void {
    if (!this.#connections.delete(connection)) return
    const address = connection.remoteAddress
    const count = (this.#countByAddress.get(address) ?? 1) - 1
    if (count === 0) this.#countByAddress.delete(address)
    else this.#countByAddress.set(address, count)
  }
}

/** One address that clients connect to. */
export class Listener {
  readonly #options: ListenerOptions
  readonly #clock: Clock
  readonly #outbox: Outbox
  #bound: BoundListener | undefined
  #sweeper: Timer | undefined
  /** Clients that came before the broker was ready. */
  #early: Socket[] | undefined = []

  private constructor(options: ListenerOptions) {
    this.#options = options
    this.#clock = options.env.clock
    this.#outbox = new Outbox(options.env.timers)
  }

  /** Takes the port. Clients may connect from now on, but are served only after `serve`. Rejects with `NetworkError`. */
  static async bind(options: ListenerOptions): Promise<Listener> {
    const listener = new Listener(options)
    listener.#bound = await options.env.network.listen(
      { host: options.host, port: options.port, backlog: options.backlogCount },
      (socket) => listener.#accept(socket),
      (error) =>
        options.logger.warn(
          { err: error, listener: options.name },
          'Accepting connections fails for now',
        ),
    )
    return listener
  }

  get name(): string {
    return this.#options.name
  }

  get host(): string {
    return this.#options.host
  }

  get port(): number {
    return this.#bound?.port ?? this.#options.port
  }

  serve(): void {
    const early = this.#early ?? []
    this.#early = undefined
    for (const socket of early) {
      this.#accept(socket)
      socket.resume()
    }
    this.#scheduleSweep()
  }

  /** Takes no further connections, and no further requests on those that are open. */
  async drain(): Promise<void> {
    this.#sweeper?.cancel()
    for (const socket of this.#early ?? []) socket.destroy()
    this.#early = []
    const closing = this.#bound?.close()
    for (const connection of this.#own()) connection.drain()
    await closing
  }

  /** Ends the connections that `drain` left open. */
  close(): void {
    this.disconnect('the broker stops')
  }

  /** Ends all connections; others may come. */
  disconnect(reason: string): void {
    for (const connection of this.#own()) connection.close(reason)
  }

  get connectionCount(): number {
    return this.#own().length
  }

  #own(): Connection[] {
    return [...this.#options.registry.connections].filter((each) => each.listenerName === this.name)
  }

  #accept(socket: Socket): void {
    if (this.#early !== undefined) {
      this.#holdEarly(socket)
      return
    }
    const { registry, logger } = this.#options
    const refusal = registry.refusal(socket.remoteAddress)
    if (refusal !== undefined) {
      logger.warn({ remote: socket.remoteAddress, refusal }, 'Refusing a connection')
      socket.onData = () => undefined
      socket.onClose = () => undefined
      socket.destroy()
      return
    }
    const connection = new Connection(socket, {
      id: registry.nextId(),
      listenerName: this.name,
      routes: this.#options.routes,
      limits: this.#options.limits,
      memory: this.#options.memory,
      outbox: this.#outbox,
      clock: this.#clock,
      logger,
      failed: this.#options.failed,
      closed: (closed) => registry.remove(closed),
    })
    registry.add(connection)
  }

  #holdEarly(socket: Socket): void {
    socket.pause()
    socket.onData = () => undefined
    socket.onDrain = () => undefined
    socket.onClose = () => {
      this.#early = this.#early?.filter((each) => each !== socket)
    }
    this.#early?.push(socket)
  }

  #scheduleSweep(): void {
    this.#sweeper = this.#options.env.timers.after(sweepEveryMs, () => {
      const nowMs = this.#clock.monotonicMs()
      for (const connection of this.#own()) connection.sweep(nowMs)
      this.#scheduleSweep()
    })
  }
}
