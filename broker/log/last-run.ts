/**
 * The `.millrace_last_run` file in each log directory says under which registration the logs were last written, in which
 * boot of the kernel, whether appends were synced before they counted, and how many log directories there were:
 *
 *   {"version":0,"brokerEpoch":17,"bootId":"6f1c…","flushPolicy":"ack","directories":2}
 *
 * With the mark of a clean stop missing, it still tells a killed process, whose page cache survived, from a power cut,
 * and this directory from an empty one in its place; and that one was taken out of the configuration, with all it held.
 */
import { StorageError, type Disk } from '../../base/env.ts'
import { publish } from '../../base/publish.ts'

const fileName = '.millrace_last_run'
const bootIdPath = '/proc/sys/kernel/random/boot_id'

export interface LastRun {
  readonly brokerEpoch: number
  /** Empty: unknown. */
  readonly bootId: string
  readonly flushPolicy: string
  /** 0: unknown, an older broker wrote it. */
  readonly directoryCount: number
}

/** What the controller must know of a broker that returns. */
export interface Claim {
  readonly previousEpoch: number
  readonly stoppedCleanly: boolean
}

const nothing: Claim = { previousEpoch: -1, stoppedCleanly: false }

/** Whether what was acknowledged under registration `epoch` (-1: there was none) is still in these directories. */
export function claimOf(
  options: {
    readonly disk: Disk
    readonly directories: readonly string[]
    /** By the marks of clean stops; -1: not all are there, or they differ. */
    readonly cleanEpoch: number
  },
  epoch: number,
): Claim {
  const { disk, directories, cleanEpoch } = options
  if (epoch < 0) return nothing
  const runs = directories.map((directory) => readLastRun(disk, directory))
  const hadMore = runs.some(
    (run) => run?.brokerEpoch === epoch && run.directoryCount > directories.length,
  )
  if (hadMore) return nothing
  if (cleanEpoch === epoch) return { previousEpoch: epoch, stoppedCleanly: true }
  if (!runs.every((run) => run?.brokerEpoch === epoch)) return nothing
  const bootId = currentBoot(disk)
  if (bootId !== '' && runs.every((run) => run?.bootId === bootId)) {
    return { previousEpoch: epoch, stoppedCleanly: true }
  }
  if (runs.every((run) => run?.flushPolicy === 'ack')) {
    return { previousEpoch: epoch, stoppedCleanly: false }
  }
  return nothing
}

/**
 * Durable when it resolves; nobody has to wait, since a note of an earlier registration proves nothing. Rejects with
 * `StorageError`. One at a time for each directory.
 */
export function writeLastRun(
  disk: Disk,
  directory: string,
  run: Omit<LastRun, 'bootId'>,
): Promise<void> {
  const { brokerEpoch, flushPolicy, directoryCount: directories } = run
  const bootId = currentBoot(disk)
  const text = JSON.stringify({ version: 0, brokerEpoch, bootId, flushPolicy, directories })
  return publish(disk, `${directory}/${fileName}`, Buffer.from(text))
}

/**
 * After a failed sync: the kernel has dropped what it could not write, and shows it from memory for as long as it likes,
 * so that the same boot proves nothing. Best effort, on disks that may be failing; one directory without its note is enough.
 */
export function withdrawLastRun(disk: Disk, directories: readonly string[]): void {
  for (const directory of directories) {
    try {
      disk.remove(`${directory}/${fileName}`)
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
    }
  }
}

function readLastRun(disk: Disk, directory: string): LastRun | undefined {
  const text = readText(disk, `${directory}/${fileName}`)
  const match =
    /^\{"version":0,"brokerEpoch":(\d{1,15}),"bootId":"([0-9a-f-]{0,64})","flushPolicy":"([a-z]{1,16})"(?:,"directories":(\d{1,6}))?\}$/.exec(
      text,
    )
  const [, epoch, bootId, flushPolicy, directories = '0'] = match ?? []
  if (epoch === undefined || bootId === undefined || flushPolicy === undefined) return undefined
  const directoryCount = Number(directories)
  return { brokerEpoch: Number(epoch), bootId, flushPolicy, directoryCount }
}

/** Empty where the system has no such thing: then nothing is concluded from it. */
function currentBoot(disk: Disk): string {
  const text = readText(disk, bootIdPath).trim()
  return /^[0-9a-f-]{8,64}$/.test(text) ? text : ''
}

/** Empty: absent, or it can't be read, which proves as little. */
function readText(disk: Disk, path: string): string {
  try {
    return disk.readFile(path)?.toString('latin1') ?? ''
  } catch (error) {
    if (error instanceof StorageError) return ''
    throw error
  }
}
