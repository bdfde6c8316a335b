import { join, resolve } from 'node:path'
import type { Disk, DiskLock } from '../../base/env.ts'
import { publishNow } from '../../base/publish.ts'
import { realDisk } from '../../base/real/disk.ts'
import { CliError } from '../errors.ts'
import { exitCodes } from '../exit-codes.ts'
import { isObject, layoutText, parseJson, parseLayout, type ClusterLayout } from './layout.ts'

/** The processes of a cluster that runs; `run.json` holds it. */
export interface RunningProcesses {
  readonly supervisor: number
  readonly controller: number | undefined
  readonly brokers: readonly BrokerProcess[]
}

export interface BrokerProcess {
  readonly id: number
  readonly processId: number | undefined
  /** Whether it serves. */
  readonly isReady: boolean
}

/**
 * The directory of a local cluster:
 *
 *   cluster.json   who belongs to it, and at which ports
 *   run.json       process ids; valid while somebody holds the lock
 *   .lock          held by the `cluster start` that runs it
 *   controller/    the data directory of the controller
 *   broker-ID/     that of a broker
 */
export class ClusterDirectory {
  readonly path: string
  readonly #disk: Disk = realDisk

  constructor(path: string) {
    this.path = resolve(path)
  }

  get controllerPath(): string {
    return join(this.path, 'controller')
  }

  brokerPath(id: number): string {
    return join(this.path, `broker-${id}`)
  }

  /** For the one process that runs the cluster. */
  lock(): DiskLock {
    this.#disk.makeDirectory(this.path)
    const lock = this.#disk.lock(this.#lockPath)
    if (lock !== undefined) return lock
    throw new CliError({
      code: 'CLUSTER_RUNS',
      message: `Another "millrace cluster start" runs the cluster in ${this.path}`,
      fix: 'stop that one, or choose another --data-dir',
      exitCode: exitCodes.conflict,
    })
  }

  /** Undefined: there was no cluster here yet. */
  layout(): ClusterLayout | undefined {
    const bytes = this.#disk.readFile(this.#layoutPath)
    if (bytes === undefined) return undefined
    const layout = parseLayout(bytes.toString('utf8'))
    if (layout !== undefined) return layout
    throw new CliError({
      code: 'CLUSTER_FILE',
      message: `${this.#layoutPath} is not understood`,
      fix: 'put it back from a backup, or choose another --data-dir',
      exitCode: exitCodes.failed,
    })
  }

  saveLayout(layout: ClusterLayout): void {
    publishNow(this.#disk, this.#layoutPath, Buffer.from(layoutText(layout)))
  }

  saveProcesses(processes: RunningProcesses): void {
    publishNow(this.#disk, this.#runPath, Buffer.from(`${JSON.stringify(processes)}\n`))
  }

  forgetProcesses(): void {
    this.#disk.remove(this.#runPath)
  }

  /** Of the cluster that runs; undefined: none does. */
  processes(): RunningProcesses | undefined {
    if (this.#disk.stat(this.#lockPath) === undefined) return undefined
    const lock = this.#disk.lock(this.#lockPath)
    if (lock !== undefined) {
      lock.release()
      return undefined
    }
    return parseProcesses(this.#disk.readFile(this.#runPath)?.toString('utf8') ?? '')
  }

  get #lockPath(): string {
    return join(this.path, '.lock')
  }

  get #layoutPath(): string {
    return join(this.path, 'cluster.json')
  }

  get #runPath(): string {
    return join(this.path, 'run.json')
  }
}

function parseProcesses(text: string): RunningProcesses | undefined {
  const value = parseJson(text)
  if (!isObject(value) || typeof value['supervisor'] !== 'number') return undefined
  const { supervisor, controller, brokers } = value
  if (!Array.isArray(brokers)) return undefined
  return {
    supervisor,
    controller: processIdOf(controller),
    brokers: (brokers as unknown[]).filter(isObject).map((broker) => ({
      id: Number(broker['id']),
      processId: processIdOf(broker['processId']),
      isReady: broker['isReady'] === true,
    })),
  }
}

function processIdOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value > 1 ? value : undefined
}
