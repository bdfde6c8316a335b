// What the terminal shows: one line for a cell as it ends, and the ratios when all is over.
import { ownName, type CellSummary, type FigureSummary } from './summary.ts'
import type { Ratio, Summary } from './statistics.ts'

/** Three significant digits, no exponent. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (Math.abs(value) >= 1000) return Math.round(value).toString()
  return Number(value.toPrecision(3)).toString()
}

/** With its unit; long times in greater units. */
export function valueText(value: number, unit: string): string {
  if (unit === 'µs' && value >= 1e3) return valueText(value / 1e3, 'ms')
  if (unit === 'ms' && value >= 1e4) return valueText(value / 1e3, 's')
  return `${digits(value)} ${unit}`
}

/** `produce: acks=all ... | self 1168 MB/s (1046-1272) | kafka ... | ratio 1.18 [0.98-1.29] n=7 dropped 1`. */
export function cellLines(summary: CellSummary): string[] {
  const lines = summary.figures.map((figure) => figureLine(figure))
  const remarks = [
    `n=${summary.rounds.length}`,
    ...(summary.roundsDropped > 0 ? [`${summary.roundsDropped} dropped`] : []),
    ...(summary.isNoisy ? ['NOISY: other work on the machine in most rounds'] : []),
    ...summary.notes,
  ]
  const skipped = summary.cell.entries
    .filter((entry) => entry.skipped !== undefined)
    .map(({ peer, skipped = '' }) => `  ${peer} skipped: ${firstLine(skipped)}`)
  return [...lines, `  ${remarks.join(', ')}`, ...skipped]
}

function figureLine({ figure, values, ratios, verdict }: FigureSummary): string {
  const peers = [...values].map(([peer, value]) => `${peer} ${spread(value)}`)
  const ratio = [...ratios].map(([peer, each]) => `${ownName}:${peer} ${interval(each)}`)
  const end =
    verdict === undefined ? [] : [`${verdict.text} ${verdict.isReached ? 'reached' : 'MISSED'}`]
  return `  ${figure.name}, ${figure.unit}: ${[...peers, ...ratio, ...end].join(' | ')}`
}

function spread({ median, least, most }: Summary): string {
  return `${digits(median)} (${digits(least)}-${digits(most)})`
}

export function interval({ paired, low, high, count }: Ratio): string {
  if (count < 2) return digits(paired)
  return `${digits(paired)} [${digits(low)}-${digits(high)}]`
}

export function firstLine(text: string): string {
  return text.split('\n')[0] ?? ''
}

/** A table of ratios only: of the figures that were demanded, and of the first of each cell. */
export function ratioLines(summaries: readonly CellSummary[]): string[] {
  const rows: string[][] = []
  for (const { cell, figures, isNoisy } of summaries) {
    for (const [index, { figure, values, ratios, verdict }] of figures.entries()) {
      if (index > 0 && verdict === undefined) continue
      const own = values.get(ownName)
      for (const [peer, ratio] of ratios.size > 0 ? ratios : [['', undefined] as const]) {
        rows.push([
          `${cell.scenario}: ${cell.name}`,
          figure.name,
          own === undefined ? '-' : valueText(own.median, figure.unit),
          peer,
          ratio === undefined ? '' : `${interval(ratio)}${ratio.isClear ? '' : ' ~'}`,
          verdict === undefined
            ? ''
            : `${verdict.text} ${verdict.isReached ? 'reached' : 'MISSED'}`,
          isNoisy ? 'noisy' : '',
        ])
      }
    }
  }
  const head = ['cell', 'figure', ownName, 'against', 'ratio [95 %]', 'wanted', '']
  return columns([head, ...rows])
}

export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  )
  return rows.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
