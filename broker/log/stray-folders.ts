/**
 * Folders of partitions that the cluster knows nothing of, or that belong elsewhere: `topic-partition.<uuid>-stray`.
 * They are kept for a day, so that a mistake can be undone by renaming them, and removed then. When each of them was
 * set aside is in the file `set-aside-ms` in it: milliseconds since 1970.
 */
import { StorageError, type Env } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'

const keptMs = 86_400_000
const timeFileName = 'set-aside-ms'
const strayPattern = /^.+\.[0-9a-f]{32}-stray$/

export interface StraySurroundings {
  readonly env: Pick<Env, 'clock' | 'timers' | 'disk'>
  readonly logger: Logger
}

export function isStrayDirectoryName(name: string): boolean {
  return strayPattern.test(name)
}

/** `path` was just set aside, or is found at a start: it goes when its time is over. */
export function removeStrayLater(path: string, { env, logger }: StraySurroundings): void {
  env.timers.after(leftMs(path, env), () => {
    logger.info({ path }, 'A folder that was set aside a day ago is removed')
    env.disk.removeTree(path).catch((error: unknown) => {
      logger.warn({ err: error, path }, 'A folder that was set aside could not be removed')
    })
  })
}

function leftMs(path: string, env: StraySurroundings['env']): number {
  const nowMs = env.clock.wallMs()
  try {
    const text = env.disk.readFile(`${path}/${timeFileName}`)?.toString('latin1') ?? ''
    // A clock that was set back must not keep it for ever.
    if (/^\d{1,15}$/.test(text)) return Math.min(Math.max(Number(text) + keptMs - nowMs, 0), keptMs)
    const file = env.disk.open(`${path}/${timeFileName}`, 'write')
    try {
      file.write([Buffer.from(String(Math.floor(nowMs)))], 0)
    } finally {
      file.close()
    }
  } catch (error) {
    // Without a date it is kept for a day from now on.
    if (!(error instanceof StorageError)) throw error
  }
  return keptMs
}
