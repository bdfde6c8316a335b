import { isDiskFull } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'

/** Does what only shortens the next recovery: a full disk must not keep logs from being served. */
export async function unlessDiskFull(
  options: { readonly logger: Logger; readonly path: string },
  save: () => Promise<void> | void,
): Promise<void> {
  try {
    await save()
  } catch (error) {
    if (!isDiskFull(error)) throw error
    options.logger.warn({ err: error, path: options.path }, 'The disk is full; records can be read')
  }
}
