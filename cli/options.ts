import { parseAddress } from '../client/address.ts'
import { topicNameProblem } from '../protocol/topic-name.ts'
import { CliError } from './errors.ts'
import type { OutputFormat } from './output.ts'

/** What every command understands. */
export interface GlobalOptions {
  readonly bootstrap?: string
  readonly output: OutputFormat
}

const bootstrapDefault = 'localhost:9092'

/** The command line, else what other tools read from the environment, else this machine. */
export function bootstrapOf(
  options: GlobalOptions,
  environment: Readonly<Record<string, string | undefined>>,
): string[] {
  const text =
    options.bootstrap ??
    environment['KAFKA_BROKERS'] ??
    environment['BOOTSTRAP_SERVERS'] ??
    bootstrapDefault
  const brokers = text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')
  if (brokers.length === 0)
    throw CliError.usage('--bootstrap names no broker', 'use --bootstrap HOST:PORT')
  for (const broker of brokers) {
    try {
      parseAddress(broker)
    } catch {
      const source = options.bootstrap === undefined ? 'the environment' : '--bootstrap'
      throw CliError.usage(`${source} names "${broker}" as a broker`, 'use HOST:PORT')
    }
  }
  return brokers
}

/** For options that may be given several times. */
export function collect(value: string, earlier: readonly string[]): string[] {
  return [...earlier, value]
}

export function wholeNumber(
  name: string,
  text: string,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): number {
  const value = Number(text)
  if (!/^-?\d+$/.test(text) || value < least || value > most) {
    const range =
      most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
    throw CliError.usage(`${name} must be a whole number ${range}, not "${text}"`)
  }
  return value
}

/** What the protocol has room for. */
export const partitionCountMax = 2_147_483_647
export const replicationFactorMax = 32_767

/** Refuses what no topic can be called. */
export function checkTopicName(name: string): void {
  const problem = topicNameProblem(name)
  if (problem === undefined) return
  throw CliError.usage(problem, 'use up to 249 letters, digits, ".", "_" and "-"')
}

/** `key=value` texts; the value may hold further "=". */
export function keyValues(name: string, texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(texts.map((text) => keyValue(name, text)))
}

export function keyValue(name: string, text: string): [string, string] {
  const at = text.indexOf('=')
  if (at <= 0) throw CliError.usage(`${name} must be KEY=VALUE, not "${text}"`)
  return [text.slice(0, at), text.slice(at + 1)]
}

export function oneOf<const T extends string>(
  name: string,
  text: string,
  allowed: readonly T[],
): T {
  const found = allowed.find((each) => each === text)
  if (found === undefined)
    throw CliError.usage(`${name} must be one of ${allowed.join(', ')}, not "${text}"`)
  return found
}
