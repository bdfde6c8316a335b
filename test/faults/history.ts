/**
 * What the clients were told and what the logs hold, and the judgement over both.
 *
 * Every load client sends its own numbers 0, 1, 2, … to partition `number % partitionCount`. So the
 * log of a partition must hold, for each client, exactly p, p + n, p + 2n, …: a missing number is a
 * lost or reordered record, one that came before is a duplicate. And each acknowledged number must
 * be at the offset that the acknowledgement named. librdkafka names none for a batch that it takes for
 * acknowledged because a later one is (`rd_kafka_dr_implicit_ack`): that one must be anywhere.
 */

/** Findings; every count must be 0. */
export interface Findings {
  /** Acknowledged, but its offset is beyond the end of the log. */
  lost: number
  /** Acknowledged at an offset where the log holds something else. */
  moved: number
  duplicated: number
  /** A number arrived before a smaller one of the same client and partition. */
  reordered: number
  /** Something already read reads differently now, or an offset is missing in the middle. */
  changed: number
  /** The producer reported an error for a record. */
  refused: number
  readonly examples: string[]
}

const examplesMax = 20

/** Number and client of every record of one partition, by offset. */
class PartitionHistory {
  numbers = new Int32Array(1024)
  clients = new Int8Array(1024)
  /** What was acknowledged for an offset, or -1. */
  acknowledged = new Int32Array(1024).fill(-1)
  nextOffset = 0
  acknowledgedEnd = 0
  /** Acknowledged without an offset. */
  readonly placeless: string[] = []
  acknowledgedCount = 0
  /** The next number expected of each client, by client index. */
  readonly expected: number[] = []

  reserve(offset: number): void {
    if (offset < this.acknowledged.length) return
    const length = Math.max(offset + 1, this.acknowledged.length * 2)
    const acknowledged = new Int32Array(length).fill(-1)
    acknowledged.set(this.acknowledged)
    const numbers = new Int32Array(length)
    numbers.set(this.numbers)
    const clients = new Int8Array(length)
    clients.set(this.clients)
    Object.assign(this, { acknowledged, numbers, clients })
  }
}

export class History {
  readonly findings: Findings = {
    lost: 0,
    moved: 0,
    duplicated: 0,
    reordered: 0,
    changed: 0,
    refused: 0,
    examples: [],
  }
  readonly #clientNames: readonly string[]
  readonly #partitions: PartitionHistory[]

