import type { Env } from '../base/env.ts'
import type { Logger } from '../base/logger.ts'
import type { ListenerAddress } from '../protocol/metadata-records/records.ts'
import type { HostAndPort } from './cluster-properties.ts'
import { listenersOf, type BrokerConfig } from './config.ts'
import type { Listener } from './network/listener.ts'

const dialTimeoutMs = 3_000

/** What clients are told: the advertised address, with the port that was really bound where 0 was asked for. */
export function advertisedListeners(
  config: BrokerConfig,
  bound: readonly Listener[],
): ListenerAddress[] {
  return listenersOf(config).map(({ name, advertised }) => {
    const port =
      advertised.port === 0
        ? (bound.find((each) => each.name === name)?.port ?? 0)
        : advertised.port
    const host = isEverywhere(advertised.host) ? 'localhost' : advertised.host
    return { name, host, port, securityProtocol: 'PLAINTEXT' }
  })
}

/** For a broker without peers, which may well be meant for this machine alone, or for a container whose port is forwarded. */
export function warnOfLocalhost(config: BrokerConfig, logger: Logger): void {
  for (const { name, advertised } of listenersOf(config)) {
    if (isEverywhere(advertised.host)) {
      logger.warn(
        { listener: name },
        'Clients are told the address localhost, which leads those on other machines to themselves: set advertised.listeners',
      )
    }
  }
}

/** A wrong address makes a broker that looks healthy and that nobody can use: better to hear of it at its start. */
export async function warnOfUnreachable(options: {
  readonly env: Env
  readonly logger: Logger
  readonly addresses: readonly ListenerAddress[]
  readonly controllers: readonly HostAndPort[]
}): Promise<void> {
  const { env, logger, addresses, controllers } = options
  const isAlone = controllers.every(({ host }) => isLoopback(host))
  for (const { name, host, port } of addresses) {
    if (!isAlone && isLoopback(host)) {
      logger.warn(
        { listener: name, host, port },
        'Clients and brokers on other machines are told a loopback address: set advertised.listeners',
      )
    }
    try {
      const socket = await env.network.dial({ host, port, timeoutMs: dialTimeoutMs })
      socket.destroy()
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      logger.warn(
        { listener: name, host, port, reason },
        'Clients are told an address that this broker can not reach itself: check advertised.listeners',
      )
    }
  }
}

function isEverywhere(host: string): boolean {
  return host === '' || host === '0.0.0.0' || host === '::'
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}
