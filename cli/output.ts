import { once } from 'node:events'
import type { Writable } from 'node:stream'

export const outputFormats = ['table', 'json'] as const
export type OutputFormat = (typeof outputFormats)[number]

export interface Column<Row> {
  readonly title: string
  readonly of: (row: Row) => string | number
  readonly right?: boolean
}

/** Rows under titles, columns as wide as their widest cell. Empty without rows but for the titles. */
export function formatTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map((column) => String(column.of(row))))
  const titles = columns.map((column) => column.title)
  const widths = titles.map((title, index) =>
    Math.max(title.length, ...cells.map((line) => line[index]?.length ?? 0)),
  )
  return [titles, ...cells]
    .map((line) => {
      const padded = line.map((cell, index) => {
        const width = widths[index] ?? 0
        return columns[index]?.right === true ? cell.padStart(width) : cell.padEnd(width)
      })
      return `${padded.join('  ').trimEnd()}\n`
    })
    .join('')
}

/** Documents carry a version, so that scripts can tell when their shape changes. */
export function formatJson(document: object): string {
  return `${JSON.stringify({ schema_version: 1, ...document }, null, 2)}\n`
}

/** Waits when the reader of a pipe is slower than we are. */
export async function writeOut(out: Writable, data: string | Uint8Array): Promise<void> {
  if (!out.write(data)) await once(out, 'drain')
}

/** An exit takes with it what a slow reader of a pipe has not taken yet. */
export async function flushed(out: Writable): Promise<void> {
  if (out.writableLength > 0) await new Promise((resolve) => out.write('', resolve))
}

/** A reader that has seen enough, as in `| head`, is no error. */
export function endQuietlyOnClosedPipe(out: NodeJS.WriteStream): void {
  out.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
}
