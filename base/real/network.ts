import type { Network } from '../env.ts'
import { dial } from './dial.ts'
import { listen } from './listener.ts'

/** TCP through node:net. */
export const realNetwork: Network = { listen, dial }
