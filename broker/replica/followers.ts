import type { Partition } from './partition.ts'

/** Copies what others lead. Told by `Partitions` what to copy, and from whom; a repeated call changes the source. */
export interface Followers {
  /** `partition.leaderEpoch` is the epoch to fetch in: called anew whenever it or the leader has changed. */
  follow(partition: Partition, leaderId: number): void
  /** Nothing is fetched for the partition any more, and nothing that is on its way is appended. */
  unfollow(partition: Partition): void
}
