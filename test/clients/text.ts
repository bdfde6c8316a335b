/** The text file of the interoperability tests, and the check of what came back of it. */
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface TextFile {
  readonly path: string
  readonly lineCount: number
  readonly sha256: string
}

/** Where Debian keeps the texts of the usual licences: real prose that is on every machine. */
const licenceDirectory = '/usr/share/common-licenses'

/**
 * Writes `lineCount` lines "key TAB value": licence texts over and over, each line with its number
 * so that every line is unique, and now and then something outside ASCII. About a thousand keys.
 */
export function writeText(path: string, lineCount: number): TextFile {
  const prose = readdirSync(licenceDirectory)
    .toSorted()
    .flatMap((name) => readFileSync(join(licenceDirectory, name), 'utf8').split('\n'))
    // Clients differ in what else ends a line.
    .map((line) => line.replace(/[\r\f\v\u0085\u2028\u2029]/g, ' '))
  const lines: string[] = []
  for (let number = 0; number < lineCount; number++) {
    const text = prose[number % prose.length] ?? ''
    const ornament = number % 50 === 0 ? ' naïve façade 行列 🜚' : ''
    lines.push(`key-${(number * 7919) % 1009}\t${number} ${text}${ornament}\n`)
  }
  const content = lines.join('')
  writeFileSync(path, content)
  return { path, lineCount, sha256: sha256(content) }
}

/** What a consumer wrote into `folder`, judged against the file; an empty list is what we want. */
export function differences(text: TextFile, folder: string, partitionCount: number): string[] {
  const found: string[] = []
  const lines: (string | undefined)[] = []
  for (let partition = 0; partition < partitionCount; partition++) {
    let numberBefore = -1
    let nextOffset = 0
    const content = readFileSync(join(folder, `${partition}`), 'utf8')
    for (const line of content.split('\n').slice(0, -1)) {
      const keyAt = line.indexOf('\t') + 1
      const offset = Number(line.slice(0, keyAt - 1))
      if (offset !== nextOffset) found.push(`${partition}: offset ${offset}, not ${nextOffset}`)
      nextOffset = offset + 1
      const original = line.slice(keyAt)
      const number = Number.parseInt(original.slice(original.indexOf('\t') + 1), 10)
      if (number <= numberBefore) found.push(`${partition}: line ${number} after ${numberBefore}`)
      numberBefore = number
      if (lines[number] !== undefined) found.push(`line ${number} came twice`)
      lines[number] = original
    }
  }
  for (let number = 0; number < text.lineCount; number++) {
    if (lines[number] === undefined) found.push(`line ${number} is missing`)
  }
  if (found.length === 0) {
    const whole = sha256(lines.map((line) => `${line}\n`).join(''))
    if (whole !== text.sha256) found.push(`SHA-256 ${whole}, not ${text.sha256}`)
  }
  return found.slice(0, 10)
}

function sha256(content: string): string {
  return createHash('sha256').update(content).digest('hex')
}
