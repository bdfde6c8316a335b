// Every sample of a figure as a dot, and the median of those that count.
import type { CellSummary, FigureSummary } from '../summary.ts'
import { valueText } from '../table.ts'
import { colorOf, element, escaped, label, line, picture } from './svg.ts'

const width = 460
const left = 92
const right = 100
const rowHeight = 30
const top = 8

export function sampleChart({ cell, rounds }: CellSummary, summary: FigureSummary): string {
  const { figure, values } = summary
  const peers = [...values.keys()]
  const dots = cell.samples
    .filter(({ peer }) => values.has(peer))
    .map((sample) => ({ sample, value: sample.figures[figure.key] ?? NaN }))
    .filter(({ value }) => Number.isFinite(value))
  const most = Math.max(...dots.map(({ value }) => value), 1e-9) * 1.05
  const x = (value: number): number => left + (value / most) * (width - left - right)
  const height = top + peers.length * rowHeight + 22
  const bottom = height - 20
  const axis =
    line([left, bottom], [width - right, bottom], { class: 'grid' }) +
    label('0', left, bottom + 13, { class: 'tick', 'text-anchor': 'middle' }) +
    label(valueText(most, figure.unit), width - right, bottom + 13, {
      class: 'tick',
      'text-anchor': 'middle',
    })
  const rows = peers.map((peer, row) => {
    const middle = top + row * rowHeight + rowHeight / 2
    const median = values.get(peer)?.median ?? NaN
    const own = dots.filter(({ sample }) => sample.peer === peer)
    const circles = own.map(({ sample, value }, index) => {
      const counts = rounds.includes(sample.round)
      // Samples of nearly the same value stand beside each other.
      const y = middle + ((index % 3) - 1) * 5
      const tip = `round ${sample.round}${counts ? '' : ' (does not count)'}: ${valueText(value, figure.unit)}`
      return element(
        'circle',
        {
          cx: x(value),
          cy: y,
          r: 3.2,
          fill: counts ? colorOf(peer) : 'none',
          stroke: colorOf(peer),
          'fill-opacity': 0.75,
        },
        element('title', {}, escaped(tip)),
      )
    })
    const mark = line([x(median), middle - 11], [x(median), middle + 11], {
      stroke: colorOf(peer),
      'stroke-width': 2.5,
    })
    return (
      label(peer, left - 8, middle + 4, { 'text-anchor': 'end', class: 'name' }) +
      circles.join('') +
      (Number.isFinite(median) ? mark : '') +
      label(valueText(median, figure.unit), width - right + 8, middle + 4, { class: 'value' })
    )
  })
  return picture({ width, height }, `Samples of ${figure.name}`, [axis, ...rows].join(''))
}
