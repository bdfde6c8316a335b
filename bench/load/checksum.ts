/**
 * What a log holds, as a number: the sum of the CRCs of its batches modulo 2^48. A batch's CRC covers its contents, not its
 * offset, and a sum does not depend on how the requests of several connections were interleaved; that offsets follow each
 * other without a gap is checked apart.
 */
export class Checksum {
  #sum = 0

  add(crc: number, times = 1): void {
    for (let left = times; left > 0; left -= manyMax) {
      const many = Math.min(left, manyMax)
      this.#sum = (this.#sum + crc * many) % modulus
    }
  }

  toString(): string {
    return this.#sum.toString(16)
  }

  /** Of parts that were summed apart. */
  static of(parts: readonly string[]): string {
    let sum = 0
    for (const part of parts) sum = (sum + Number.parseInt(part, 16)) % modulus
    return sum.toString(16)
  }
}

const modulus = 2 ** 48
/** A CRC has 32 bits: so many of them stay exact. */
const manyMax = 2 ** 20
