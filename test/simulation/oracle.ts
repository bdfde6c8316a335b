/** What must hold at every moment, whatever fails (reliability I1, I3, I4, I6, I7, I10), and what clients were told. */
import type { Broker } from '../../broker/broker.ts'
import type { ClusterImage, PartitionImage } from '../../broker/metadata/image.ts'
import type { Partition } from '../../broker/replica/partition.ts'
import { readLog, textOf, type Entry } from './log-entries.ts'
import type { World } from './world.ts'

export const topic = 'events'

/** Of one partition, of all brokers and clients together. */
class Story {
  /** What was below a high watermark, by offset. */
  readonly committed: Entry[] = []
  /** What leaders wrote, by epoch and offset. */
  readonly written = new Map<string, string>()
  /** What was acknowledged, by offset. */
  readonly acknowledged = new Map<number, string>()
  acknowledgedEnd = 0
  /** Who led, by epoch. */
  readonly leaders = new Map<number, number>()
  /** As the controller has it. */
  leaderEpoch = -1
  /** Of all that brokers have heard of. */
  latestEpoch = -1
  partitionEpoch = -1
  isr: readonly number[] = []
  /** What each partition epoch was for the first who heard of it. */
  readonly states = new Map<number, string>()
}

interface Seen {
  readonly highWatermark: number
  readonly leaderEpoch: number
  /** Of a leader's log. */
  readonly nextOffset: number
}

const nothingSeen: Seen = { highWatermark: 0, leaderEpoch: -1, nextOffset: 0 }

export class Oracle {
  readonly problems: string[] = []
  readonly #world: World
  readonly #stories = new Map<number, Story>()
  readonly #seen = new WeakMap<Partition, Seen>()
  readonly #heard = new WeakSet<PartitionImage>()
  #metadataEpoch = -1

  constructor(world: World) {
    this.#world = world
  }

  story(index: number): Story {
    const known = this.#stories.get(index) ?? new Story()
    this.#stories.set(index, known)
    return known
  }

  problem(text: string): void {
    const at = this.#world.simulation.scheduler.nowMs.toFixed(0)
    if (this.problems.length < 20) this.problems.push(`${at} ms: ${text}`)
  }

  /** After each event. */
  check(): void {
    for (const [nodeId, broker] of this.#world.brokers) {
      for (let index = 0; index < this.#world.plan.partitionCount; index++) {
        const partition = broker.parts.partitions.hosted(topic, index)
        if (partition !== undefined) this.#look(nodeId, partition)
      }
    }
    for (const { parts } of this.#world.brokers.values()) this.#hear(parts.link.image)
    for (const { image } of this.#world.everyController()) this.#hear(image)
    const image = this.#world.reigning?.image
    if (image !== undefined) this.#checkImage(image)
    this.#checkProposals()
  }

  /** I10: whoever hears of a partition epoch hears the same, though two controllers may believe to reign. */
  #hear(image: ClusterImage): void {
    for (const state of image.topicsByName.get(topic)?.partitions ?? []) {
      if (this.#heard.has(state)) continue
      this.#heard.add(state)
      const { index, partitionEpoch, leader, leaderEpoch, isr } = state
      const text = `leader ${leader} in epoch ${leaderEpoch}, ISR ${isr.join()}`
      const { states } = this.story(index)
      const known = states.get(partitionEpoch)
      if (known !== undefined && known !== text)
        this.problem(`I10: ${index} in partition epoch ${partitionEpoch} has ${known}; and ${text}`)
      states.set(partitionEpoch, text)
    }
  }

  /** A producer was told that this is in the log. */
  acknowledged(index: number, offset: number, values: readonly string[]): void {
    const story = this.story(index)
    for (const [at, value] of values.entries()) {
      const known = story.acknowledged.get(offset + at)
      if (known !== undefined && known !== value)
        this.problem(`${index}@${offset + at} was acknowledged as ${known}, and as ${value}`)
      story.acknowledged.set(offset + at, value)
    }
    story.acknowledgedEnd = Math.max(story.acknowledgedEnd, offset + values.length)
  }

  /** A consumer was given this. */
  read(index: number, entry: Entry): void {
    this.#committed(index, entry, 'a reader')
  }

  #committed(index: number, entry: Entry, who: string): void {
    const { committed } = this.story(index)
    const { offset } = entry
    const known = textOf((committed[offset] ??= entry))
    if (known !== textOf(entry))
      this.problem(`I7: ${index}@${offset} is ${known}, and ${textOf(entry)} for ${who}`)
  }

  #look(nodeId: number, partition: Partition): void {
    const { index, highWatermark, leaderEpoch, log, leads } = partition
    const { nextOffset } = log
    const seen = this.#seen.get(partition) ?? nothingSeen
    const isSame = seen.highWatermark === highWatermark && seen.leaderEpoch === leaderEpoch
    if (isSame && (!leads || seen.nextOffset === nextOffset)) return
    if (highWatermark < seen.highWatermark)
      this.problem(`I6: ${index} on ${nodeId} goes back to ${highWatermark}`)
    const story = this.story(index)
    story.latestEpoch = Math.max(story.latestEpoch, leaderEpoch)
    if (leads) this.#lookAtLeader(nodeId, partition, seen)
    const committedBefore = story.committed.length
    for (const entry of readLog(log, seen.highWatermark, highWatermark))
      this.#committed(index, entry, `${nodeId}`)
    this.#seen.set(partition, { highWatermark, leaderEpoch, nextOffset })
    const image = this.#world.reigning?.image
    if (story.committed.length === committedBefore || image === undefined) return
    const { isr = [] } = image.topicsByName.get(topic)?.partitions[index] ?? {}
    for (const id of isr) this.#checkMember(image, id, index, committedBefore)
  }

