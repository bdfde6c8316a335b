// Whether two runs say the same.
import type { RunResult } from './result.ts'
import type { Ratio } from './statistics.ts'
import { summarizeRun } from './summary.ts'
import { columns, interval } from './table.ts'

/** Of the ratios, so many must agree. */
export const agreementWanted = 0.9

export interface Agreement {
  readonly rows: readonly {
    readonly name: string
    readonly one: Ratio
    readonly other: Ratio
    /** The intervals have something in common. */
    readonly agrees: boolean
  }[]
  /** Of those that agree; 1 when there is nothing to compare. */
  readonly part: number
}

export function agreementOf(one: RunResult, other: RunResult): Agreement {
  const others = ratiosOf(other)
  const rows = [...ratiosOf(one)].flatMap(([name, first]) => {
    const second = others.get(name)
    if (second === undefined) return []
    const agrees = first.low <= second.high && second.low <= first.high
    return [{ name, one: first, other: second, agrees }]
  })
  const agreed = rows.filter(({ agrees }) => agrees).length
  return { rows, part: rows.length === 0 ? 1 : agreed / rows.length }
}

/** Of every figure, by its cell and peer. A single round has no interval to agree within. */
function ratiosOf(run: RunResult): Map<string, Ratio> {
  const ratios = new Map<string, Ratio>()
  for (const { cell, figures } of summarizeRun(run)) {
    for (const { figure, ratios: own } of figures) {
      for (const [peer, ratio] of own)
        if (ratio.count > 1)
          ratios.set(`${cell.scenario}: ${cell.name}: ${figure.name}: ${peer}`, ratio)
    }
  }
  return ratios
}

export function agreementLines({ rows, part }: Agreement): string[] {
  const lines = rows.map(({ name, one, other, agrees }) => [
    name,
    interval(one),
    interval(other),
    agrees ? '' : 'DIFFERS',
  ])
  return [
    ...columns([['ratio', 'one', 'other', ''], ...lines]),
    `${rows.filter(({ agrees }) => agrees).length} of ${rows.length} ratios agree: ${Math.round(part * 100)} %`,
  ]
}
