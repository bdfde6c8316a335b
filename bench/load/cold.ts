// Files that are no longer in the page cache.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Processes } from '../harness/peer.ts'

/** Dropping is advice: what is mapped or dirty stays. */
const residentPartMax = 0.02

/** Drops all segments of the folder; throws when they stay. Whoever maps them must be gone, and they must be written back. */
export async function dropFromCache(processes: Processes, folder: string): Promise<void> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.log'))
    .map((entry) => join(entry.parentPath, entry.name))
  if (files.length === 0) return
  await processes.run('sync', ['-f', folder])
  for (const file of files)
    await processes.run('dd', [`if=${file}`, 'iflag=nocache', 'count=0', 'status=none'])
  const columns = ['--bytes', '--noheadings', '--raw', '--output', 'RES,SIZE']
  const table = await processes.run('fincore', [...columns, ...files])
  let [resident, size] = [0, 0]
  for (const line of table.trim().split('\n')) {
    const [inCache = 0, whole = 0] = line.trim().split(/\s+/).map(Number)
    resident += inCache
    size += whole
  }
  if (resident > size * residentPartMax)
    throw new Error(`${resident} of ${size} bytes are still in the page cache`)
}
