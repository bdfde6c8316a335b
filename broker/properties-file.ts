/**
 * A file of Java properties, which is how Kafka is configured: `key=value`, `key: value` or `key value` a line,
 * `#` or `!` begins a comment, a backslash at the end of a line continues it, and `\t \n \r \f \uXXXX` are escapes.
 * The last of several values for a key holds.
 */
export function parseProperties(text: string): Map<string, string> {
  const properties = new Map<string, string>()
  for (const line of logicalLines(text)) {
    const end = keyEnd(line)
    const value = line.slice(end).replace(/^[ \t\f]*[=:]?[ \t\f]*/, '')
    properties.set(unescaped(line.slice(0, end)), unescaped(value).trimEnd())
  }
  return properties
}

/** Without comments and blank lines, continued lines joined. */
function* logicalLines(text: string): Generator<string> {
  let pending = ''
  for (const natural of text.split(/\r\n|[\r\n]/)) {
    const line = natural.replace(/^[ \t\f]+/, '')
    if (pending === '' && (line === '' || line.startsWith('#') || line.startsWith('!'))) continue
    const backslashes = /\\*$/.exec(line)?.[0].length ?? 0
    if (backslashes % 2 === 1) {
      pending += line.slice(0, -1)
      continue
    }
    yield pending + line
    pending = ''
  }
  if (pending !== '') yield pending
}

/** The first separator that is not escaped. */
function keyEnd(line: string): number {
  for (let at = 0; at < line.length; at++) {
    const char = line[at]
    if (char === '\\') at++
    else if (char === '=' || char === ':' || char === ' ' || char === '\t' || char === '\f')
      return at
  }
  return line.length
}

function unescaped(text: string): string {
  return text.replace(
    /\\(?:u([0-9a-fA-F]{4})|(.))/g,
    (_, code: string | undefined, char: string) => {
      if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16))
      return { t: '\t', n: '\n', r: '\r', f: '\f' }[char] ?? char
    },
  )
}
