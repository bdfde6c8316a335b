// The lines that a group member prints (README.md, "Group members"), and the end of its input.
import { writeSync } from 'node:fs'

/** Written at once: a line is out before the commit that follows it. */
export function print(word, ...rest) {
  say(word, Date.now(), ...rest)
}

export function say(...words) {
  writeSync(1, `${words.join(' ').replaceAll('\n', ' ')}\n`)
}

/** Prints what is owned now, by the difference from what was owned before. */
export class Ownership {
  #owned = []

  assigned(generation, partitions) {
    const lost = this.#owned.filter((partition) => !partitions.includes(partition))
    if (lost.length > 0) print('lost', lost.join(','))
    const gained = partitions.filter((partition) => !this.#owned.includes(partition))
    this.#owned = [...partitions]
    print('assigned', generation, gained.join(','))
  }

  /** Everything, without having been asked to give it up. */
  lost() {
    if (this.#owned.length > 0) print('lost', this.#owned.join(','))
    this.#owned = []
  }

  revoked() {
    print('revoked', this.#owned.join(','))
    this.#owned = []
  }
}

/** NAME=VALUE arguments. */
export function settingsOf(args) {
  return Object.fromEntries(args.map((arg) => arg.split('=')))
}

export function inputEnds() {
  return new Promise((resolve) => process.stdin.on('end', resolve).resume())
}
