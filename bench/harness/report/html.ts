// The report for people: one file that needs nothing from elsewhere.
import type { CellResult, RunResult } from '../result.ts'
import { ownName, summarizeRun, type CellSummary, type FigureSummary } from '../summary.ts'
import { digits, interval } from '../table.ts'
import { latencyChart } from './latency-chart.ts'
import { equalTerms, machineLines, method } from './method.ts'
import { barsOf, ratioChart } from './ratio-chart.ts'
import { sampleChart } from './sample-chart.ts'
import { style } from './style.ts'
import { colorOf, escaped } from './svg.ts'

export function htmlReport(run: RunResult): string {
  const summaries = summarizeRun(run)
  const body = [
    header(run, summaries),
    ...comparisons(run, summaries),
    ...run.scenarios.map((scenario) => scenarioPart(scenario, summaries)),
    list('Equal terms', equalTerms),
    list('Method', method),
    commands(run.cells),
    logPart(run),
  ]
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Millrace benchmark, ${run.startedAt.slice(0, 10)}</title><style>${style}</style></head>
<body>
${body.join('\n')}
</body></html>
`
}

function header(run: RunResult, summaries: readonly CellSummary[]): string {
  const verdicts = summaries.flatMap(({ figures }) =>
    figures.flatMap(({ verdict }) => (verdict === undefined ? [] : [verdict])),
  )
  const reached = verdicts.filter(({ isReached }) => isReached).length
  const minutes = (Date.parse(run.endedAt) - Date.parse(run.startedAt)) / 60_000
  const samples = run.cells.reduce((sum, cell) => sum + cell.samples.length, 0)
  const noisy = summaries.filter(({ isNoisy }) => isNoisy).length
  const cards = [
    card(`${reached} of ${verdicts.length}`, 'demands reached'),
    card(`${summaries.length}`, `cells, ${samples} samples`),
    card(`${minutes.toFixed(0)} min`, `from ${run.startedAt.slice(0, 16).replace('T', ' ')} UTC`),
    card(`${noisy}`, 'cells noisy: other work on the machine'),
  ]
  const warnings = run.isInterrupted
    ? ['<p class="warning">This run was interrupted: not all cells are here.</p>']
    : []
  const peers = run.peers.map(({ name, description, skipped = '' }) => {
    const what =
      description === undefined
        ? `<span class="warning">skipped: ${escaped(skipped)}</span>`
        : `${escaped(description.version)}<br><span class="faint">${description.remarks.map(escaped).join('<br>')}</span>`
    return `<tr><td style="color:${colorOf(name)}"><b>${escaped(name)}</b></td><td style="text-align:left;white-space:normal">${what}</td></tr>`
  })
  return `<h1>Millrace benchmark</h1>
${machineLines(run)
  .map((text) => `<p class="faint">${escaped(text)}</p>`)
  .join('')}
${warnings.join('')}<div class="cards">${cards.join('')}</div>
<table>${peers.join('')}</table>`
}

function card(value: string, text: string): string {
  return `<div class="card"><b>${escaped(value)}</b>${escaped(text)}</div>`
}

/** A picture for every peer that there is a ratio to. */
function comparisons(run: RunResult, summaries: readonly CellSummary[]): string[] {
  return run.peers.flatMap(({ name }) => {
    const bars = barsOf(summaries, name)
    if (bars.length === 0) return []
    return [
      `<h2>How many times better than ${escaped(name)}</h2>
<p class="faint">Bars to the right: Millrace is better, whichever way is better for the figure. Thin lines: 95 % interval. Dashed: what is demanded. Grey: no claim, the interval holds 1, rounds disagree, or the machine was busy.</p>
${ratioChart(bars, name)}`,
    ]
  })
}

function scenarioPart(
  { name, summary }: RunResult['scenarios'][number],
  summaries: readonly CellSummary[],
): string {
  const own = summaries.filter(({ cell }) => cell.scenario === name)
  return `<h2>${escaped(name)}</h2><p class="faint">${escaped(summary)}</p>${own.map(cellPart).join('')}`
}

function cellPart(summary: CellSummary): string {
  const { cell, figures, curves, rounds, roundsDropped, isNoisy, notes } = summary
  const remarks = [
    `${rounds.length} rounds count`,
    ...(roundsDropped > 0 ? [`${roundsDropped} dropped because of other work`] : []),
    `${cell.terms.brokers} broker${cell.terms.brokers === 1 ? '' : 's'}`,
    `durability ${cell.terms.durability}`,
    ...notes,
  ]
  const warnings = [
    ...(isNoisy ? ['noisy: the machine did other work in most rounds'] : []),
    ...cell.entries.flatMap(({ peer, skipped }) =>
      skipped === undefined ? [] : [`${peer} skipped: ${skipped}`],
    ),
  ]
  const [first] = figures
  const charts = [
    ...(first === undefined || first.values.size === 0
      ? []
      : [figurePart(sampleChart(summary, first), `${first.figure.name}: every sample`)]),
    ...[...new Set(curves.map(({ operation }) => operation))].map((operation) =>
      figurePart(
        latencyChart(
          operation,
          curves.filter((curve) => curve.operation === operation),
        ),
        `${operation}, all rounds together, by percentile`,
      ),
    ),
  ]
  return `<div class="cell"><h3>${escaped(cell.name)}</h3><p class="faint">${escaped(remarks.join(' · '))}</p>
${warnings.map((text) => `<p class="warning">${escaped(text)}</p>`).join('')}
${figureTable(figures)}<div class="charts">${charts.join('')}</div></div>`
}

function figurePart(chart: string, caption: string): string {
  return `<figure>${chart}<figcaption>${escaped(caption)}</figcaption></figure>`
}

function figureTable(figures: readonly FigureSummary[]): string {
  const peers = [...new Set(figures.flatMap(({ values }) => [...values.keys()]))]
  const others = peers.filter((peer) => peer !== ownName)
  const head = [
    'median ± deviation (least to most)',
    ...peers,
    ...others.map((peer) => `${ownName} : ${peer} [95 %]`),
    'wanted',
  ]
  const rows = figures.map(({ figure, values, ratios, verdict }) => {
    const cells = peers.map((peer) => {
      const value = values.get(peer)
      return value === undefined
        ? '-'
        : `<b>${digits(value.median)}</b> ± ${digits(value.deviation)}<br><span class="faint">${digits(value.least)} to ${digits(value.most)}</span>`
    })
    const compared = others.map((peer) => {
      const ratio = ratios.get(peer)
      return ratio === undefined ? '-' : `${interval(ratio)}${ratio.isClear ? '' : ' ~'}`
    })
    const end =
      verdict === undefined
        ? ''
        : `<span class="${verdict.isReached ? 'reached' : 'missed'}">${escaped(verdict.text)} ${verdict.isReached ? '✓' : '✗'}</span>`
    const name = `${escaped(figure.name)}, ${escaped(figure.unit)}`
    return `<tr><td>${name}</td>${[...cells, ...compared, end].map((text) => `<td>${text}</td>`).join('')}</tr>`
  })
  return `<table><tr>${head.map((text) => `<th>${escaped(text)}</th>`).join('')}</tr>${rows.join('')}</table>`
}

function list(title: string, lines: readonly string[]): string {
  return `<h2>${title}</h2><ul>${lines.map((text) => `<li>${escaped(text)}</li>`).join('')}</ul>`
}

function commands(cells: readonly CellResult[]): string {
  const all = new Set(
    cells.flatMap(({ entries }) =>
      entries.flatMap(({ peer, commands: own }) => own.map((command) => `# ${peer}\n${command}`)),
    ),
  )
  return `<h2>Commands</h2><details><summary>${all.size} commands with their settings</summary><pre>${escaped([...all].join('\n\n'))}</pre></details>`
}

function logPart({ log }: RunResult): string {
  const lines = log.map(({ atSeconds, text }) => `${atSeconds.toFixed(1).padStart(8)} s  ${text}`)
  return `<h2>Log of the run</h2><details><summary>${lines.length} lines: the gate, failures, restarts</summary><pre>${escaped(lines.join('\n'))}</pre></details>`
}
