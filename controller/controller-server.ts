import type { Env, Listener, Socket, Timer } from '../base/env.ts'
import type { Logger } from '../base/logger.ts'
import type { Uuid } from '../base/uuid.ts'
import { BrokerSession, type Reign, type ReigningController } from './rpc/broker-session.ts'
import { MetadataFeed } from './rpc/metadata-feed.ts'

/** The controller, and who wants to know that a broker's last connection has ended. */
export interface ServedController extends ReigningController {
  disconnected(brokerId: number, incarnation: Uuid): void
}

export interface ControllerServerOptions {
  readonly env: Env
  readonly logger: Logger
  readonly host: string
  /** 0 picks one. */
  readonly port: number
  /** The broker in this process, whose number no other one may have; absent: there is none. */
  readonly localBrokerId?: number | undefined
  /** A bug: the process must stop. */
  readonly failed: (error: unknown) => void
}

const sweepEveryMs = 5_000
/** Brokers, and a few of them twice while a lost connection is not noticed yet. */
const sessionsMax = 1_000

/** Where brokers reach the controller of another process. Who stands by tells them where to ask instead. */
export class ControllerServer {
  readonly #options: ControllerServerOptions
  readonly #sessions = new Set<BrokerSession>()
  #listener: Listener | undefined
  #sweeper: Timer | undefined
  #reign: Reign = { reigns: false, hint: () => null }
  #controller: ServedController | undefined

  private constructor(options: ControllerServerOptions) {
    this.#options = options
  }

  /** Takes the port; brokers are sent away until `serve`. Rejects with `NetworkError`. */
  static async listen(options: ControllerServerOptions): Promise<ControllerServer> {
    const server = new ControllerServer(options)
    const { env, logger, host, port } = options
    server.#listener = await env.network.listen(
      { host, port },
      (socket) => server.#accept(socket),
      (error) => logger.warn({ err: error }, 'The controller can accept no connection for now'),
    )
    server.#scheduleSweep()
    return server
  }

  get port(): number {
    return this.#listener?.port ?? this.#options.port
  }

  /** The controller of this process reigns, or may reign again in a moment. */
  serve(controller: ServedController): void {
    if (this.#reign.reigns) return
    this.#controller = controller
    const feed = new MetadataFeed(controller, () => {
      for (const session of this.#sessions) session.pump()
    })
    this.#reign = { reigns: true, controller, feed }
  }

  /** It does not, or no longer: `hint` is HOST:PORT of whoever does, as far as is known when somebody asks. */
  standBy(hint: () => string | null): void {
    const before = this.#reign
    this.#reign = { reigns: false, hint }
    this.#controller = undefined
    if (!before.reigns) return
    this.#closeSessions('the controller does not reign any more')
    before.feed.close()
  }

  async close(): Promise<void> {
    this.#sweeper?.cancel()
    const closing = this.#listener?.close()
    this.standBy(() => null)
    this.#closeSessions('the controller stops')
    await closing
  }

  #closeSessions(reason: string): void {
    for (const session of this.#sessions) session.close(reason)
  }

  #accept(socket: Socket): void {
    const { env, logger, localBrokerId, failed } = this.#options
    if (this.#sessions.size >= sessionsMax) {
      socket.onClose = () => undefined
      socket.destroy()
      logger.warn({ remote: socket.remoteAddress }, 'The controller has too many connections')
      return
    }
    const session = new BrokerSession(socket, {
      env,
      logger,
      reign: () => this.#reign,
      localBrokerId,
      closed: (closed) => this.#ended(closed),
      failed,
    })
    this.#sessions.add(session)
  }

  #ended(session: BrokerSession): void {
    this.#sessions.delete(session)
    const gone = session.subscriber
    if (gone === undefined) return
    // It may have come back before its old connection was given up.
    for (const { subscriber } of this.#sessions) {
      if (subscriber?.nodeId === gone.nodeId && subscriber.incarnation === gone.incarnation) return
    }
    this.#controller?.disconnected(gone.nodeId, gone.incarnation)
  }

  #scheduleSweep(): void {
    const { clock, timers } = this.#options.env
    this.#sweeper = timers.after(sweepEveryMs, () => {
      const nowMs = clock.monotonicMs()
      for (const session of this.#sessions) session.sweep(nowMs)
      this.#scheduleSweep()
    })
  }
}
