export interface Address {
  readonly host: string
  readonly port: number
}

/** For messages, and as a key. */
export function placeOf({ host, port }: Address): string {
  return `${host}:${port}`
}

/** "host", "host:port" or "[v6]:port"; the port is 9092 unless it is given. */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text.trim())
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3] ?? 9092)
  if (host === undefined || port < 1 || port > 65_535)
    throw new RangeError(`"${text}" is not HOST:PORT`)
  return { host, port }
}
