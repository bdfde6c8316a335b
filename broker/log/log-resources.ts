import type { Env } from '../../base/env.ts'
import type { Logger } from '../../base/logger.ts'
import { SecondChance } from './second-chance.ts'

/** How records get from file to socket. */
export type Transfer = 'mmap' | 'sendfile' | 'read'

/** `ack`: synced before they are acknowledged; `interval`: at times; `os`: when the system likes, and at checkpoints. */
export type FlushPolicy = 'ack' | 'interval' | 'os'

/** What all logs of a broker share. */
export interface LogResources {
  readonly env: Env
  readonly logger: Logger
  readonly transfer: Transfer
  readonly flushPolicy: FlushPolicy
  /** Open files. */
  readonly files: SecondChance
  /** Maps. */
  readonly views: SecondChance
  /** Bytes of memory that the indexes of closed segments take. */
  readonly indexes: SecondChance
}

export interface LogLimits {
  /** Descriptors for segments; what the disk says when absent. */
  readonly openFilesMax?: number
  readonly mapsMax?: number
  readonly indexBytesMax?: number
}

const mapsMaxDefault = 512
const indexBytesMaxDefault = 64 * 1024 * 1024

export function createLogResources(
  options: Pick<LogResources, 'env' | 'logger' | 'transfer' | 'flushPolicy'> & LogLimits,
): LogResources {
  return {
    env: options.env,
    logger: options.logger,
    transfer: options.transfer,
    flushPolicy: options.flushPolicy,
    files: new SecondChance(options.openFilesMax ?? options.env.disk.openFilesMax),
    views: new SecondChance(options.mapsMax ?? mapsMaxDefault),
    indexes: new SecondChance(options.indexBytesMax ?? indexBytesMaxDefault),
  }
}
