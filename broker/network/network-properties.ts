import { int, list, long } from '../../base/property.ts'

const intMax = 2_147_483_647

function checkListeners(values: readonly string[]): string | undefined {
  const bad = values.find((value) => parseListener(value) === undefined)
  return bad === undefined ? undefined : `${bad} is not NAME://HOST:PORT`
}

export interface ListenerSpec {
  readonly name: string
  /** Empty: all interfaces. */
  readonly host: string
  /** 0: any free one. */
  readonly port: number
}

/** Undefined unless the text is `NAME://HOST:PORT`; HOST may be empty, or IPv6 in brackets. */
export function parseListener(text: string): ListenerSpec | undefined {
  const match = /^([A-Za-z0-9_]+):\/\/(\[[0-9a-fA-F:.%]+\]|[^:/[\]]*):(\d{1,5})$/.exec(text)
  const [, name, host, port] = match ?? []
  if (name === undefined || host === undefined || Number(port) > 65_535) return undefined
  return { name: name.toUpperCase(), host: host.replace(/^\[|\]$/g, ''), port: Number(port) }
}

/** Listeners, and what one client may cost. */
export const networkProperties = {
  listeners: list({
    name: 'listeners',
    default: 'PLAINTEXT://127.0.0.1:9092',
    check: checkListeners,
    allowed: 'a list of NAME://HOST:PORT; an empty host is all interfaces, port 0 is any free one',
    doc: 'Where clients connect to.',
  }),
  advertisedListeners: list({
    name: 'advertised.listeners',
    default: null,
    check: checkListeners,
    allowed: 'a list of NAME://HOST:PORT',
    doc: 'The addresses that clients are told, where they differ from listeners.',
  }),
  socketListenBacklogSize: int({
    name: 'socket.listen.backlog.size',
    default: 50,
    min: 1,
    doc: 'Connections that may wait to be accepted.',
  }),
  socketRequestMaxBytes: int({
    name: 'socket.request.max.bytes',
    default: 104_857_600,
    min: 1,
    doc: 'The largest request; a client that announces a larger one is disconnected.',
  }),
  queuedMaxRequestBytes: long({
    name: 'queued.max.request.bytes',
    default: 536_870_912,
    min: -1,
    doc: 'Bytes of requests that all connections together may hold in memory; above, sockets are not read. -1: no limit.',
  }),
  maxConnections: int({
    name: 'max.connections',
    default: 10_000,
    min: 0,
    update: 'cluster-wide',
    doc: 'Connections that the broker holds at once.',
  }),
  maxConnectionsPerIp: int({
    name: 'max.connections.per.ip',
    default: intMax,
    min: 0,
    update: 'cluster-wide',
    doc: 'Connections that one address may hold at once.',
  }),
  connectionsMaxIdleMs: long({
    name: 'connections.max.idle.ms',
    default: 600_000,
    doc: 'A connection on which nothing comes or goes for this long is closed. Below 0: never.',
  }),
  connectionFirstByteTimeoutMs: int({
    name: 'connection.first.byte.timeout.ms',
    default: 10_000,
    min: 1,
    doc: 'A connection that has sent nothing for this long after it opened is closed.',
  }),
  connectionFrameBytesPerSecondMin: int({
    name: 'connection.frame.bytes.per.second.min',
    default: 1024,
    min: 0,
    doc: 'The pace at which a request that has begun must arrive; slower clients are disconnected.',
  }),
  connectionPipelinedRequestsMax: int({
    name: 'connection.pipelined.requests.max',
    default: 5,
    min: 1,
    doc: 'Requests of one connection that may be in progress at once; the others wait in its socket.',
  }),
  connectionBacklogBytesMax: int({
    name: 'connection.backlog.bytes.max',
    default: 16_777_216,
    min: 1,
    doc: 'Bytes of answers that a client may leave unread; above, its requests wait.',
  }),
  connectionBacklogTimeoutMs: int({
    name: 'connection.backlog.timeout.ms',
    default: 60_000,
    min: 1,
    doc: 'A client that reads none of its answers for this long is disconnected.',
  }),
} as const
