// Whether two runs say the same.
import type { RunResult } from './result.ts'
import type { Ratio } from './statistics.ts'
import { summarizeRun } from './summary.ts'
import { columns, interval } from './table.ts'

/** Of the ratios, so many must agree. */
export const agreementWanted = 0.9
/** An interval whose ends are farther apart, as a factor, agrees with nearly everything. */
const wideFactor = 4

export interface Agreement {
  readonly rows: readonly {
    readonly name: string
    /** Undefined: the run has no such ratio. */
    readonly one: Ratio | undefined
    readonly other: Ratio | undefined
    readonly agrees: boolean
    /** One of the intervals is so wide that it hardly says anything. */
    readonly isWide: boolean
  }[]
  /** Of those that agree. */
  readonly part: number
}

/** Every ratio that one of them has. */
export function agreementOf(one: RunResult, other: RunResult): Agreement {
  const [ones, others] = [ratiosOf(one), ratiosOf(other)]
  const rows = [...new Set([...ones.keys(), ...others.keys()])].map((name) => {
    const [first, second] = [ones.get(name), others.get(name)]
    const agrees = first !== undefined && second !== undefined && agree(first, second)
    const isWide = [first, second].some(
      (ratio) => ratio !== undefined && !(ratio.high <= ratio.low * wideFactor),
    )
    return { name, one: first, other: second, agrees, isWide }
  })
  const agreed = rows.filter(({ agrees }) => agrees).length
  return { rows, part: agreed / rows.length }
}

/**
 * Their distance is within what both intervals together allow: the root of the sum of the squares of the halves that face
 * each other, as for the difference of two measurements. That the intervals touch would be far less.
 */
export function agree(one: Ratio, other: Ratio): boolean {
  const [less, more] = one.paired <= other.paired ? [one, other] : [other, one]
  const distance = Math.log(more.paired / less.paired)
  const allowed = Math.hypot(Math.log(less.high / less.paired), Math.log(more.paired / more.low))
  return distance <= allowed || less.paired === more.paired
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
  const lines = rows.map(({ name, one, other, agrees, isWide }) => [
    name,
    one === undefined ? 'missing' : interval(one),
    other === undefined ? 'missing' : interval(other),
    `${agrees ? '' : 'DIFFERS'}${isWide ? ' wide' : ''}`.trim(),
  ])
  const agreed = rows.filter(({ agrees }) => agrees)
  const wide = agreed.filter(({ isWide }) => isWide).length
  return [
    ...columns([['ratio', 'one', 'other', ''], ...lines]),
    `${agreed.length} of ${rows.length} ratios agree: ${Math.round(part * 100)} %; of those ${wide} have an interval over more than a factor of ${wideFactor}`,
  ]
}
