import type { Connection } from './connection.ts'
import { KafkaError } from './errors.ts'

/** What it needs of the cluster. */
export interface SilenceHost {
  /** Learns who is there and who leads these topics, from a broker that is not at `except`. Rejects with `KafkaError`. */
  ask(
    topics: readonly string[],
    except: string,
  ): Promise<{ readonly brokers: ReadonlyMap<number, unknown> }>
  /** The broker that is or was at host:port. */
  idOf(place: string): number | undefined
  topicsLedBy(broker: number): readonly string[]
  connections(): Iterable<Connection>
}

/**
 * Brokers that owe answers. A machine that stands still or is cut off closes no connection; but the cluster counts
 * without it after its session there, long before requests time out.
 */
export class Silence {
  readonly #host: SilenceHost
  readonly #suspects = new Set<string>()

  constructor(host: SilenceHost) {
    this.#host = host
  }

  /** Whether the broker at host:port is silent on any connection. */
  of(place: string): boolean {
    for (const connection of this.#host.connections())
      if (connection.address === place && connection.isSilent) return true
    return false
  }

  /**
   * When the cluster counts without that broker, whoever waits for it is told, once it is known who leads in its place.
   * Never rejects with `KafkaError`.
   */
  async suspect(silent: Connection): Promise<void> {
    const place = silent.address
    const id = this.#host.idOf(place)
    if (id === undefined || this.#suspects.has(place)) return
    this.#suspects.add(place)
    try {
      // All brokers may be silent, since the others wait for this one as well: it must not be asked about itself.
      const { brokers } = await this.#host.ask([], place)
      if (brokers.has(id)) return
      const topics = this.#host.topicsLedBy(id)
      if (topics.length > 0) await this.#host.ask(topics, place)
      for (const connection of this.#host.connections())
        if (connection.address === place) connection.giveUp()
      // It may still be being made.
      silent.giveUp()
    } catch (error) {
      // The others are asked again as long as it is silent.
      if (!(error instanceof KafkaError)) throw error
    } finally {
      this.#suspects.delete(place)
    }
  }
}
