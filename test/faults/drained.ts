/** Waiting for readers that have fallen behind: for as long as they get on, which on a busy machine may be long. */
import { pause } from '../clients/processes.ts'

/** How long nothing at all may be read. */
const patienceMs = 90_000

/** Resolves with true once nothing is left, with false when what is left has not become less for `patienceMs`. */
export async function drained(left: () => number): Promise<boolean> {
  let least = Infinity
  let sinceMs = performance.now()
  for (;;) {
    const now = left()
    if (now === 0) return true
    if (now < least) {
      least = now
      sinceMs = performance.now()
    } else if (performance.now() - sinceMs > patienceMs) return false
    await pause(50)
  }
}
