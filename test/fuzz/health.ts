/** How the broker's process is doing: memory, event loop, what it logs, whether it lives. */
import { existsSync, readFileSync } from 'node:fs'

import type { Server } from '../clients/server.ts'

export interface LoopDelays {
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly max: number
}

export class Health {
  /** Megabytes of resident memory. */
  readonly baselineMb: number
  highestMb: number
  readonly #server: Server
  readonly #timer: NodeJS.Timeout

  constructor(server: Server) {
    this.#server = server
    this.baselineMb = this.#residentMb()
    this.highestMb = this.baselineMb
    this.#timer = setInterval(() => {
      this.highestMb = Math.max(this.highestMb, this.#residentMb())
    }, 200)
  }

  get residentMb(): number {
    return this.#residentMb()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Log lines of level error and above, and what Node itself prints about a bug. */
  complaints(): string[] {
    return this.#server
      .errorOutput()
      .split('\n')
      .filter((line) =>
        /"level":[56]0|unhandled|uncaught|assert|^error:|    at .*\.js:/i.test(line),
      )
      .map((line) => line.slice(0, 600))
      .slice(0, 20)
  }

  #residentMb(): number {
    try {
      const status = readFileSync(`/proc/${this.#server.processId}/status`, 'utf8')
      return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024
    } catch {
      return 0 // Gone.
    }
  }
}

/** As loop-probe.mjs wrote it; undefined for a broker that is no Node process. */
export function readLoopDelays(file: string): LoopDelays | undefined {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as LoopDelays) : undefined
}
