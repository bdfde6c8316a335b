// Latency by percentile: the further right, the rarer.
import type { Curve } from '../summary.ts'
import { valueText } from '../table.ts'
import { colorOf, element, escaped, label, line, logScale, logTicks, picture } from './svg.ts'

const width = 460
const height = 260
const [left, right, top, bottom] = [58, 30, 14, 34]
/** The axis is even by the rarity 1 / (1 - p): so far as samples reach. */
const marks = [
  { percent: 0, text: '0' },
  { percent: 50, text: '50' },
  { percent: 90, text: '90' },
  { percent: 99, text: '99' },
  { percent: 99.9, text: '99.9' },
  { percent: 99.99, text: '99.99 %' },
]
const steps = 120

export function latencyChart(operation: string, curves: readonly Curve[]): string {
  const lines = curves.map(({ peer, histogram }) => ({ peer, points: pointsOf(histogram) }))
  const values = lines.flatMap(({ points }) => points.map(({ micros }) => micros))
  const ticks = logTicks(Math.max(Math.min(...values), 1), Math.max(...values, 10))
  const y = logScale([ticks[0] ?? 1, ticks.at(-1) ?? 10], [height - bottom, top])
  const x = logScale([1, rarity(marks.at(-1)?.percent ?? 99)], [left, width - right])
  const grid = [
    ...ticks.map(
      (tick) =>
        line([left, y(tick)], [width - right, y(tick)], { class: 'grid' }) +
        label(valueText(tick, 'µs'), left - 6, y(tick) + 4, {
          class: 'tick',
          'text-anchor': 'end',
        }),
    ),
    ...marks.map(({ percent, text }) => {
      const at = x(rarity(percent))
      return (
        line([at, top], [at, height - bottom], { class: 'grid' }) +
        label(text, at, height - bottom + 15, { class: 'tick', 'text-anchor': 'middle' })
      )
    }),
  ]
  const paths = lines.map(({ peer, points }) => {
    const d = points
      .map(
        ({ percent, micros }, index) =>
          `${index === 0 ? 'M' : 'L'}${x(rarity(percent)).toFixed(1)} ${y(micros).toFixed(1)}`,
      )
      .join('')
    const shape = { d, fill: 'none', stroke: colorOf(peer), 'stroke-width': 2 }
    return element('path', shape, element('title', {}, escaped(peer)))
  })
  const legend = lines.map(({ peer }, index) =>
    label(peer, left + 10, top + 14 + index * 15, {
      style: `fill: ${colorOf(peer)}`,
      class: 'legend',
    }),
  )
  const title = `Latency, ${operation}, by percentile`
  return picture({ width, height }, title, [...grid, ...paths, ...legend].join(''))
}

interface Point {
  readonly percent: number
  readonly micros: number
}

function pointsOf(histogram: Curve['histogram']): Point[] {
  const most = Math.log(rarity(marks.at(-1)?.percent ?? 99))
  const points: Point[] = []
  for (let step = 0; step <= steps; step++) {
    const percent = 100 * (1 - Math.exp((-most * step) / steps))
    // Beyond what so many samples can tell.
    if (rarity(percent) > histogram.count) break
    points.push({ percent, micros: Math.max(histogram.percentile(percent), 1) })
  }
  return points
}

function rarity(percent: number): number {
  return 1 / (1 - percent / 100)
}
