import { setTimeout as pause } from 'node:timers/promises'

const everyMs = 20

/** Asks until it is so; what throws is not so yet. */
export async function eventually(
  what: string,
  isSo: () => Promise<boolean> | boolean,
  timeoutMs = 120_000,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  let reason = ''
  while (performance.now() < deadlineMs) {
    try {
      if (await isSo()) return
    } catch (error) {
      reason = `: ${String(error)}`
    }
    await pause(everyMs)
  }
  throw new Error(`Not within ${timeoutMs} ms: ${what}${reason}`)
}
