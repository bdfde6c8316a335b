// What a cluster of brokers and a controller does, each a process of its own on this machine.
import { benchCatchUp } from './cluster/catch-up.ts'
import { benchController } from './cluster/controller.ts'
import { benchFailover } from './cluster/failover.ts'
import { benchIdle } from './cluster/idle.ts'
import { benchReplication } from './cluster/replication.ts'
import { publish, type Row } from './lib/report.ts'
import { withFolder } from './lib/work-folder.ts'

const gibibyte = 2 ** 30

export async function benchCluster(options: { rounds: number; quick: boolean }): Promise<void> {
  const { quick } = options
  const rounds = Math.min(options.rounds, quick ? 5 : 15)
  const failures = { rounds: quick ? 3 : 9, frozenRounds: quick ? 1 : 3 }
  const sampleBytes = quick ? gibibyte / 8 : gibibyte / 4
  const catchUp = { rounds: quick ? 2 : 5, bytes: quick ? gibibyte : 4 * gibibyte }
  const parts: Record<string, (folder: string) => Promise<Row[]>> = {
    replication: (folder) => benchReplication({ folder, rounds, sampleBytes }),
    'catch-up': (folder) => benchCatchUp({ folder, ...catchUp }),
    idle: (folder) => benchIdle({ folder, sampleMs: quick ? 10_000 : 60_000 }),
    controller: () => benchController({ rounds: quick ? 3 : 7 }),
    failover: (folder) => benchFailover({ folder, ...failures }),
  }
  // BENCH_CLUSTER=idle,controller takes these only.
  const wanted = process.env['BENCH_CLUSTER']?.split(',') ?? Object.keys(parts)
  const rows: Row[] = []
  const errors: unknown[] = []
  for (const [name, part] of Object.entries(parts)) {
    if (!wanted.includes(name)) continue
    process.stderr.write(`cluster: ${name}\n`)
    try {
      rows.push(...(await withFolder(part)))
    } catch (error) {
      errors.push(error)
    }
  }
  publish({ name: 'cluster', setting: { brokers: 3, quick: String(quick) }, rows })
  if (errors.length > 0) throw new AggregateError(errors, 'Not everything was measured')
}
