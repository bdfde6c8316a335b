/** What goes on beside the attack: the honest client is verified, and deleted topics come back. */
import { createTopics } from '../clients/admin.ts'
import { pause } from '../clients/processes.ts'
import type { Server } from '../clients/server.ts'
import type { History } from '../faults/history.ts'
import type { LoadClient } from '../faults/load.ts'
import { readLogs } from '../faults/verification.ts'
import type { Attacker } from './attacker.ts'
import { topicIds } from './reconnaissance.ts'

/** The topics that the inputs are about. */
export const fuzzTopics: readonly string[] = ['fuzz-0', 'fuzz-1', 'fuzz-2', 'fuzz-3']

interface BesideOptions {
  readonly server: Server
  readonly honest: LoadClient
  readonly honestTopic: string
  readonly history: History
  /** Its ids follow the topics that are made again. */
  readonly world: { topicIds: string[] }
  readonly attacker: Attacker
}

export class Beside {
  readonly findings: string[] = []
  longestStallMs = 0
  readonly #options: BesideOptions
  #stopped = false

  constructor(options: BesideOptions) {
    this.#options = options
  }

  stop(): void {
    this.#stopped = true
  }

  async watch(): Promise<void> {
    let acknowledged = -1
    let since = performance.now()
    for (let tick = 1; !this.#stopped && this.#options.server.exitCode() === undefined; tick++) {
      await pause(100)
      if (this.#options.honest.acknowledgedCount !== acknowledged) {
        acknowledged = this.#options.honest.acknowledgedCount
        since = performance.now()
      }
      this.longestStallMs = Math.max(this.longestStallMs, performance.now() - since)
      if (tick % 20 === 0) await this.#attempt(() => this.#verify())
      if (tick % 300 === 0) console.log(`${this.#options.attacker.report.sent} inputs`)
    }
  }

  /** The honest client ends its work, and everything it sent is there. */
  async finish(): Promise<void> {
    if (this.#options.server.exitCode() === undefined) {
      await this.#attempt(() => this.#options.honest.finish())
      await this.#attempt(() =>
        readLogs(this.#options.server, this.#options.honestTopic, this.#options.history),
      )
      this.#options.history.checkPlaceless()
    }
    await this.#options.honest.kill()
  }

  async #verify(): Promise<void> {
    await readLogs(this.#options.server, this.#options.honestTopic, this.#options.history)
    await createFuzzTopics(this.#options.server)
    this.#options.world.topicIds = await topicIds(this.#options.server, fuzzTopics)
  }

  async #attempt(action: () => Promise<void>): Promise<void> {
    try {
      await action()
    } catch (error) {
      if (this.#options.server.exitCode() === undefined) {
        this.findings.push(`beside the attack: ${String(error)}`)
      }
    }
  }
}

/** One of each kind that matters to Produce. Those that exist stay as they are. */
export async function createFuzzTopics(server: Server): Promise<void> {
  const configs = [
    [],
    [{ name: 'cleanup.policy', value: 'compact' }],
    [{ name: 'message.timestamp.type', value: 'LogAppendTime' }],
    [{ name: 'max.message.bytes', value: '1000' }],
  ]
  const topics = fuzzTopics.map((topic, index) => ({
    topic,
    numPartitions: 3,
    configEntries: configs[index]!,
  }))
  for (const topic of topics) await createTopics(server.address, [topic]).catch(alreadyThere)
}

function alreadyThere(error: unknown): void {
  const { type, errors } = error as { type?: string; errors?: { type?: string }[] }
  const types = [type, ...(errors ?? []).map((each) => each.type)]
  if (!types.includes('TOPIC_ALREADY_EXISTS')) throw error
}