  constructor(clientNames: readonly string[], partitionCount: number) {
    this.#clientNames = clientNames
    this.#partitions = Array.from({ length: partitionCount }, (_, partition) => {
      const history = new PartitionHistory()
      for (const client of clientNames.keys()) history.expected[client] = partition
      return history
    })
  }

  get partitionCount(): number {
    return this.#partitions.length
  }

  get acknowledgedCount(): number {
    return this.#partitions.reduce((sum, { acknowledgedCount }) => sum + acknowledgedCount, 0)
  }

  /** Where reading `partition` goes on. */
  nextOffset(partition: number): number {
    return this.#partitions[partition]!.nextOffset
  }

  /** `offset` is undefined when the client was not told. */
  acknowledge(partition: number, offset: number | undefined, value: string): void {
    const history = this.#partitions[partition]!
    if (offset === undefined) {
      history.placeless.push(value)
      history.acknowledgedCount++
      return
    }
    const [client, number] = this.#parse(value)
    history.reserve(offset)
    const packed = number * this.#clientNames.length + client
    const before = history.acknowledged[offset]!
    if (before !== -1 && before !== packed) {
      this.#find(
        'moved',
        `${partition}/${offset} acknowledged for ${this.#name(before)} and for ${value}`,
      )
    }
    history.acknowledged[offset] = packed
    history.acknowledgedCount++
    history.acknowledgedEnd = Math.max(history.acknowledgedEnd, offset + 1)
    if (offset < history.nextOffset) this.#compare(partition, offset)
  }

  refuse(text: string): void {
    this.#find('refused', text)
  }

  /** The next record of a partition's log. Acknowledgements of it may already be here, or come. */
  take(partition: number, offset: number, value: string): void {
    const history = this.#partitions[partition]!
    if (offset !== history.nextOffset) {
      this.#find('changed', `${partition}: offset ${offset} follows ${history.nextOffset - 1}`)
    }
    const [client, number] = this.#parse(value)
    history.reserve(offset)
    history.numbers[offset] = number
    history.clients[offset] = client
    history.nextOffset = offset + 1
    const expected = history.expected[client]!
    if (number < expected) {
      const again = this.#holds(partition, client, number, offset)
      this.#find(again ? 'duplicated' : 'reordered', `${value} at ${partition}/${offset}`)
    } else {
      if (number > expected)
        this.#find('reordered', `${value}, not ${expected}, at ${partition}/${offset}`)
      history.expected[client] = number + this.partitionCount
    }
    if (history.acknowledged[offset] !== -1) this.#compare(partition, offset)
  }

  /** What was read at `offset`; undefined: nothing was. */
  valueAt(partition: number, offset: number): string | undefined {
    const { numbers, clients, nextOffset } = this.#partitions[partition]!
    if (offset >= nextOffset) return undefined
    return `${this.#clientNames[clients[offset]!]}-${numbers[offset]}`
  }

  /** What somebody else read at `offset`, which must be what the log holds. */
  compareRead(reader: string, partition: number, offset: number, value: string): void {
    const there = this.valueAt(partition, offset)
    if (there !== value) {
      this.#find('changed', `${reader} read ${value} at ${partition}/${offset}, where ${there} is`)
    }
  }

  /** What was read before is beyond the end of the log now. */
  noteShrunk(partition: number): void {
    const { nextOffset } = this.#partitions[partition]!
    this.#find('lost', `${partition} was read up to ${nextOffset - 1}, and ends before that now`)
  }

  /** A reader's offsets must go up one by one. */
  noteSkip(reader: string, partition: number, before: number, offset: number): void {
    this.#find('changed', `${reader} read ${partition}/${offset} behind ${partition}/${before}`)
  }

  /** Behind the last offset that was acknowledged, by partition. */
  acknowledgedEnds(): number[] {
    return this.#partitions.map(({ acknowledgedEnd }) => acknowledgedEnd)
  }

  /**
   * To be called when a log was read to its end. Everything that had been acknowledged when reading
   * began, below `acknowledgedEnd`, must be there; acknowledgements that came meanwhile may be beyond.
   */
  checkNothingLost(partition: number, acknowledgedEnd: number): void {
    const history = this.#partitions[partition]!
    for (let offset = history.nextOffset; offset < acknowledgedEnd; offset++) {
      const packed = history.acknowledged[offset]!
      if (packed !== -1) {
        this.#find(
          'lost',
          `${this.#name(packed)} at ${partition}/${offset}, end ${history.nextOffset}`,
        )
      }
    }
  }

  /** To be called when everything was read that there is. */
  checkPlaceless(): void {
    for (const [partition, { placeless, expected }] of this.#partitions.entries()) {
      for (const value of placeless) {
        const [client, number] = this.#parse(value)
        if (number >= expected[client]!) this.#find('lost', `${value}, anywhere in ${partition}`)
      }
    }
  }

  #holds(partition: number, client: number, number: number, before: number): boolean {
    const history = this.#partitions[partition]!
    for (let offset = 0; offset < before; offset++) {
      if (history.numbers[offset] === number && history.clients[offset] === client) return true
    }
    return false
  }

  #compare(partition: number, offset: number): void {
    const history = this.#partitions[partition]!
    const packed = history.acknowledged[offset]!
    const there = history.numbers[offset]! * this.#clientNames.length + history.clients[offset]!
    if (packed !== there) {
      this.#find('moved', `${partition}/${offset}: ${this.#name(there)}, not ${this.#name(packed)}`)
    }
  }

  #parse(value: string): [client: number, number: number] {
    const dash = value.indexOf('-')
    const client = this.#clientNames.indexOf(value.slice(0, dash))
    if (client === -1) throw new Error(`a record of nobody: ${value.slice(0, 100)}`)
    return [client, Number(value.slice(dash + 1))]
  }

  #name(packed: number): string {
    const client = packed % this.#clientNames.length
    return `${this.#clientNames[client]}-${Math.floor(packed / this.#clientNames.length)}`
  }

  #find(kind: Exclude<keyof Findings, 'examples'>, example: string): void {
    this.findings[kind]++
    if (this.findings.examples.length < examplesMax) {
      this.findings.examples.push(`${kind}: ${example}`)
    }
  }
}

/** All counts of a history's findings together. */
export function violationCount(findings: Findings): number {
  const { lost, moved, duplicated, reordered, changed, refused } = findings
  return lost + moved + duplicated + reordered + changed + refused
}
