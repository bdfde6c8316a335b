import type { Scenario } from '../harness/scenario.ts'
import { connections } from './connections.ts'
import { consume } from './consume.ts'
import { latency } from './latency.ts'
import { produce } from './produce.ts'
import { recovery } from './recovery.ts'
import { start } from './start.ts'

/** In the order of a run. */
export const scenarios: readonly Scenario[] = [
  produce,
  consume,
  latency,
  start,
  recovery,
  connections,
]
