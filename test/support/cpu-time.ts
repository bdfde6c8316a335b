/**
 * CPU time of this process, ms: for tests that say "in no time". A machine that does something else meanwhile does
 * not show in it.
 */
export function cpuTimeMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
