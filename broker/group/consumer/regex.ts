import type { RE2JS } from 're2js'

/** What a member may subscribe to by pattern, as one text: RE2 syntax, and a topic's whole name must match. */
export interface TopicPattern {
  matches(topic: string): boolean
}

/** Longer ones are refused; topic names have 249 characters at most. */
const regexLengthMax = 1000
/** Instructions of the compiled program, which bound the time and memory of a match. */
const programSizeMax = 1000
/** Compiling costs time before the program's size is known: a repeat of 1,000 fits into seven characters. */
const estimateMax = 4000

let engine: Promise<{ readonly RE2JS: typeof RE2JS }> | undefined

/**
 * Compiles with an engine whose matches take linear time, whatever the pattern: it comes from clients.
 * Undefined: the pattern is invalid or too costly. The engine is loaded when first needed.
 */
export async function compileTopicPattern(regex: string): Promise<TopicPattern | undefined> {
  if (regex.length > regexLengthMax || estimatedSize(regex) > estimateMax) return undefined
  engine ??= import('re2js')
  const { RE2JS: Engine } = await engine
  try {
    const compiled = Engine.compile(regex)
    if (compiled.programSize() > programSizeMax) return undefined
    return { matches: (topic) => compiled.testExact(topic) }
  } catch {
    // All that a compiler of untrusted text throws means one thing: there is no such pattern.
    return undefined
  }
}

/** How many instructions the pattern has when its counted repeats are written out. Too high rather than too low. */
export function estimatedSize(regex: string): number {
  const repeat = /^\{(\d{1,6})(?:,(\d{0,6}))?\}/
  const outer: number[] = []
  let size = 0
  let atom = 0
  for (let index = 0; index < regex.length; index++) {
    switch (regex.charAt(index)) {
      case '(':
        outer.push(size)
        size = 0
        break
      case ')':
        atom = size + 2
        size = (outer.pop() ?? 0) + atom
        break
      case '[': {
        const end = regex.indexOf(']', index + 2)
        if (end > 0) index = end
        atom = 1
        size += atom
        break
      }
      case '{': {
        const counted = repeat.exec(regex.slice(index, index + 20))
        if (counted === null) break
        const count = Math.max(Number(counted[1]), Number(counted[2] ?? 0), 1)
        size += atom * (count - 1)
        atom *= count
        index += counted[0].length - 1
        break
      }
      case '\\':
        index++
        atom = 1
        size += atom
        break
      default:
        atom = 1
        size += atom
    }
  }
  return outer.reduce((sum, each) => sum + each, size)
}
