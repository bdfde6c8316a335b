/** What must hold at every moment, whatever fails (reliability I1, I3, I6, I7, I10), and what clients were told. */
import type { PartitionLog } from '../../broker/log/partition-log.ts'
import type { ClusterImage, PartitionImage } from '../../broker/metadata/image.ts'
import type { Partition } from '../../broker/replica/partition.ts'
import { recordsIn, take, type ReadRecord } from '../broker/log/log-support.ts'
import type { World } from './world.ts'

export const topic = 'events'

/** Of one partition, of all brokers and clients together. */
class Story {
  /** What was below a high watermark, by offset. */
  readonly committed: string[] = []
  /** What was acknowledged, by offset. */
  readonly acknowledged = new Map<number, string>()
  acknowledgedEnd = 0
  /** Who led, by epoch. */
  readonly leaders = new Map<number, number>()
  leaderEpoch = -1
  partitionEpoch = -1
  isr = ''
  /** What each partition epoch was for the first who heard of it. */
  readonly states = new Map<number, string>()
}

interface Seen {
  highWatermark: number
  leaderEpoch: number
}

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
    for (const { controller } of this.#world.controllers.values()) this.#hear(controller.image)
    const image = this.#world.reigning?.image
    if (image !== undefined) this.#checkImage(image)
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
  read(index: number, { offset, value }: ReadRecord): void {
    this.#committed(index, { offset, value }, 'a reader')
  }

  #committed(index: number, { offset, value }: ReadRecord, who: string): void {
    const { committed } = this.story(index)
    const known = (committed[offset] ??= value)
    if (known !== value) this.problem(`I7: ${index}@${offset} is ${known}, and ${value} for ${who}`)
  }

  #look(nodeId: number, partition: Partition): void {
    const { index, highWatermark, leaderEpoch, log } = partition
    const seen = this.#seen.get(partition) ?? { highWatermark: 0, leaderEpoch: -1 }
    if (seen.highWatermark === highWatermark && seen.leaderEpoch === leaderEpoch) return
    if (highWatermark < seen.highWatermark)
      this.problem(`I6: ${index} on ${nodeId} goes back to ${highWatermark}`)
    if (partition.leads) {
      const { leaders } = this.story(index)
      const leader = leaders.get(leaderEpoch)
      if (leader !== undefined && leader !== nodeId)
        this.problem(`${leader} and ${nodeId} lead ${index} in epoch ${leaderEpoch}`)
      leaders.set(leaderEpoch, nodeId)
    }
    for (const record of readLog(log, seen.highWatermark, highWatermark))
      this.#committed(index, record, `${nodeId}`)
    this.#seen.set(partition, { highWatermark, leaderEpoch })
  }

  #checkImage(image: ClusterImage): void {
    if (image.controllerEpoch < this.#metadataEpoch)
      this.problem(`controller epoch ${image.controllerEpoch} after ${this.#metadataEpoch}`)
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
      const members = isr.join()
      if (members !== story.isr) {
        story.isr = members
        for (const id of isr) this.#checkMember(image, id, index, 'whole')
      }
    }
    for (const id of isr) this.#checkMember(image, id, index, 'end')
  }

  /** I1: whoever is in sync has everything that was acknowledged. */
  #checkMember(image: ClusterImage, id: number, index: number, what: 'whole' | 'end'): void {
    const broker = this.#world.brokers.get(id)
    const partition = broker?.parts.partitions.hosted(topic, index)
    if (broker === undefined || partition === undefined) return
    // Until it has registered, nobody knows what it may have lost.
    if (broker.parts.lifecycle.epoch !== image.brokers.get(id)?.epoch) return
    const { acknowledged, acknowledgedEnd } = this.story(index)
    const { nextOffset } = partition.log
    if (nextOffset < acknowledgedEnd)
      this.problem(`I1: ${id} in the ISR of ${index} ends at ${nextOffset} of ${acknowledgedEnd}`)
    if (what === 'end') return
    for (const { offset, value } of readLog(partition.log, 0, nextOffset)) {
      const known = acknowledged.get(offset)
      if (known !== undefined && known !== value)
        this.problem(`I1: ${id} in the ISR of ${index} has ${value} for ${known} at ${offset}`)
    }
  }

  /** When all is mended: nothing lost, nothing twice, nothing out of order, and all replicas the same. */
  checkEnd(): void {
    for (let index = 0; index < this.#world.plan.partitionCount; index++) this.#checkLogs(index)
  }

  #checkLogs(index: number): void {
    const { acknowledged, committed } = this.story(index)
    let first: string | undefined
    for (const [nodeId, broker] of this.#world.brokers) {
      const log = broker.parts.partitions.hosted(topic, index)?.log
      if (log === undefined) continue
      const records = [...readLog(log, 0, log.nextOffset)]
      const text = JSON.stringify(records)
      first ??= text
      if (text !== first) this.problem(`I7: the logs of ${index} differ: ${nodeId} has another one`)
      const present = new Map(records.map(({ offset, value }) => [offset, value]))
      for (const [offset, value] of acknowledged)
        if (present.get(offset) !== value)
          this.problem(`lost: ${index}@${offset} ${value} on ${nodeId}: ${present.get(offset)}`)
      for (const [offset, value] of committed.entries())
        if (present.get(offset) !== value)
          this.problem(`lost: ${index}@${offset} ${value} was read, ${nodeId} has it not`)
      this.#checkOrder(index, records)
    }
  }

  /** Values are "writer-number", numbers ascend. */
  #checkOrder(index: number, records: readonly ReadRecord[]): void {
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

export function* readLog(log: PartitionLog, from: number, end: number): Generator<ReadRecord> {
  for (let offset = Math.max(from, log.logStartOffset); offset < end;) {
    const limits = { bytesMax: 1 << 20, atLeastOneBatch: true, offsetMax: end }
    const read = log.read(offset, limits)
    if (!read.ok || read.payload === undefined) return
    for (const record of recordsIn(take(read.payload)))
      if (record.offset >= offset && record.offset < end) yield record
    offset = read.nextOffset
  }
}