  /** One leader in each epoch, which writes each offset once: replicas compare nothing else. */
  #lookAtLeader(
    nodeId: number,
    { index, leaderEpoch, leadership, log }: Partition,
    seen: Seen,
  ): void {
    const { leaders, written } = this.story(index)
    const leader = leaders.get(leaderEpoch)
    if (leader !== undefined && leader !== nodeId)
      this.problem(`${leader} and ${nodeId} lead ${index} in epoch ${leaderEpoch}`)
    leaders.set(leaderEpoch, nodeId)
    const epochStart = leadership?.epochStart ?? log.nextOffset
    const from = seen.leaderEpoch === leaderEpoch ? seen.nextOffset : epochStart
    for (const { offset, value } of readLog(log, from, log.nextOffset)) {
      const place = `${offset} in epoch ${leaderEpoch}`
      const known = written.get(place)
      if (known !== undefined && known !== value)
        this.problem(`I7: ${nodeId} leads ${index} and writes ${value} for ${known} at ${place}`)
      written.set(place, value)
    }
  }

  #checkImage(image: ClusterImage): void {
    // The successor of one that stood still is dead already, and it does not know of it: the store takes nothing from it.
    if (image.controllerEpoch < this.#metadataEpoch) return
    this.#metadataEpoch = image.controllerEpoch
    for (const state of image.topicsByName.get(topic)?.partitions ?? [])
      this.#checkState(image, state)
  }

  #checkState(image: ClusterImage, state: PartitionImage): void {
    const { index, isr, replicas, leaderEpoch, partitionEpoch } = state
    const story = this.story(index)
    if (partitionEpoch !== story.partitionEpoch) {
      if (partitionEpoch < story.partitionEpoch || leaderEpoch < story.leaderEpoch)
        this.problem(`the epochs of ${index} go back to ${leaderEpoch}, ${partitionEpoch}`)
      if (!isr.every((id) => replicas.includes(id)))
        this.problem(`the ISR ${isr.join()} of ${index} is not a part of ${replicas.join()}`)
      story.partitionEpoch = partitionEpoch
      story.leaderEpoch = leaderEpoch
      if (isr.join() !== story.isr.join()) {
        story.isr = isr
        for (const id of isr) this.#checkMember(image, id, index, 0)
      }
    }
    for (const id of isr) this.#checkMember(image, id, index)
  }

  /** I4: whoever a leader asks for may be in sync at any moment. */
  #checkProposals(): void {
    for (const [nodeId, broker] of this.#world.brokers) {
      for (let index = 0; index < this.#world.plan.partitionCount; index++) {
        const leadership = broker.parts.partitions.hosted(topic, index)?.leadership
        if (leadership?.isProposing !== true) continue
        if (leadership.leaderEpoch < this.story(index).latestEpoch) continue
        const { isr, maximalIsr } = leadership
        for (const id of maximalIsr) {
          const follower = isr.includes(id) ? undefined : this.#world.brokers.get(id)
          const isThis = leadership.follower(id)?.brokerEpoch === follower?.parts.lifecycle.epoch
          if (follower !== undefined && isThis)
            this.#checkEnd(follower, index, `${id}, which ${nodeId} wants in the ISR`)
        }
      }
    }
  }

  /** I1: whoever is in sync has everything that was acknowledged, or given to a reader. `from`: what it has is read. */
  #checkMember(image: ClusterImage, id: number, index: number, from = Infinity): void {
    const broker = this.#world.brokers.get(id)
    // Until it has registered, nobody knows what it may have lost.
    if (broker === undefined || broker.parts.lifecycle.epoch !== image.brokers.get(id)?.epoch)
      return
    this.#checkEnd(broker, index, `${id} in the ISR`)
    const log = broker.parts.partitions.hosted(topic, index)?.log
    if (log === undefined || from === Infinity) return
    const { acknowledged, committed } = this.story(index)
    for (const entry of readLog(log, from, log.nextOffset)) {
      const { offset, value } = entry
      const text = textOf(entry)
      const known = acknowledged.get(offset) ?? value
      const seen = textOf(committed[offset] ?? entry)
      if (known !== value || seen !== text)
        this.problem(
          `I1: ${id} in the ISR of ${index} has ${text} for ${known}, ${seen} at ${offset}`,
        )
    }
  }

  #checkEnd({ parts }: Broker, index: number, who: string): void {
    const { acknowledgedEnd, committed } = this.story(index)
    const { nextOffset } = parts.partitions.hosted(topic, index)?.log ?? {}
    const least = Math.max(acknowledgedEnd, committed.length)
    if (nextOffset !== undefined && nextOffset < least)
      this.problem(`I1: ${who} of ${index} ends at ${nextOffset} of ${least}`)
  }

  /** When all is mended: nothing lost, nothing twice, nothing out of order, and all replicas the same. */
  checkLogs(): void {
    for (let index = 0; index < this.#world.plan.partitionCount; index++) this.#checkLogsOf(index)
  }

  #checkLogsOf(index: number): void {
    const { acknowledged, committed } = this.story(index)
    let first: string | undefined
    for (const [nodeId, broker] of this.#world.brokers) {
      const log = broker.parts.partitions.hosted(topic, index)?.log
      if (log === undefined) continue
      const records = [...readLog(log, 0, log.nextOffset)]
      const text = JSON.stringify(records)
      first ??= text
      if (text !== first) this.problem(`I7: the logs of ${index} differ: ${nodeId} has another one`)
      const present = new Map(records.map((entry) => [entry.offset, entry]))
      for (const [offset, value] of acknowledged)
        if (present.get(offset)?.value !== value)
          this.problem(`lost: ${index}@${offset} ${value}, acknowledged, on ${nodeId}`)
      for (const entry of committed) {
        const known = present.get(entry.offset)
        if (known === undefined || textOf(known) !== textOf(entry))
          this.problem(`lost: ${index}@${entry.offset} ${textOf(entry)}, committed, on ${nodeId}`)
      }
      this.#checkOrder(index, records)
    }
  }

  /** Values are "writer-number", numbers ascend. */
  #checkOrder(index: number, records: readonly Entry[]): void {
    const last = new Map<string, number>()
    for (const { offset, value } of records) {
      const [writer = '', number = ''] = value.split('-')
      const before = last.get(writer) ?? -1
      if (Number(number) <= before)
        this.problem(`I14: ${index}@${offset} is ${value}, after ${writer}-${before}`)
      last.set(writer, Number(number))
    }
  }
}
