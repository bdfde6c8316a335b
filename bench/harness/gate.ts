// Samples begin on an idle machine, and say how idle it stayed.
import { setTimeout as pause } from 'node:timers/promises'
import type { GroupFigures, Interval } from './interval.ts'
import {
  countersOf,
  figuresBetween,
  kernelThreadsMs,
  machineCounters,
  type GroupCounters,
  type MachineCounters,
} from './process-group.ts'

/** So much of a core may be busy, servers that wait included, ... */
const idleCoresMax = 0.25
/** ... for so long without a break. */
const quietMs = 500
const lookEveryMs = 100

/** More foreign work than this, in cores, or steal, and the sample is noisy. */
const noisyCores = 0.2

export function isNoisy(interval: Pick<Interval, 'foreignCores' | 'stealCores'>): boolean {
  return interval.foreignCores > noisyCores || interval.stealCores > noisyCores
}

/** The clock and the counters; tests have their own. */
export interface GateSources {
  nowMs(): number
  busyMs(): number
  pause(ms: number): Promise<unknown>
}

const realSources: GateSources = {
  nowMs: () => performance.now(),
  busyMs: () => machineCounters().busyMs,
  pause,
}

/** Waits until the machine was idle for a second; gives how long that took, or minus so long if it gave up. */
export async function waitForIdle(
  timeoutMs: number,
  signal: AbortSignal,
  sources: GateSources = realSources,
): Promise<number> {
  const beganMs = sources.nowMs()
  let quietSinceMs = beganMs
  let last = { atMs: beganMs, busyMs: sources.busyMs() }
  for (;;) {
    const waitedMs = sources.nowMs() - beganMs
    if (last.atMs - quietSinceMs >= quietMs) return waitedMs
    if (waitedMs >= timeoutMs) return -waitedMs
    signal.throwIfAborted()
    await sources.pause(lookEveryMs)
    const now = { atMs: sources.nowMs(), busyMs: sources.busyMs() }
    // Ticks of 10 ms: one look alone is too coarse for a quarter of a core, but two ticks in 100 ms pass.
    const cores = (now.busyMs - last.busyMs) / (now.atMs - last.atMs)
    if (cores > idleCoresMax) quietSinceMs = now.atMs
    last = now
  }
}

interface Look {
  readonly atMs: number
  readonly servers: GroupCounters
  readonly clients: GroupCounters
  readonly kernelMs: number
  readonly machine: MachineCounters
}

/** Notes what everybody took between its creation and `end`. */
export class IntervalMeter {
  readonly #servers: () => readonly number[]
  readonly #clients: readonly number[]
  readonly #gateMs: number
  readonly #begin: Look

  constructor(options: {
    servers: () => readonly number[]
    clients: readonly number[]
    gateMs: number
  }) {
    this.#servers = options.servers
    this.#clients = options.clients
    this.#gateMs = options.gateMs
    this.#begin = this.#look()
  }

  end(): Interval {
    // The clock first: looking is not part of it.
    const endMs = performance.now()
    const end = this.#look()
    const { machine, kernelMs } = this.#begin
    const wallMs = endMs - this.#begin.atMs
    const servers = figuresBetween(this.#begin.servers, end.servers)
    const clients = figuresBetween(this.#begin.clients, end.clients)
    const spans = {
      wallMs: end.atMs - this.#begin.atMs,
      kernelMs: end.kernelMs - kernelMs,
      busyMs: end.machine.busyMs - machine.busyMs,
    }
    return {
      wallMs,
      servers,
      clients,
      foreignCores: foreignCores(spans, servers, clients),
      kernelCores: spans.kernelMs / spans.wallMs,
      interruptCores: (end.machine.interruptMs - machine.interruptMs) / spans.wallMs,
      stealCores: (end.machine.stealMs - machine.stealMs) / spans.wallMs,
      gateMs: this.#gateMs,
    }
  }

  #look(): Look {
    const servers = countersOf(this.#servers())
    // Servers are children of the harness too: only its own threads count.
    const clients = countersOf(this.#clients, [process.pid])
    const kernelMs = kernelThreadsMs()
    return { servers, clients, kernelMs, machine: machineCounters(), atMs: performance.now() }
  }
}

/** What no process here accounts for. The kernel bills interrupts to whom they interrupt: they are in the sums already. */
function foreignCores(
  spans: { wallMs: number; kernelMs: number; busyMs: number },
  servers: GroupFigures,
  clients: GroupFigures,
): number {
  const foreignMs = spans.busyMs - spans.kernelMs - servers.cpuMs - clients.cpuMs
  return Math.max(foreignMs, 0) / spans.wallMs
}
