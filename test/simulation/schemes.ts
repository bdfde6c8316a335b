/**
 * What chance alone would bring about too rarely: several things that must go wrong one after the other. Each scheme is a
 * story that has cost records in some replicated log; when, for how long and whom it hits is drawn by the seed.
 * They begin when everything is in order, and nothing else happens meanwhile. False: it did not come to the point.
 */
import { topic } from './oracle.ts'
import type { Stage } from './stage.ts'
import { batchRecordsMax } from './writer.ts'

export const schemeKinds = [
  'usurper',
  'late fetch',
  'laggard',
  'another follower',
  'empty return',
  'lost tail',
] as const
export type SchemeKind = (typeof schemeKinds)[number]

type Scheme = (stage: Stage) => Promise<boolean>

const soonMs = 8000

/** Who plays which part in a partition: its leader, and the others by lot. */
interface Cast {
  readonly index: number
  readonly leader: number
  readonly second: number
  readonly third: number
  readonly leaderEpoch: number
}

function castOf(stage: Stage): Cast | undefined {
  const index = stage.random.below(stage.world.plan.partitionCount)
  const state = stage.state(index)
  if (state === undefined) return undefined
  const { leader, leaderEpoch } = state
  const [second, third] = stage.shuffled(stage.world.brokerIds.filter((id) => id !== leader))
  if (second === undefined || third === undefined) return undefined
  return { index, leader, second, third, leaderEpoch }
}

/**
 * The leadership moves to a broker that can't reach the leader before, and back when that one dies: the ends of their logs
 * were written in different epochs, and neither has seen the other's (KIP-279).
 */
const usurper: Scheme = (stage) => usurp(stage, { isLate: stage.random.chance(0.2) })

/** As `usurper`, and a fetch from the first reign of the leader arrives in the second: it tells what was true then (KIP-320). */
const lateFetch: Scheme = (stage) => usurp(stage, { isLate: true })

async function usurp(stage: Stage, { isLate }: { readonly isLate: boolean }): Promise<boolean> {
  const cast = castOf(stage)
  if (cast === undefined) return false
  const { index, leader, second: rival, third, leaderEpoch } = cast
  const isCombined = stage.world.controllerIds.includes(rival)
  if (isCombined) return false
  stage.cut(leader, rival)
  stage.cut(rival, leader)
  if (isLate) stage.cut(third, leader)
  await stage.pause(50, 1200)
  stage.prefer(index, [rival, leader, third])
  const isUsurped = await stage.until(soonMs, () => stage.leads(rival, index, leaderEpoch + 1))
  // Long enough for its followers to hear of it, and for some records.
  await stage.pause(20, 700)
  if (!isUsurped || stage.world.down.has(rival)) return false
  stage.world.kill(rival)
  const isBack = await stage.until(soonMs, () => stage.leads(leader, index, leaderEpoch + 2))
  await stage.pause(0, 300)
  stage.mendCuts()
  await stage.pause(0, 500)
  return isBack
}

/**
 * A follower falls behind and leaves the ISR; what waited for it is committed, and the leader dies before the other follower
 * hears how far. The high watermark that this one knows says nothing of what the laggard lacks (KIP-320, rule 4).
 */
const laggard: Scheme = async (stage) => {
  const cast = castOf(stage)
  if (cast === undefined) return false
  const { index, leader, second: heir, third: behind } = cast
  if (stage.world.controllerIds.includes(leader)) return false
  stage.cut(leader, behind)
  stage.cut(behind, leader)
  const { world } = stage
  const isBehind = await stage.until(soonMs, () => {
    const { partitions } = world.brokers.get(leader)?.parts ?? {}
    const { isr } = partitions?.hosted(topic, index)?.leadership ?? {}
    return isr !== undefined && !isr.includes(behind)
  })
  stage.cut(leader, heir)
  await stage.pause(1, 50)
  if (isBehind && !world.down.has(leader)) world.kill(leader)
  const isInherited = await stage.until(soonMs, () => stage.leads(heir, index, 0))
  await stage.pause(0, 1000)
  return isBehind && isInherited
}

