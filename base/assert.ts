/**
 * A bug in our own code: the process must stop and recover, never go on.
 * Errors of the environment (disk, network, bad input) have classes of their own.
 */
export class AssertionError extends Error {
  override readonly name = 'AssertionError'
}

/** Throws when our own reasoning is wrong. Pass a constant text, or a closure on a hot path. */
export function assert(condition: boolean, message: string | (() => string)): asserts condition {
  if (!condition) throw new AssertionError(typeof message === 'string' ? message : message())
}

/** Marks a `switch` as complete: the compiler refuses a case that was left out. */
export function unreachable(value: never): never {
  throw new AssertionError(`Unreachable case ${JSON.stringify(value)}`)
}
