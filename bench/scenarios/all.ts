import type { Scenario } from '../harness/scenario.ts'
import { clients } from './clients.ts'
import { compaction } from './compaction.ts'
import { connections } from './connections.ts'
import { consume } from './consume.ts'
import { groups } from './groups.ts'
import { latency } from './latency.ts'
import { partitions } from './partitions.ts'
import { produce } from './produce.ts'
import { recovery } from './recovery.ts'
import { replication } from './replication.ts'
import { soak } from './soak.ts'
import { start } from './start.ts'
import { streams } from './streams.ts'

/** In the order of a run. */
export const scenarios: readonly Scenario[] = [
  produce,
  consume,
  latency,
  clients,
  streams,
  start,
  recovery,
  partitions,
  connections,
  groups,
  replication,
  compaction,
  soak,
]
