import type { Env } from '../base/env.ts'
import type { Logger } from '../base/logger.ts'
import { loadBrokerConfig } from './config.ts'
import { BrokerStart, type BrokerOptions, type BrokerParts } from './broker-start.ts'

export { BrokerError } from './broker-error.ts'
export type { BrokerOptions } from './broker-start.ts'

/** How long a stop waits for requests in progress. */
const drainMsMax = 5000
const drainCheckEveryMs = 5

export interface BoundAddress {
  readonly name: string
  readonly host: string
  readonly port: number
}

/** A broker, with the controller of its cluster in this process or elsewhere. */
export class Broker {
  readonly #env: Env
  readonly #logger: Logger
  readonly #parts: BrokerParts
  #stopping: Promise<void> | undefined

  private constructor(parts: BrokerParts) {
    this.#env = parts.env
    this.#logger = parts.logger
    this.#parts = parts
  }

  /**
   * Resolves when clients are served. Rejects with `ConfigError`, `BrokerError`, `ControllerError`, `ControllerLinkError`,
   * `StorageError`, `StoreError` or `NetworkError`; then everything that was opened is closed again.
   */
  static async start(options: BrokerOptions): Promise<Broker> {
    const config = options.config ?? loadBrokerConfig({ sets: options.properties })
    const starting = new BrokerStart(config, options)
    try {
      return new Broker(await starting.run())
    } catch (error) {
      await starting.undo()
      throw error
    }
  }

  get listeners(): readonly BoundAddress[] {
    return this.#parts.listeners.map(({ name, host, port }) => ({ name, host, port }))
  }

  get clusterId(): string {
    return this.#parts.link.image.clusterId
  }

  /** Where brokers of other processes reach the controller of this one; undefined: nowhere. */
  get controllerPort(): number | undefined {
    return this.#parts.controller?.port
  }

  /** What it is made of, for tests that look inside. */
  get parts(): BrokerParts {
    return this.#parts
  }

  /** Closes every connection; clients may come back at once. */
  disconnectClients(reason: string): void {
    for (const listener of this.#parts.listeners) listener.disconnect(reason)
  }

  /** Hands its partitions over, takes no further requests, finishes those in progress, flushes, and marks the stop as clean. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    const { lifecycle, followers, groups, partitions, listeners } = this.#parts
    const started = this.#env.clock.monotonicMs()
    if (this.#parts.config.controlledShutdownEnable) await lifecycle.leave()
    lifecycle.close()
    const drained = Promise.all(listeners.map((listener) => listener.drain()))
    // Parked fetches are answered now; appends in progress first get their time.
    await this.#whenQuiet(() => partitions.waitingAppendCount === 0)
    groups.close()
    partitions.close()
    await followers?.close()
    await this.#whenQuiet(() => listeners.every((listener) => listener.connectionCount === 0))
    for (const listener of listeners) listener.close()
    await drained
    await this.#closeLogs()
    const ms = Math.round(this.#env.clock.monotonicMs() - started)
    this.#logger.info({ ms }, 'The broker stopped cleanly')
  }

  async #closeLogs(): Promise<void> {
    const { cleaner, logs, link, controller, noted } = this.#parts
    try {
      await cleaner?.close()
      await noted()
      await logs.close()
    } finally {
      if (controller === undefined) await link.close()
      else await controller.stop()
    }
  }

  async #whenQuiet(quiet: () => boolean): Promise<void> {
    const { clock, timers } = this.#env
    const deadlineMs = clock.monotonicMs() + drainMsMax
    while (!quiet() && clock.monotonicMs() < deadlineMs) {
      // Without listeners and connections nothing else keeps the process until its logs are flushed.
      await new Promise<void>((resolve) => {
        timers.after(drainCheckEveryMs, resolve, { holdsProcess: true })
      })
    }
  }
}
