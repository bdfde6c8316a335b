import type { RunResult } from '../result.ts'

export function resultsMarkdown(run: RunResult): string {
  return `${run.startedAt}\n`
}
