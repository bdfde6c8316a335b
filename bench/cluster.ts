// npm run bench -- cluster: three brokers and a controller, each a process of its own on this machine.
import { benchFailover } from './failover.ts'
import { benchReplicated } from './replicated.ts'

export async function benchCluster(options: { rounds: number; quick: boolean }): Promise<void> {
  await benchReplicated({ rounds: Math.min(options.rounds, 7), quick: options.quick })
  await benchFailover({ rounds: options.quick ? 2 : 5 })
}
