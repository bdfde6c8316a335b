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
  await backUpMetadata(path, { ...options, set: [], dataDir: controllerOf(options) })
}

/** Refused while the controller runs. */
export async function restoreCluster(path: string, options: BackupOptions): Promise<void> {
  await restoreMetadata(path, { ...options, set: [], dataDir: controllerOf(options) })
}

function controllerOf({ dataDir }: BackupOptions): string {
  const directory = new ClusterDirectory(dataDir)
  if (directory.layout() !== undefined) return directory.controllerPath
  throw new CliError({
    code: 'NO_CLUSTER',
    message: `There is no cluster in ${directory.path}`,
    fix: 'use the --data-dir of "millrace cluster start"',
    exitCode: exitCodes.notFound,
  })
}
