import type { Random } from '../env.ts'

/**
 * sfc32, a small fast generator that passes PractRand. One seed gives the same sequence on every machine.
 * Subsystems take a `split` each, so that one more draw in one of them does not move the others.
 */
export class Prng implements Random {
  readonly #seed: string
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: string) {
    this.#seed = seed
    this.#a = hashText(seed, 0x9e3779b9)
    this.#b = hashText(seed, 0x85ebca6b)
    this.#c = hashText(seed, 0xc2b2ae35)
    for (let warmUp = 0; warmUp < 12; warmUp++) this.word()
  }

  /** An independent generator, the same for the same label. */
  split(label: string): Prng {
    return new Prng(`${this.#seed}/${label}`)
  }

  /** 32 bits, unsigned. */
  word(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  fraction(): number {
    return ((this.word() >>> 5) * 2 ** 26 + (this.word() >>> 6)) / 2 ** 53
  }

  /** An integer in [0, count). */
  below(count: number): number {
    return Math.floor(this.fraction() * count)
  }

  /** In [least, most). */
  between(least: number, most: number): number {
    return least + this.fraction() * (most - least)
  }

  chance(probability: number): boolean {
    return this.fraction() < probability
  }

  bytes(count: number): Buffer {
    const bytes = Buffer.allocUnsafe(count)
    for (let index = 0; index < count; index++) bytes[index] = this.word() & 0xff
    return bytes
  }
}

/** FNV-1a with a final mix, 32 bits. */
export function hashText(text: string, start: number): number {
  let hash = start | 0
  for (let index = 0; index < text.length; index++) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return hash ^ (hash >>> 13)
}