/** What a follower has asked for arrives when it is another one, on an empty disk (KIP-903). */
const anotherFollower: Scheme = async (stage) => {
  const cast = castOf(stage)
  if (cast === undefined) return false
  const { leader, second: other, third: follower } = cast
  const { world } = stage
  if (world.controllerIds.includes(follower)) return false
  // Nothing is committed any more: the old fetch goes as far as the log of the leader does.
  stage.cut(other, leader)
  stage.cut(follower, leader)
  await stage.pause(200, 1000)
  const before = world.brokers.get(follower)?.parts.lifecycle.epoch ?? Infinity
  if (!stage.mayLoseDisk(follower)) return false
  world.replaceDisk(follower)
  // Else it is heard that the connection is broken, and what was sent over it is lost.
  stage.cut(leader, follower)
  await stage.pause(1, 1000)
  stage.start(follower)
  const isAnother = await stage.until(soonMs, () => {
    const { epoch = -1, fenced = true } = world.reigning?.image.brokers.get(follower) ?? {}
    return epoch > before && !fenced
  })
  stage.mend(follower, leader)
  await stage.pause(10, 300)
  return isAnother
}

/** All go at once, and the first that comes back has lost everything: it must not lead, though it was in sync. */
const emptyReturn: Scheme = async (stage) => {
  const { world } = stage
  if (world.controllerIds.some((id) => world.brokerIds.includes(id))) return false
  // An event of its own: what has just begun in one of them would run on after its end.
  await stage.pause(0, 50)
  for (const id of world.brokerIds) if (!world.down.has(id)) world.kill(id)
  const areGone = await stage.until(soonMs, () => {
    const brokers = [...(world.reigning?.image.brokers.values() ?? [])]
    return brokers.length > 0 && brokers.every(({ fenced }) => fenced)
  })
  const victims = world.brokerIds.filter((id) => {
    const isTrusted = stage.states().some(({ isr }) => isr.includes(id))
    return isTrusted && world.down.has(id) && stage.mayLoseDisk(id)
  })
  const [victim] = stage.shuffled(victims)
  if (areGone && victim !== undefined) {
    world.replaceDisk(victim)
    stage.start(victim)
    await stage.pause(100, 4000)
  }
  for (const id of stage.shuffled(world.brokerIds)) {
    await stage.pause(0, 300)
    stage.start(id)
  }
  return areGone && victim !== undefined
}

/** A leader loses what nobody has acknowledged, and is back before another one is elected. */
const lostTail: Scheme = async (stage) => {
  const { world } = stage
  const [combined] = world.controllerIds.filter((id) => world.brokerIds.includes(id))
  const cast = castOf(stage)
  if (cast === undefined) return false
  const { index, leader: current, leaderEpoch } = cast
  const leader = combined ?? current
  if (leader !== current) {
    const others = stage.shuffled(world.brokerIds.filter((id) => id !== leader))
    stage.prefer(index, [leader, ...others])
    if (!(await stage.until(soonMs, () => stage.leads(leader, index, leaderEpoch)))) return false
  }
  const { disk } = world.envOf(leader)
  const { syncMs } = disk
  disk.syncMs = [50, 500]
  const hasTail = await stage.until(soonMs, () => {
    const { log } = world.brokers.get(leader)?.parts.partitions.hosted(topic, index) ?? {}
    return log !== undefined && log.nextOffset > log.durableOffset + batchRecordsMax
  })
  await stage.pause(0, 50)
  const mayHappen = hasTail && world.plan.flushPolicy === 'ack' && !world.down.has(leader)
  if (mayHappen) world.cutPower(leader)
  disk.syncMs = syncMs
  await stage.pause(1, 500)
  stage.start(leader)
  return mayHappen
}

export const schemes: Readonly<Record<SchemeKind, Scheme>> = {
  usurper,
  'late fetch': lateFetch,
  laggard,
  'another follower': anotherFollower,
  'empty return': emptyReturn,
  'lost tail': lostTail,
}
