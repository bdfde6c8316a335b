import { mkdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Spread } from './statistics.ts'

export interface Row {
  readonly name: string
  readonly unit: string
  readonly figures: Spread
  /** Against what, and how much is wanted. */
  readonly target?: { readonly text: string; readonly met: boolean }
}

export interface Report {
  readonly name: string
  readonly setting: Record<string, string | number>
  readonly rows: readonly Row[]
}

/** Prints a table, and keeps it as JSON in bench/out/ of the repository. */
export function publish(report: Report): void {
  const lines = report.rows.map((row) => [
    row.name,
    row.unit,
    digits(row.figures.median),
    `${digits(row.figures.least)} - ${digits(row.figures.most)}`,
    String(row.figures.count),
    row.target === undefined ? '' : `${row.target.text}: ${row.target.met ? 'met' : 'MISSED'}`,
  ])
  const table = [['', 'unit', 'median', 'min - max', 'n', 'target'], ...lines]
  const widths = (table[0] ?? []).map((_, column) =>
    Math.max(...table.map((line) => (line[column] ?? '').length)),
  )
  console.log(`\n${report.name}  ${JSON.stringify(report.setting)}`)
  for (const line of table)
    console.log(
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
  const folder = outputFolder()
  mkdirSync(folder, { recursive: true })
  const file = `${folder}/${report.name.replaceAll(/\W+/g, '-')}.json`
  writeFileSync(
    file,
    `${JSON.stringify({ ...report, node: process.version, at: new Date().toISOString() }, null, 2)}\n`,
  )
}

function digits(value: number): string {
  return value >= 1000 ? value.toFixed(0) : value.toPrecision(3)
}

function outputFolder(): string {
  const own = fileURLToPath(new URL('.', import.meta.url))
  // Compiled into dist/bench/lib or .build/<name>/bench/lib.
  return own.replace(/\/(dist|\.build\/[^/]+)\/bench\/lib\/$/, '/bench/out')
}
