import { resolve } from 'node:path'
import { StorageError, type DiskLock, type Env } from '../base/env.ts'
import type { Logger } from '../base/logger.ts'
import { etcdEndpoints } from '../broker/cluster-properties.ts'
import {
  ConfigError,
  configSchema,
  controllerListenerOf,
  logDirectoriesOf,
  type BrokerConfig,
} from '../broker/config.ts'
import type { SessionOptions } from './cluster-control.ts'
import { Controller } from './controller.ts'
import type { ControllerServer } from './controller-server.ts'
import type { Candidacy, WriterState } from './metadata-writer.ts'
import type { EtcdOptions } from './store/etcd.ts'
import type { MetadataStore } from './store/metadata-store.ts'

export interface ControllerProcessOptions {
  readonly env: Env
  readonly logger: Logger
  readonly config: BrokerConfig
  /** Instead of what the configuration says; it is closed in the end. */
  readonly store?: MetadataStore | undefined
  /** Told when this process must not go on. */
  readonly failed: (error: unknown) => void
}

/** The controller can't start or go on. `code` is for programs, the message tells what to do. */
export class ControllerError extends Error {
  override readonly name = 'ControllerError'
  readonly code: 'DATA_DIRECTORY_LOCKED' | 'FENCED'
  constructor(code: ControllerError['code'], message: string) {
    super(message)
    this.code = code
  }
}

/** Longer than any failover of etcd that was measured. */
const candidacy: Candidacy = { silenceMs: 4_000, pollMs: 200 }

interface Parts {
  readonly controller: Controller
  readonly server: ControllerServer | undefined
  readonly lock: DiskLock | undefined
}

/** A controller as the configuration says: on its store, and on its port if it has one. */
export class ControllerProcess {
  readonly controller: Controller
  readonly #server: ControllerServer | undefined
  readonly #lock: DiskLock | undefined
  #stopping: Promise<void> | undefined

  private constructor({ controller, server, lock }: Parts) {
    this.controller = controller
    this.#server = server
    this.#lock = lock
  }

  /**
   * Resolves when it reigns. Rejects with `ConfigError`, `ControllerError`, `StoreError`, `StorageError`, `NetworkError`;
   * then everything that was opened is closed again.
   */
  static async start(options: ControllerProcessOptions): Promise<ControllerProcess> {
    const undo: (() => Promise<void> | void)[] = []
    try {
      return new ControllerProcess(await open(options, undo))
    } catch (error) {
      for (const step of undo.reverse()) await step()
      throw error
    }
  }

  /** Where brokers reach it; undefined: it serves its own process only. */
  get port(): number | undefined {
    return this.#server?.port
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    try {
      await this.#server?.close()
      await this.controller.close()
    } finally {
      this.#lock?.release()
    }
  }
}

async function open(
  options: ControllerProcessOptions,
  undo: (() => Promise<void> | void)[],
): Promise<Parts> {
  const { env, logger, config, failed } = options
  const isLocal = options.store === undefined && etcdEndpoints(config.metadataStore) === undefined
  const lock = isLocal ? lockMetadata(env, config) : undefined
  if (lock !== undefined) undo.push(() => lock.release())
  const server = await listen(options)
  if (server !== undefined) undo.push(() => server.close())
  const controller = await Controller.open({
    env,
    store: options.store ?? (await openStore(env, config)),
    nodeId: config.nodeId,
    config,
    schema: configSchema,
    logger,
    sessions: sessionsOf(config),
    ...candidacyOf(config, server),
    onFenced: (reason) => failed(new ControllerError('FENCED', reason)),
  })
  if (server !== undefined) follow(controller, server)
  return { controller, server, lock }
}

/** In a store that other controllers share it waits for its turn. */
function candidacyOf(
  config: BrokerConfig,
  server: ControllerServer | undefined,
): { candidacy?: Candidacy; endpoints?: readonly string[] } {
  if (server === undefined || etcdEndpoints(config.metadataStore) === undefined) return {}
  const { host = '' } = controllerListenerOf(config) ?? {}
  // Nobody can be sent to all addresses of a machine.
  if (host === '0.0.0.0' || host === '::') return { candidacy }
  const place = `${host.includes(':') ? `[${host}]` : host}:${server.port}`
  return { candidacy, endpoints: [place] }
}

/** Brokers are served while the controller reigns, and while it has lost its store: most often nobody else can reign then. */
function follow(controller: Controller, server: ControllerServer): void {
  const hint = (): string | null => controller.leader?.endpoints[0] ?? null
  const apply = (state: WriterState): void => {
    if (state === 'reigning' || state === 'suspended') server.serve(controller)
    else server.standBy(hint)
  }
  controller.subscribeState(apply)
  apply(controller.state)
}

