/** What a script learns from a command without reading its words. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  /** The command line, or a value on it. */
  usage: 2,
  notFound: 3,
  /** It exists already, or somebody else holds it. */
  conflict: 4,
  /** Nobody answers, or not in time. */
  unreachable: 5,
  denied: 6,
  /** Some of it was done before it failed. */
  partial: 7,
  /** Ctrl-C. */
  interrupted: 130,
} as const
