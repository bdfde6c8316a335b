import type { Env } from '../../../base/env.ts'
import type { ClusterImage } from '../../metadata/image.ts'
import { compileTopicPattern } from './regex.ts'

/** Names looked at before the clock is, and how long other work may wait. */
const namesPerLook = 64
const sliceMs = 2

/** Which topics a pattern stands for, as of one offset of the metadata. */
export interface FoundTopics {
  readonly topics: readonly string[]
  readonly version: number
}

/**
 * All topics whose whole names match, Kafka's own excepted, sorted. Undefined: there is no such pattern.
 * Other work goes on meanwhile; topics that come or go during the search count for the next one.
 */
export async function findTopics(
  regex: string,
  image: ClusterImage,
  env: Pick<Env, 'clock' | 'timers'>,
): Promise<FoundTopics | undefined> {
  const pattern = await compileTopicPattern(regex)
  if (pattern === undefined) return undefined
  const version = image.offset
  const topics: string[] = []
  let untilMs = env.clock.monotonicMs() + sliceMs
  let looked = 0
  for (const { name, internal } of image.topicsByName.values()) {
    if (!internal && pattern.matches(name)) topics.push(name)
    if (++looked % namesPerLook !== 0 || env.clock.monotonicMs() < untilMs) continue
    await new Promise<void>((resolve) => {
      env.timers.soon(resolve)
    })
    untilMs = env.clock.monotonicMs() + sliceMs
  }
  return { topics: topics.sort(), version }
}
