// bench/RESULTS.md: the latest full run, as text.
import type { RunResult } from '../result.ts'
import { ownName, summarizeRun, type CellSummary, type FigureSummary } from '../summary.ts'
import { digits, firstLine, interval, valueText } from '../table.ts'
import { equalTerms, machineLines, method } from './method.ts'

export function resultsMarkdown(run: RunResult): string {
  const summaries = summarizeRun(run)
  const parts = [
    `# Results\n\nWritten by the harness: \`npm run bench -- ${run.flags.join(' ')}\`, ${run.startedAt.slice(0, 10)}. How to read it, and how it was measured, is at the end.`,
    bullets(machineLines(run)),
    peersPart(run),
    demandsPart(summaries),
    ...run.scenarios.map(({ name, summary }) => scenarioPart(name, summary, summaries)),
    `## Equal terms\n\n${bullets(equalTerms)}`,
    `## Method\n\n${bullets(method)}`,
  ]
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

function bullets(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}`).join('\n')
}

function peersPart({ peers }: RunResult): string {
  const lines = peers.map(({ name, description, skipped = '' }) =>
    description === undefined
      ? `**${name}**: skipped, ${firstLine(skipped)}`
      : `**${name}**: ${description.version}. ${description.remarks.join('; ')}`,
  )
  return bullets(lines)
}

/** What issue 5 demands, each with what was reached. */
function demandsPart(summaries: readonly CellSummary[]): string {
  const rows = summaries.flatMap((summary) =>
    summary.figures.flatMap(({ figure, values, ratios, verdict }) => {
      if (figure.wanted === undefined && figure.limit === undefined) return []
      const against = figure.wanted?.against
      const ratio = against === undefined ? undefined : ratios.get(against)
      const valueOf = (peer: string | undefined): string => {
        const value = peer === undefined ? undefined : values.get(peer)
        return value === undefined ? '-' : valueText(value.median, figure.unit)
      }
      return [
        [
          `${summary.cell.scenario}: ${summary.cell.name}`,
          figure.name,
          valueOf(ownName),
          valueOf(against),
          ratio === undefined ? '-' : digits(ratio.ofMedians),
          ratio === undefined ? '-' : `${interval(ratio)}${ratio.isClear ? '' : ' ~'}`,
          verdict === undefined
            ? 'not measured'
            : `${verdict.text}: ${verdict.isReached ? 'reached' : '**missed**'}${summary.isNoisy ? ' (noisy)' : ''}`,
        ],
      ]
    }),
  )
  if (rows.length === 0) return ''
  const head = ['cell', 'figure', ownName, 'Kafka', 'of medians', 'paired [95 %]', 'wanted']
  const where = 'What limits those that were missed: [README](README.md#what-limits).'
  return `## What is demanded\n\n${where}\n\n${table([head, ...rows])}`
}

function scenarioPart(name: string, text: string, summaries: readonly CellSummary[]): string {
  const own = summaries.filter(({ cell }) => cell.scenario === name)
  const peers = [
    ...new Set(own.flatMap(({ figures }) => figures.flatMap(({ values }) => [...values.keys()]))),
  ]
  const others = peers.filter((peer) => peer !== ownName)
  const rows = own.flatMap((summary) =>
    summary.figures.map((figure, index) => {
      const noise = summary.isNoisy ? ' (noisy)' : ''
      const cellName = index === 0 ? `${summary.cell.name}${noise}` : ''
      return [cellName, ...figureCells(figure, peers, others), index === 0 ? notes(summary) : '']
    }),
  )
  const ratios = others.map((peer) => `${ownName} : ${peer}`)
  const head = ['cell', 'figure', ...peers, ...ratios, 'n, notes']
  return `## ${name}\n\n${text}\n\n${table([head, ...rows])}`
}

function figureCells(
  { figure, values, ratios }: FigureSummary,
  peers: readonly string[],
  others: readonly string[],
): string[] {
  return [
    `${figure.name}, ${figure.unit}`,
    ...peers.map((peer) => {
      const value = values.get(peer)
      return value === undefined
        ? '-'
        : `${digits(value.median)} (${digits(value.least)}-${digits(value.most)})`
    }),
    ...others.map((peer) => {
      const ratio = ratios.get(peer)
      return ratio === undefined ? '-' : `${interval(ratio)}${ratio.isClear ? '' : ' ~'}`
    }),
  ]
}

function notes({ rounds, roundsDropped, notes: own, cell }: CellSummary): string {
  const skipped = cell.entries.flatMap(({ peer, skipped: why }) =>
    why === undefined ? [] : [`${peer} skipped: ${firstLine(why)}`],
  )
  const dropped = roundsDropped > 0 ? [`${roundsDropped} dropped`] : []
  return [`n=${rounds.length}`, ...dropped, ...own, ...skipped].join('; ')
}

function table(rows: readonly (readonly string[])[]): string {
  const [head = [], ...rest] = rows
  const row = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [row(head), row(head.map(() => '---')), ...rest.map(row)].join('\n')
}
