// How many times better than another peer, all cells below each other.
import { ownName, type CellSummary, type FigureSummary } from '../summary.ts'
import type { Ratio } from '../statistics.ts'
import { digits } from '../table.ts'
import { element, escaped, label, line, logScale, logTicks, picture } from './svg.ts'

export interface Bar {
  readonly name: string
  readonly figure: string
  readonly scenario: string
  /** Times better; less than 1: worse. */
  readonly times: number
  readonly low: number
  readonly high: number
  /** Demanded; undefined: nothing is. */
  readonly wanted: number | undefined
  readonly isReached: boolean | undefined
  readonly isClear: boolean
  readonly isNoisy: boolean
}

/** Of the first figure of each cell, and of those that have a demand. */
export function barsOf(summaries: readonly CellSummary[], against: string): Bar[] {
  return summaries.flatMap(({ cell, figures, isNoisy }) =>
    figures.flatMap((summary, index) => {
      const ratio = summary.ratios.get(against)
      const isDemanded = summary.figure.wanted?.against === against
      if (ratio === undefined || (index > 0 && !isDemanded)) return []
      const own = { name: cell.name, scenario: cell.scenario, isNoisy }
      const bar = { ...own, ...barOf(summary, ratio, isDemanded) }
      // There is no place for them on a scale of factors; the tables have them.
      const isDrawable = [bar.times, bar.low, bar.high].every((each) => each > 0 && each < Infinity)
      return isDrawable ? [bar] : []
    }),
  )
}

function barOf(
  { figure, verdict }: FigureSummary,
  ratio: Ratio,
  isDemanded: boolean,
): Omit<Bar, 'name' | 'scenario' | 'isNoisy'> {
  const turned = (value: number): number => (figure.better === 'more' ? value : 1 / value)
  const [one, other] = [turned(ratio.low), turned(ratio.high)]
  const wanted = isDemanded ? figure.wanted?.ratio : undefined
  return {
    figure: figure.name,
    times: turned(ratio.paired),
    low: Math.min(one, other),
    high: Math.max(one, other),
    wanted: wanted === undefined ? undefined : turned(wanted),
    isReached: isDemanded ? verdict?.isReached : undefined,
    isClear: ratio.isClear,
  }
}

const width = 980
const left = 430
const right = 80
const rowHeight = 26
const top = 34

export function ratioChart(bars: readonly Bar[], against: string): string {
  const values = bars.flatMap(({ low, high, times, wanted = 1 }) => [low, high, times, wanted, 1])
  const ticks = logTicks(Math.min(...values, 0.5), Math.max(...values, 2))
  const range = [ticks[0] ?? 0.5, ticks.at(-1) ?? 2] as const
  const x = logScale(range, [left, width - right])
  const height = top + bars.length * rowHeight + 12
  const bottom = height - 8
  const grid = ticks.map((tick) => {
    const isOne = tick === 1
    const at = x(tick)
    return (
      line([at, top - 6], [at, bottom], { class: isOne ? 'one' : 'grid' }) +
      label(`${digits(tick)}×`, at, top - 12, { 'text-anchor': 'middle', class: 'tick' })
    )
  })
  const rows = bars.map((bar, index) => rowOf(bar, top + index * rowHeight, x))
  const title = `How many times better ${ownName} is than ${against}`
  return picture({ width, height }, title, [...grid, ...rows].join(''))
}

function rowOf(bar: Bar, y: number, x: (value: number) => number): string {
  const middle = y + rowHeight / 2
  const state = bar.isNoisy || !bar.isClear ? 'unclear' : bar.times >= 1 ? 'better' : 'worse'
  const [from, to] = [Math.min(x(1), x(bar.times)), Math.max(x(1), x(bar.times))]
  const shape = { x: from, y: middle - 7, width: Math.max(to - from, 1), height: 14, rx: 2 }
  const interval =
    line([x(bar.low), middle], [x(bar.high), middle], { class: 'interval' }) +
    line([x(bar.low), middle - 4], [x(bar.low), middle + 4], { class: 'interval' }) +
    line([x(bar.high), middle - 4], [x(bar.high), middle + 4], { class: 'interval' })
  const demand =
    bar.wanted === undefined
      ? ''
      : line([x(bar.wanted), middle - 10], [x(bar.wanted), middle + 10], { class: 'wanted' })
  const mark = bar.isReached === undefined ? '' : bar.isReached ? ' ✓' : ' ✗'
  const text = `${digits(bar.times)}×${mark}`
  const tip = `${bar.scenario}: ${bar.name}, ${bar.figure}: ${digits(bar.times)} times [${digits(bar.low)} to ${digits(bar.high)}]`
  return element(
    'g',
    {},
    element('title', {}, escaped(tip)) +
      label(shortened(`${bar.scenario}  ${bar.name}`, 50), 4, middle - 1, { class: 'name' }) +
      label(bar.figure, 4, middle + 9, { class: 'figure' }) +
      element('rect', { ...shape, class: state }) +
      interval +
      demand +
      label(text, width - right + 8, middle + 4, { class: 'value' }),
  )
}

/** Words that say the usual are left out first. */
function shortened(text: string, most: number): string {
  const usual = / (partitions=1|connections=1|depth=5|record=1K)(?= |$)/g
  const short = text.length > most ? text.replaceAll(usual, '') : text
  return short.length > most + 16 ? `${short.slice(0, most + 15)}…` : short
}
