import { backUpMetadata, restoreMetadata } from '../metadata.ts'
import { CliError } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'
import type { GlobalOptions } from '../options.ts'
import { ClusterDirectory } from './cluster-directory.ts'

export interface BackupOptions extends GlobalOptions {
  /** Of a `cluster start`. */
  readonly dataDir: string
  readonly yes?: boolean
}

/** Copies the metadata to a file; the cluster may run. */
export async function backUpCluster(path: string, options: BackupOptions): Promise<void> {
  await backUpMetadata(path, { ...options, ...controllerOf(options) })
}

/** Refused while the controller runs. */
export async function restoreCluster(path: string, options: BackupOptions): Promise<void> {
  await restoreMetadata(path, { ...options, ...controllerOf(options) })
}

/** What its controller is started with: the store may be elsewhere. */
function controllerOf({ dataDir }: BackupOptions): { dataDir: string; set: readonly string[] } {
  const directory = new ClusterDirectory(dataDir)
  const layout = directory.layout()
  if (layout !== undefined) {
    const set = Object.entries(layout.properties).map(([name, value]) => `${name}=${value}`)
    return { dataDir: directory.controllerPath, set }
  }
  throw new CliError({
    code: 'NO_CLUSTER',
    message: `There is no cluster in ${directory.path}`,
    fix: 'use the --data-dir of "millrace cluster start"',
    exitCode: exitCodes.notFound,
  })
}