function sessionsOf(config: BrokerConfig): SessionOptions {
  return {
    timeoutMs: config.brokerSessionTimeoutMs,
    heartbeatIntervalMs: config.brokerHeartbeatIntervalMs,
    localBrokerId: localBrokerIdOf(config),
  }
}

function localBrokerIdOf({ processRoles, nodeId }: BrokerConfig): number | undefined {
  return processRoles.includes('broker') ? nodeId : undefined
}

/** What brokers of other processes need is loaded where there may be some. */
async function listen({
  env,
  logger,
  config,
  failed,
}: ControllerProcessOptions): Promise<ControllerServer | undefined> {
  const place = controllerListenerOf(config)
  if (place === undefined) return undefined
  const { ControllerServer: Server } = await loadServer()
  return Server.listen({ env, logger, ...place, localBrokerId: localBrokerIdOf(config), failed })
}

interface ServerModule {
  readonly ControllerServer: typeof ControllerServer
}

let server: Promise<ServerModule> | undefined

/** Simulated worlds do it beforehand: their time does not stand still while a module is loaded. */
export function loadServer(): Promise<ServerModule> {
  server ??= import('./controller-server.ts')
  return server
}

/** Before anything else: a second controller on the same store would fence the first. */
export function lockMetadata(env: Env, config: BrokerConfig): DiskLock {
  const directory = metadataDirectory(config)
  env.disk.makeDirectory(directory)
  const lock = env.disk.lock(`${directory}/.lock`)
  if (lock !== undefined) return lock
  throw new ControllerError(
    'DATA_DIRECTORY_LOCKED',
    `${directory} is in use by another process: stop that one, or choose another --data-dir`,
  )
}

/** Absolute: `log.dirs` may be relative to where the process started. */
function metadataDirectory(config: BrokerConfig): string {
  const folder = config.metadataLogDir ?? logDirectoriesOf(config)[0]
  if (folder === undefined) throw new ConfigError('log.dirs names no directory')
  return resolve(folder, 'metadata')
}

/** What `metadata.store` names. */
export async function openStore(env: Env, config: BrokerConfig): Promise<MetadataStore> {
  const endpoints = etcdEndpoints(config.metadataStore)
  if (endpoints === undefined) {
    const { LmdbStore } = await import('./store/lmdb.ts')
    return LmdbStore.open(`${metadataDirectory(config)}/metadata.mdb`, env.disk)
  }
  const { EtcdStore } = await import('./store/etcd.ts')
  return new EtcdStore({ env, endpoints, ...etcdAccess(env, config) })
}

/** Files are read anew at each new connection, so that certificates can be renewed while this runs. */
function etcdAccess(env: Env, config: BrokerConfig): Pick<EtcdOptions, 'tls' | 'user'> {
  const { metadataStoreCaFile, metadataStoreCertificateFile, metadataStoreKeyFile } = config
  const files = {
    ca: metadataStoreCaFile,
    certificate: metadataStoreCertificateFile,
    key: metadataStoreKeyFile,
  }
  const isSecure = Object.values(files).some((file) => file !== undefined)
  const { metadataStoreUser: name, metadataStorePasswordFile: passwordFile } = config
  if ((name === undefined) !== (passwordFile === undefined)) {
    throw new ConfigError(
      'metadata.store.user and metadata.store.password.file belong together: set both or none',
    )
  }
  return {
    ...(isSecure ? { tls: () => readTls(env, files) } : {}),
    ...(name === undefined || passwordFile === undefined
      ? {}
      : { user: { name, password: readSecret(env, passwordFile).toString('utf8').trim() } }),
  }
}

function readTls(
  env: Env,
  files: Readonly<Record<'ca' | 'certificate' | 'key', string | undefined>>,
): { ca?: Buffer; certificate?: Buffer; key?: Buffer } {
  const { ca, certificate, key } = files
  return {
    ...(ca === undefined ? {} : { ca: readSecret(env, ca) }),
    ...(certificate === undefined ? {} : { certificate: readSecret(env, certificate) }),
    ...(key === undefined ? {} : { key: readSecret(env, key) }),
  }
}

function readSecret(env: Env, path: string): Buffer {
  const bytes = env.disk.readFile(resolve(path))
  if (bytes !== undefined) return bytes
  throw new StorageError(`${path} is not there: metadata.store needs it`, { code: 'ENOENT', path })
}
