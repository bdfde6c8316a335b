import { Inode } from './inode.ts'
import type { Prng } from './prng.ts'

export type Entry = Directory | Inode

/** One change of names, atomic: `entry` undefined removes. */
type NameChange = ReadonlyMap<string, Entry | undefined>

/** Names, and which of them the medium knows. */
export class Directory {
  readonly entries = new Map<string, Entry>()
  readonly #medium = new Map<string, Entry>()
  readonly #unsynced: NameChange[] = []
  #syncedCount = 0
  modifiedMs = 0

  change(names: NameChange): void {
    this.#unsynced.push(names)
    apply(this.entries, names)
  }

  /** Where a sync that starts now will have to reach. */
  get mark(): number {
    return this.#syncedCount + this.#unsynced.length
  }

  /** Changes before `mark` reach the medium. */
  syncTo(mark: number): void {
    const synced = this.#unsynced.splice(0, Math.max(mark - this.#syncedCount, 0))
    this.#syncedCount += synced.length
    for (const names of synced) apply(this.#medium, names)
  }

  /** A journal: any prefix of the unsynced changes has reached the medium. */
  crash(random: Prng): void {
    this.syncTo(this.#syncedCount + random.below(this.#unsynced.length + 1))
    this.#unsynced.length = 0
    this.entries.clear()
    for (const [name, entry] of this.#medium) {
      this.entries.set(name, entry)
      entry.crash(random)
    }
  }

  /** Every file below. */
  *files(): Iterable<Inode> {
    for (const entry of this.entries.values()) {
      if (entry instanceof Inode) yield entry
      else yield* entry.files()
    }
  }
}

function apply(entries: Map<string, Entry>, names: NameChange): void {
  for (const [name, entry] of names) {
    if (entry === undefined) entries.delete(name)
    else entries.set(name, entry)
  }
}
