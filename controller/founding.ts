import type { Env } from '../base/env.ts'
import type { Logger } from '../base/logger.ts'
import { randomUuid, uuidToText } from '../base/uuid.ts'
import { MetadataFormatError, packValue, unpackValue } from '../protocol/metadata-records/codec.ts'
import type { MetadataKeys } from './keys.ts'
import {
  AmbiguousError,
  revisionOfNothing,
  StoreError,
  type MetadataStore,
  type StoredValue,
} from './store/metadata-store.ts'

export interface Founded {
  readonly clusterId: string
  /** Grows with each restore. */
  readonly generation: number
}

export interface FoundingOptions {
  readonly env: Env
  readonly store: MetadataStore
  readonly logger: Logger
  /** For a store that has no cluster yet; absent: a random one. */
  readonly clusterId?: string
  /** Present: the store may be one that starts at the same time. */
  readonly candidacy?: object
}

const formatVersion = 1
const waitMsMax = 30_000
const retryDelayMs = 500

/** The cluster in the store; an empty store gets one. Waits for a store of others, which may be starting. */
export async function foundOrFind(options: FoundingOptions, keys: MetadataKeys): Promise<Founded> {
  const { env, logger, candidacy } = options
  const startedMs = env.clock.monotonicMs()
  for (;;) {
    try {
      return await foundOrFindNow(options, keys)
    } catch (error) {
      const silent =
        error instanceof AmbiguousError ||
        (error instanceof StoreError && error.code === 'UNREACHABLE')
      const waitedMs = env.clock.monotonicMs() - startedMs
      if (candidacy === undefined || !silent || waitedMs >= waitMsMax) throw error
      logger.warn({ reason: error.message }, 'Waiting for the metadata store')
      await new Promise<void>((resolve) =>
        env.timers.after(retryDelayMs, resolve, { holdsProcess: true }),
      )
    }
  }
}

async function foundOrFindNow(options: FoundingOptions, keys: MetadataKeys): Promise<Founded> {
  const { store, env } = options
  const founded = options.clusterId ?? uuidToText(randomUuid(env.random))
  if ((await store.get(keys.id)) === undefined) await found(store, keys, founded)
  const stored = await store.get(keys.id)
  if (stored === undefined) throw new AmbiguousError('the metadata store has not answered in time')
  return foundedIn(stored)
}

/** Throws `MetadataFormatError` when nothing that this program knows is stored. */
export function foundedIn(stored: StoredValue | undefined): Founded {
  const fields = stored === undefined ? undefined : unpackValue(stored.value)
  if (Array.isArray(fields)) {
    const [clusterId, version, generation] = fields as unknown[]
    if (version !== formatVersion) {
      throw new MetadataFormatError(
        `The metadata store has format ${String(version)}, this program knows ${formatVersion}`,
      )
    }
    if (typeof clusterId === 'string' && typeof generation === 'number') {
      return { clusterId, generation }
    }
  }
  throw new MetadataFormatError('The id of the cluster in the metadata store is damaged')
}

export function generationIn(stored: StoredValue | undefined): number {
  return foundedIn(stored).generation
}

export function foundingValue({ clusterId, generation }: Founded): Buffer {
  return packValue([clusterId, formatVersion, generation])
}

async function found(store: MetadataStore, keys: MetadataKeys, clusterId: string): Promise<void> {
  try {
    await store.transact(
      [{ key: keys.id, revision: revisionOfNothing }],
      [{ kind: 'put', key: keys.id, value: foundingValue({ clusterId, generation: 0 }) }],
    )
  } catch (error) {
    // What counts is what is stored now, whoever wrote it.
    if (!(error instanceof AmbiguousError)) throw error
  }
}
