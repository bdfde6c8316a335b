import { CliError } from '../errors.ts'

/** Letters of Java's SimpleDateFormat: how they are written with so many digits at least. */
const fields: Readonly<Record<string, (date: Date, digits: number) => string>> = {
  y: (date, digits) => {
    const year = String(date.getFullYear())
    return digits === 2 ? year.slice(-2) : year.padStart(digits, '0')
  },
  M: (date, digits) => padded(date.getMonth() + 1, digits),
  d: (date, digits) => padded(date.getDate(), digits),
  H: (date, digits) => padded(date.getHours(), digits),
  h: (date, digits) => padded(date.getHours() % 12 || 12, digits),
  m: (date, digits) => padded(date.getMinutes(), digits),
  s: (date, digits) => padded(date.getSeconds(), digits),
  S: (date, digits) => padded(date.getMilliseconds(), digits),
  a: (date) => (date.getHours() < 12 ? 'AM' : 'PM'),
}

/** A literal in quotes, one letter repeated, or anything else. */
const token = /'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+/y

/** Writes local times as Java does by the same pattern, as far as it consists of numbers. Throws `CliError`. */
export function dateFormat(pattern: string): (wallMs: number) => string {
  const parts: ((date: Date) => string)[] = []
  token.lastIndex = 0
  while (token.lastIndex < pattern.length) {
    const match = token.exec(pattern)
    if (match === null) throw CliError.usage(`--date-format has an open quote: ${pattern}`)
    const [text, quoted, letter] = match
    if (letter !== undefined) parts.push(fieldOf(letter, text.length))
    else {
      const literal = quoted === undefined ? text : quoted.replaceAll("''", "'") || "'"
      parts.push(() => literal)
    }
  }
  return (wallMs) => {
    const date = new Date(wallMs)
    return parts.map((part) => part(date)).join('')
  }
}

function fieldOf(letter: string, length: number): (date: Date) => string {
  const write = fields[letter]
  if (write === undefined || (letter === 'M' && length > 2)) {
    const known = 'y, M, d, H, h, m, s, S and a'
    throw CliError.usage(`--date-format: "${letter.repeat(length)}" can't be written; ${known} can`)
  }
  return (date) => write(date, length)
}

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, '0')
}
