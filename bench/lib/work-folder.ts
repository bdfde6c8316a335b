import { closeSync, fdatasyncSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { atExit } from './at-exit.ts'

/** Runs `use` with a folder that is gone afterwards. Set BENCH_DIR to measure another disk. */
export async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(process.env['BENCH_DIR'] ?? tmpdir(), 'millrace-bench-'))
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  const isGone = atExit(remove)
  try {
    return await use(folder)
  } finally {
    isGone()
    remove()
  }
}

/** Writes back what the last sample left dirty, so that the next one does not pay for it. */
export function writeBack(folder: string): void {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.log')) continue
    const fd = openSync(join(entry.parentPath, entry.name), 'r')
    fdatasyncSync(fd)
    closeSync(fd)
  }
}
