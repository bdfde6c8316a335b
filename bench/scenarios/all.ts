import type { Scenario } from '../harness/scenario.ts'
import { produce } from './produce.ts'

/** In the order of a run. */
export const scenarios: readonly Scenario[] = [produce]
