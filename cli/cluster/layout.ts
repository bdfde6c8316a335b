import { CliError } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'

/** Where clients find a broker on this machine. */
export interface BrokerPlace {
  readonly id: number
  /** 0: any free one, not known before it has started. */
  readonly port: number
}

/** Who belongs to a local cluster, and where. It is what `cluster.json` holds. */
export interface ClusterLayout {
  /** Of the first broker; 0: free ports are picked. */
  readonly basePort: number
  readonly controllerPort: number
  /** By id. */
  readonly brokers: readonly BrokerPlace[]
  /** What `--set` said, of all processes. */
  readonly properties: Readonly<Record<string, string>>
}

export interface LayoutOptions {
  /** Undefined: as many as there were, or three. */
  readonly brokerCount: number | undefined
  /** Undefined: where they were, or 9092. */
  readonly basePort: number | undefined
  /** In addition to those of earlier starts, or instead. */
  readonly properties: Readonly<Record<string, string>>
  /** Names of properties that hold no longer. */
  readonly forgotten: readonly string[]
}

/** Brokers have lower ids. */
export const controllerId = 100
const brokerCountMax = controllerId - 1
const brokerCountDefault = 3
const basePortDefault = 9092
const portMax = 65_535

/** What a start runs, given what an earlier one ran: broker 1 at the base port, the others and the controller behind it. */
export function planLayout(
  earlier: ClusterLayout | undefined,
  options: LayoutOptions,
): ClusterLayout {
  const { brokerCount, basePort = earlier?.basePort ?? basePortDefault } = options
  const ids = brokerIds(earlier, brokerCount)
  const kept = earlier?.basePort === basePort ? earlier : undefined
  const taken = new Set(kept?.brokers.map(({ port }) => port))
  if (kept !== undefined) taken.add(kept.controllerPort)
  const choose = (preferred: number): number => {
    if (basePort === 0) return 0
    let port = preferred
    while (taken.has(port)) port += 1
    if (port > portMax) throw CliError.usage(`Ports from ${basePort} on are too few`)
    taken.add(port)
    return port
  }
  const brokers = ids.map((id) => ({
    id,
    port: kept?.brokers.find((broker) => broker.id === id)?.port ?? choose(basePort + id - 1),
  }))
  const controllerPort = kept?.controllerPort ?? choose(basePort + ids.length)
  return { basePort, controllerPort, brokers, properties: propertiesOf(earlier, options) }
}

function propertiesOf(
  earlier: ClusterLayout | undefined,
  { properties, forgotten }: LayoutOptions,
): Record<string, string> {
  const unknown = forgotten.find((name) => earlier?.properties[name] === undefined)
  if (unknown !== undefined)
    throw CliError.usage(`No earlier start has set ${unknown}: there is nothing to unset`)
  const kept = Object.entries(earlier?.properties ?? {})
  return {
    ...Object.fromEntries(kept.filter(([name]) => !forgotten.includes(name))),
    ...properties,
  }
}

function brokerIds(earlier: ClusterLayout | undefined, wanted: number | undefined): number[] {
  const ids = earlier?.brokers.map(({ id }) => id) ?? []
  const count = wanted ?? (ids.length > 0 ? ids.length : brokerCountDefault)
  if (count < ids.length) {
    throw new CliError({
      code: 'FEWER_BROKERS',
      message: `The cluster has ${ids.length} brokers, which hold data: it can't start with ${count}`,
      fix: 'start all of them, then take one away with "millrace cluster decommission ID"',
      exitCode: exitCodes.conflict,
    })
  }
  for (let id = Math.max(0, ...ids) + 1; ids.length < count; id++) ids.push(id)
  if (ids.some((id) => id > brokerCountMax))
    throw CliError.usage(`Brokers of a local cluster have the ids 1 to ${brokerCountMax}`)
  return ids
}

export function layoutText(layout: ClusterLayout): string {
  return `${JSON.stringify({ version: 1, ...layout }, null, 2)}\n`
}

/** Undefined: it is not what `layoutText` writes. */
export function parseLayout(text: string): ClusterLayout | undefined {
  const value = parseJson(text)
  if (!isObject(value) || value['version'] !== 1) return undefined
  // Before they were kept, there were none.
  const { basePort, controllerPort, brokers, properties = {} } = value
  if (!isPort(basePort, 0) || !isPort(controllerPort, 1) || !Array.isArray(brokers))
    return undefined
  if (!isObject(properties) || !Object.values(properties).every((each) => typeof each === 'string'))
    return undefined
  const places: BrokerPlace[] = []
  for (const each of brokers as unknown[]) {
    if (!isObject(each)) return undefined
    const { id, port } = each
    if (!isPort(port, 1) || typeof id !== 'number' || !Number.isSafeInteger(id)) return undefined
    places.push({ id, port })
  }
  if (places.length === 0) return undefined
  const texts = Object.entries(properties).map(([name, text]) => [name, String(text)] as const)
  return { basePort, controllerPort, brokers: places, properties: Object.fromEntries(texts) }
}

function isPort(value: unknown, least: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= portMax
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/** Undefined: it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
