/**
 * Which leader epoch wrote which part of a partition: the `leader-epoch-checkpoint` file, one line
 * `epoch startOffset` per epoch (see checkpoint-text.ts). Replicas find out with it where they diverge (KIP-101, KIP-279).
 *
 * Every batch carries its epoch as well, so the table can be rebuilt from the log. The file has no checksum:
 * `agreesWith` checks it against the log.
 *
 * I1: entries strictly increase in epoch and in start offset.
 */
import { assert } from '../../base/assert.ts'
import { decodeLines, encodeLines, parseNatural } from './checkpoint-text.ts'

export interface EpochStart {
  readonly epoch: number
  /** Offset of the first record of this epoch. */
  readonly startOffset: number
}

export interface EpochEnd {
  readonly epoch: number
  /** First offset that does not belong to this epoch. */
  readonly endOffset: number
}

/** No epoch, or no offset, as Kafka's protocol has it. */
export const undefinedEpoch = -1
const undefinedEnd: EpochEnd = { epoch: undefinedEpoch, endOffset: -1 }

export class LeaderEpochs {
  readonly #entries: EpochStart[] = []

  get entries(): readonly EpochStart[] {
    return this.#entries
  }

  get earliest(): EpochStart | undefined {
    return this.#entries[0]
  }

  get latest(): EpochStart | undefined {
    return this.#entries.at(-1)
  }

  /**
   * From `startOffset` on, records belong to `epoch`. Entries that contradict it belonged to a log that was cut:
   * they go. Returns whether the table changed, so that it must be published.
   */
  assign(epoch: number, startOffset: number): boolean {
    assert(epoch >= 0, 'an epoch is not negative')
    assert(startOffset >= 0, 'an offset is not negative')
    const latest = this.latest
    if (latest?.epoch === epoch && latest.startOffset <= startOffset) return false
    for (let last = this.latest; last !== undefined; last = this.latest) {
      if (last.epoch < epoch && last.startOffset < startOffset) break
      this.#entries.pop()
    }
    this.#entries.push({ epoch, startOffset })
    return true
  }

  /** The greatest epoch at or before `epoch` and where it ends; -1 and -1 when `epoch` is later than any known. */
  endOffsetFor(epoch: number, logEndOffset: number): EpochEnd {
    if (epoch === undefinedEpoch) return undefinedEnd
    // A consumer checks its position against the epoch that is being written.
    if (this.latest?.epoch === epoch) return { epoch, endOffset: logEndOffset }
    const nextIndex = this.#entries.findIndex((entry) => entry.epoch > epoch)
    const next = this.#entries[nextIndex]
    if (next === undefined) return undefinedEnd
    // Earlier than all: those records are gone from the log, which now begins with a later epoch.
    return { epoch: this.#entries[nextIndex - 1]?.epoch ?? epoch, endOffset: next.startOffset }
  }

  /** The epoch that wrote `offset`, when it is known. */
  epochFor(offset: number): number | undefined {
    return this.#entries.findLast((entry) => entry.startOffset <= offset)?.epoch
  }

  /** The log was cut at `endOffset`. Returns whether the table changed. */
  truncateFromEnd(endOffset: number): boolean {
    const countBefore = this.#entries.length
    while ((this.latest?.startOffset ?? -1) >= endOffset) this.#entries.pop()
    return this.#entries.length !== countBefore
  }

  /** The log now begins at `startOffset`: the epoch that holds it begins there too. Returns whether the table changed. */
  truncateFromStart(startOffset: number): boolean {
    const keptIndex = this.#entries.findLastIndex((entry) => entry.startOffset <= startOffset)
    const kept = this.#entries[keptIndex]
    if (kept === undefined || (keptIndex === 0 && kept.startOffset === startOffset)) return false
    this.#entries.splice(0, keptIndex + 1, { epoch: kept.epoch, startOffset })
    return true
  }

  /**
   * Whether the table says what the log says. `epochAt` reads the epoch in the header of the batch that holds an
   * offset (undefined: no batch does), from `startOffset` to `endOffset` exclusive; two reads for each entry.
   */
  agreesWith(log: {
    readonly startOffset: number
    readonly endOffset: number
    readonly epochAt: (offset: number) => number | undefined
  }): boolean {
    const says = (offset: number, epoch: number): boolean => {
      if (offset < log.startOffset || offset >= log.endOffset) return true
      return (log.epochAt(offset) ?? epoch) === epoch
    }
    const earliestOffset = this.earliest?.startOffset ?? log.endOffset
    if (log.startOffset < log.endOffset && earliestOffset > log.startOffset) return false
    // An epoch that has begun and not written yet stands at the end of the log; it can't stand beyond.
    if ((this.latest?.startOffset ?? 0) > log.endOffset) return false
    // A file that was not synced may lack the last epochs, so each is looked at where it ends too.
    return this.#entries.every(({ epoch, startOffset }, index) => {
      const endOffset = this.#entries[index + 1]?.startOffset ?? log.endOffset
      return says(startOffset, epoch) && (endOffset <= startOffset || says(endOffset - 1, epoch))
    })
  }

  encode(): string {
    return encodeLines(this.#entries.map((entry) => `${entry.epoch} ${entry.startOffset}`))
  }

  /** Undefined when the file is damaged. */
  static decode(text: string): LeaderEpochs | undefined {
    const lines = decodeLines(text)
    if (lines === undefined) return undefined
    const epochs = new LeaderEpochs()
    for (const line of lines) {
      const [epochText, offsetText, ...rest] = line.split(' ')
      const epoch = parseNatural(epochText)
      const startOffset = parseNatural(offsetText)
      if (epoch === undefined || startOffset === undefined || rest.length > 0) return undefined
      const latest = epochs.latest
      if (latest !== undefined && (epoch <= latest.epoch || startOffset <= latest.startOffset))
        return undefined
      epochs.#entries.push({ epoch, startOffset })
    }
    return epochs
  }
}
