import type { RunResult } from '../result.ts'

export function htmlReport(run: RunResult): string {
  return `${run.startedAt}\n`
}
