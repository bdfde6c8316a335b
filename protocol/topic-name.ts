export const topicNameLengthMax = 249
const legal = /^[a-zA-Z0-9._-]+$/

/** Why `name` can't be the name of a topic; undefined: it can. It also becomes the name of a folder. */
export function topicNameProblem(name: string): string | undefined {
  if (name === '') return 'Topic name is invalid: the empty string is not allowed'
  if (name === '.' || name === '..') return `Topic name is invalid: '${name}' is not allowed`
  if (name.length > topicNameLengthMax) {
    return `Topic name is invalid: the length of '${name}' is longer than the max allowed length ${topicNameLengthMax}`
  }
  if (!legal.test(name)) {
    return (
      `Topic name is invalid: '${name}' contains one or more characters other than ` +
      "ASCII alphanumerics, '.', '_' and '-'"
    )
  }
  return undefined
}

/**
 * Names that differ in '.' and '_' only give the same names of metrics, so that just one of them may exist.
 * Undefined: the name has neither, and collides with nothing.
 */
export function collisionKey(name: string): string | undefined {
  return /[._]/.test(name) ? name.replaceAll('.', '_') : undefined
}
