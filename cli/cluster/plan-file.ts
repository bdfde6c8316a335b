import { readFileSync } from 'node:fs'
import { CliError } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'
import type { Move } from './cluster-client.ts'
import { isObject, parseJson } from './layout.ts'

/** As Kafka's kafka-reassign-partitions.sh reads and writes it. */
export function planText(moves: readonly Move[]): string {
  const partitions = moves.map(({ topic, index, replicas }) =>
    JSON.stringify({ topic, partition: index, replicas }),
  )
  const rows = partitions.length === 0 ? '' : `\n  ${partitions.join(',\n  ')}\n`
  return `{"version":1,"partitions":[${rows}]}\n`
}

/** "-" is standard input. */
export function readPlan(path: string): Move[] {
  return parsePlan(path, readText(path))
}

function readText(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8')
  } catch (error) {
    throw new CliError({
      code: 'PLAN_FILE',
      message: `The plan ${path} can't be read`,
      why: error instanceof Error ? error.message : String(error),
      exitCode: exitCodes.notFound,
    })
  }
}

export function parsePlan(path: string, text: string): Move[] {
  const value = parseJson(text)
  const wrong = (what: string): CliError =>
    CliError.usage(
      `The plan ${path} is not understood: ${what}`,
      'write one with "millrace cluster reassign --plan"',
    )
  if (!isObject(value) || !Array.isArray(value['partitions'])) throw wrong('it has no "partitions"')
  if (value['version'] !== 1) throw wrong('"version" must be 1')
  const seen = new Set<string>()
  return (value['partitions'] as unknown[]).map((each) => {
    if (!isObject(each)) throw wrong('a partition is no object')
    const { topic, partition: index, replicas } = each
    if (typeof topic !== 'string' || typeof index !== 'number' || !areIds(replicas))
      throw wrong(`${JSON.stringify(each)} needs "topic", "partition" and "replicas"`)
    if (seen.has(`${topic}-${index}`)) throw wrong(`${topic}-${index} is there twice`)
    seen.add(`${topic}-${index}`)
    return { topic, index, replicas }
  })
}

function areIds(value: unknown): value is number[] {
  return Array.isArray(value) && value.length > 0 && value.every((id) => Number.isSafeInteger(id))
}
