// Drawing with as little as possible: SVG as text, for reports that need nothing from elsewhere.

export function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

type Attributes = Readonly<Record<string, string | number>>

/** An element; `inside` is markup already. Numbers have two decimals at most. */
export function element(name: string, attributes: Attributes, inside = ''): string {
  const list = Object.entries(attributes).map(([key, value]) => {
    const text = typeof value === 'number' ? String(Math.round(value * 100) / 100) : escaped(value)
    return ` ${key}="${text}"`
  })
  return inside === '' && !needsEnd.has(name)
    ? `<${name}${list.join('')}/>`
    : `<${name}${list.join('')}>${inside}</${name}>`
}

const needsEnd = new Set(['svg', 'text', 'g', 'div', 'span', 'td', 'th', 'p'])

export function label(text: string, x: number, y: number, attributes: Attributes = {}): string {
  return element('text', { x, y, ...attributes }, escaped(text))
}

export function line(
  [x1, y1]: readonly [number, number],
  [x2, y2]: readonly [number, number],
  attributes: Attributes = {},
): string {
  return element('line', { x1, y1, x2, y2, ...attributes })
}

/** A picture that shrinks with its page; `title` is what a screen reader says. */
export function picture(
  size: { readonly width: number; readonly height: number },
  title: string,
  inside: string,
): string {
  const { width, height } = size
  const box = { viewBox: `0 0 ${width} ${height}`, width, height, role: 'img' }
  return element('svg', { ...box, 'aria-label': title }, inside)
}

/** From values to places, evenly by factor; what is outside goes to the edge. */
export function logScale(
  [from, to]: readonly [number, number],
  [start, end]: readonly [number, number],
): (value: number) => number {
  const [low, high] = [Math.log(from), Math.log(to)]
  return (value) => {
    const part = (Math.log(value) - low) / (high - low)
    return start + Math.min(Math.max(part, 0), 1) * (end - start)
  }
}

/** 1, 2 and 5 times powers of ten within the range, its ends rounded outwards; only powers where there are many. */
export function logTicks(least: number, most: number): number[] {
  const [first, last] = [Math.floor(Math.log10(least)), Math.ceil(Math.log10(most))]
  const steps = last - first > 3 ? [1] : [1, 2, 5]
  const all: number[] = []
  for (let power = first; power <= last; power++)
    for (const step of steps) all.push(Number((step * 10 ** power).toPrecision(1)))
  const from = all.findLastIndex((tick) => tick <= least)
  const to = all.findIndex((tick) => tick >= most)
  return all.slice(Math.max(from, 0), to === -1 ? all.length : to + 1)
}

const colors: Readonly<Record<string, string>> = {
  self: '#0d7f8f',
  kafka: '#d9622b',
  nats: '#7a5af5',
  redis: '#c2334d',
}
const otherColors = ['#5b8c2a', '#8a6d3b', '#4a6fa5']

/** The same in every picture of a report. */
export function colorOf(peer: string): string {
  const own = colors[peer]
  if (own !== undefined) return own
  const sum = Buffer.from(peer).reduce((total, byte) => total + byte, 0)
  return otherColors[sum % otherColors.length] ?? '#666666'
}
