import { execFileSync } from 'node:child_process'
import { readFileSync, statfsSync } from 'node:fs'
import * as os from 'node:os'

/** What a reader of figures must know of where they come from. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly kernel: string
  readonly node: string
  /** Of the folder that held the data. */
  readonly fileSystem: string
  readonly freeDiskBytes: number
  readonly dirtyBackgroundRatio: string
}

export function machineOf(folder: string): Machine {
  return {
    cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
    cores: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    kernel: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    fileSystem: fileSystemOf(folder),
    freeDiskBytes: freeDiskBytes(folder),
    dirtyBackgroundRatio: textOf('/proc/sys/vm/dirty_background_ratio'),
  }
}

/** Undefined: nobody tells. */
export function availableMemoryBytes(): number | undefined {
  const kilobytes = /^MemAvailable:\s+(\d+)/m.exec(textOf('/proc/meminfo'))?.[1]
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024
}

export function freeDiskBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}

/** The commit of the tree that holds this program, `+` when it was changed; `unknown` outside of git. */
export function commitOf(folder: string): string {
  try {
    const git = (...args: string[]): string =>
      execFileSync('git', ['-C', folder, ...args], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim()
    const isChanged = git('status', '--porcelain', '--untracked-files=no') !== ''
    return git('rev-parse', '--short=12', 'HEAD') + (isChanged ? '+' : '')
  } catch {
    return 'unknown'
  }
}

/** The mount with the longest path that holds the folder: `ext4 /dev/vda rw,relatime`. */
function fileSystemOf(folder: string): string {
  const mounts = textOf('/proc/mounts')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, point = '']) => folder === point || folder.startsWith(point.replace(/\/?$/, '/')))
    .sort(([, one = ''], [, other = '']) => other.length - one.length)
  const [device = 'unknown', , type = '', flags = ''] = mounts[0] ?? []
  return `${type} ${device} ${flags}`
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}
