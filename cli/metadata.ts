import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createRealEnv } from '../base/real/real-env.ts'
import { etcdEndpoints } from '../broker/cluster-properties.ts'
import { backUpTo, restore } from '../controller/backup.ts'
import { lockMetadata, openStore } from '../controller/controller-process.ts'
import { confirmed } from './confirmation.ts'
import { CliError } from './errors.ts'
import { exitCodes } from './exit-codes.ts'
import { configOf, type ConfigOptions } from './start.ts'

/** Copies the metadata to a file; the controller may run. */
export async function backUpMetadata(path: string, options: ConfigOptions): Promise<void> {
  const env = createRealEnv()
  const store = await openStore(env, configOf(options))
  try {
    const { bytes } = await backUpTo(resolve(path), { store, disk: env.disk })
    process.stderr.write(`${bytes} bytes of metadata are in ${path}\n`)
  } finally {
    await store.close()
  }
}

/** Puts a backup into the store; without one, makes what is there newer than all that brokers have seen. */
export async function restoreMetadata(
  path: string | undefined,
  options: ConfigOptions & { readonly yes?: boolean },
): Promise<void> {
  const backup = path === undefined ? undefined : readBackup(path)
  const config = configOf(options)
  const question =
    backup === undefined
      ? 'Raise all epochs of the metadata that is there?'
      : 'Replace the metadata that is there?'
  await confirmed(question, options.yes)
  const env = createRealEnv()
  const isLocal = etcdEndpoints(config.metadataStore) === undefined
  const lock = isLocal ? lockMetadata(env, config) : undefined
  try {
    const store = await openStore(env, config)
    try {
      const { clusterId, topicCount, epoch } = await restore(store, backup)
      process.stderr.write(
        `Cluster ${clusterId} is restored with ${topicCount} topics, controller epoch ${epoch}: ` +
          'start the controllers again; brokers that ran meanwhile end, and must be started again\n',
      )
    } finally {
      await store.close()
    }
  } finally {
    lock?.release()
  }
}

function readBackup(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw new CliError({
      code: 'BACKUP_FILE',
      message: `The backup ${path} can't be read`,
      why: error instanceof Error ? error.message : String(error),
      exitCode: exitCodes.notFound,
    })
  }
}
