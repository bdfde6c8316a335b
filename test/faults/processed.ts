/** Which records were acknowledged to the load, and which a member of the group processed. */

const acknowledgedBit = 1
const processedBit = 2
const againBit = 4

export class Processed {
  readonly partitionCount: number
  readonly refusals: string[] = []
  acknowledgedCount = 0
  /** Records that came more than once: allowed, and good to know. */
  againCount = 0
  #missingCount = 0
  readonly #bits: Uint8Array[]

  constructor(partitionCount: number) {
    this.partitionCount = partitionCount
    this.#bits = Array.from({ length: partitionCount }, () => new Uint8Array(4096))
  }

  /** Acknowledged, and not yet processed. */
  get missingCount(): number {
    return this.#missingCount
  }

  acknowledge(partition: number, offset: number): void {
    const bits = this.#reserve(partition, offset)
    bits[offset]! |= acknowledgedBit
    this.acknowledgedCount++
    if ((bits[offset]! & processedBit) === 0) this.#missingCount++
  }

  refuse(text: string): void {
    this.refusals.push(text)
  }

  process(partition: number, offset: number): void {
    const bits = this.#reserve(partition, offset)
    const before = bits[offset]!
    if ((before & processedBit) !== 0) this.againCount++
    else if ((before & acknowledgedBit) !== 0) this.#missingCount--
    bits[offset] = before | processedBit | ((before & processedBit) === 0 ? 0 : againBit)
  }

  /** Whether any offset of [from, to) was processed more than once. */
  wasAgain(partition: number, from: number, to: number): boolean {
    return this.#bits[partition]!.subarray(from, to).some((bits) => (bits & againBit) !== 0)
  }

  missing(): string[] {
    return this.#bits.flatMap((bits, partition) =>
      [...bits.entries()]
        .filter(([, bit]) => bit === acknowledgedBit)
        .map(([offset]) => `${partition}/${offset} was never processed`),
    )
  }

  #reserve(partition: number, offset: number): Uint8Array {
    const bits = this.#bits[partition]!
    if (offset < bits.length) return bits
    const longer = new Uint8Array(Math.max(offset + 1, bits.length * 2))
    longer.set(bits)
    this.#bits[partition] = longer
    return longer
  }
}
