/**
 * What not every program needs, loaded at its first use, and once: an `import()` may take longer than a simulation's time
 * stands still, so tests load it before.
 */
export const loadAdminCalls = once(() => import('./admin-calls.ts'))
export const loadClassicMember = once(() => import('./group/classic-member.ts'))
export const loadConsumerMember = once(() => import('./group/consumer-member.ts'))

function once<T>(load: () => Promise<T>): () => Promise<T> {
  let loaded: Promise<T> | undefined
  return () => (loaded ??= load())
}
