import { randomInt } from 'node:crypto'

/** The same in every run, so that a change is judged by itself: `SEED=random` looks for what no run has met yet. */
let next = 20_261_120

/** Random numbers that a printed seed brings back: `SEED=123 node …test.js`. */
export class Seeded {
  readonly seed: number
  #state: number

  constructor(seed = seedOfEnvironment()) {
    this.seed = seed
    this.#state = seed
  }

  /** An integer from 0 to `end` exclusive. */
  below(end: number): number {
    // mulberry32
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end)
  }

  flip(bytes: Buffer): Buffer {
    const flipped = Buffer.from(bytes)
    const bit = this.below(bytes.length * 8)
    flipped[bit >>> 3]! ^= 1 << (bit & 7)
    return flipped
  }
}

function seedOfEnvironment(): number {
  const given = process.env['SEED']
  if (given === 'random') return randomInt(2 ** 31)
  return given === undefined ? next++ : Number(given)
}
