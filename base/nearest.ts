/** The candidate that takes the fewest single-letter edits to become `word`. There must be one candidate at least. */
export function nearestOf(word: string, candidates: Iterable<string>): string {
  let nearest = ''
  let distanceMin = Infinity
  for (const candidate of candidates) {
    const distance = editDistance(word, candidate)
    if (distance >= distanceMin) continue
    nearest = candidate
    distanceMin = distance
  }
  return nearest
}

/** Letters to insert, remove or replace to turn `from` into `to` (Levenshtein). */
function editDistance(from: string, to: string): number {
  let above = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let row = 1; row <= from.length; row++) {
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1] ? 0 : 1
      const replaced = (above[column - 1] ?? 0) + same
      const removed = (above[column] ?? 0) + 1
      const inserted = (current[column - 1] ?? 0) + 1
      current.push(Math.min(replaced, removed, inserted))
    }
    above = current
  }
  return above[to.length] ?? 0
}
