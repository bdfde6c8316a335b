import { assert } from '../../../base/assert.ts'

/**
 * Picks, of members sorted by how many partitions they have, who gets the next one and who gives one away.
 *
 *   count ^           [##<-]##     Two ranges of equal load: the least loaded members at the left, which grows to
 *         |         ##[####]##     the right, and the most loaded at the right, which grows to the left. Members
 *         | [..->]##[####]##       behind the right range have nothing of this topic to give away.
 *         | [####]##[####]##
 *         +-----------------> members
 *
 * The caller moves the partitions; `sizes` tells the counts as of now.
 */
export class LoadBalancer {
  readonly #sizes: readonly number[]
  readonly #members: number[]
  /** The left range is [0, leastEnd); all in it have `leastCount`, or one more before `nextLeast`. */
  #leastEnd = 0
  #leastCount: number
  #nextLeast = 0
  /** The right range is [mostStart, mostEnd); all in it have `mostCount`, or one less behind `nextMost`. */
  #mostStart: number
  #mostEnd: number
  #mostCount: number
  #nextMost: number

  constructor(members: readonly number[], sizes: readonly number[]) {
    assert(members.length > 0, 'there is somebody to balance')
    this.#sizes = sizes
    this.#members = members.toSorted(
      (one, other) => this.#size(one) - this.#size(other) || one - other,
    )
    this.#leastCount = this.#sizeAt(0) - 1
    this.#mostStart = this.#mostEnd = this.#members.length
    this.#mostCount = this.#sizeAt(this.#members.length - 1) + 1
    this.#nextMost = this.#members.length - 1
    this.imbalance = this.#sizeAt(this.#members.length - 1) - this.#sizeAt(0)
  }

  /** Between the most and the least loaded member, before anything moved. */
  readonly imbalance: number

  get isBalanced(): boolean {
    return this.#mostCount - this.#leastCount <= 1
  }

  /** Who gets the next partition. */
  nextLeastLoaded(): number {
    if (this.#nextLeast >= this.#leastEnd) {
      this.#leastCount++
      while (
        this.#leastEnd < this.#members.length &&
        this.#sizeAt(this.#leastEnd) === this.#leastCount
      ) {
        this.#leastEnd++
      }
      this.#nextLeast = 0
    }
    return this.#memberAt(this.#nextLeast++)
  }

  /** Who gives the next partition away; undefined when nobody can. */
  nextMostLoaded(): number | undefined {
    if (this.#nextMost < this.#mostStart) {
      const isEmpty = this.#mostEnd <= this.#mostStart
      if (isEmpty && this.#mostStart > 0) this.#mostCount = this.#sizeAt(this.#mostStart - 1)
      else this.#mostCount--
      while (this.#mostStart > 0 && this.#sizeAt(this.#mostStart - 1) === this.#mostCount) {
        this.#mostStart--
      }
      this.#nextMost = this.#mostEnd - 1
    }
    return this.#nextMost < 0 ? undefined : this.#memberAt(this.#nextMost--)
  }

  /** The member that `nextMostLoaded` just named has nothing to give. */
  excludeMostLoaded(): void {
    const index = this.#nextMost + 1
    const excluded = this.#memberAt(index)
    this.#mostEnd--
    this.#members[index] = this.#memberAt(this.#mostEnd)
    this.#members[this.#mostEnd] = excluded
  }

  #memberAt(index: number): number {
    const member = this.#members[index]
    assert(member !== undefined, 'the index is of a member')
    return member
  }

  #sizeAt(index: number): number {
    return this.#size(this.#memberAt(index))
  }

  #size(member: number): number {
    return this.#sizes[member] ?? 0
  }
}
