import type { Uuid } from '../../../base/uuid.ts'
import type { ClusterImage, TopicImage } from '../../metadata/image.ts'
import type { GroupSpec, MemberSpec } from './assignor.ts'
import type { Assignment } from './assignment.ts'
import type { ResolvedRegex } from './group-state.ts'
import type { ConsumerMember } from './member.ts'

/** The topics that a regular expression stood for when it was last looked at. */
export type Regexes = ReadonlyMap<string, ResolvedRegex>

/** All names that the members subscribe to, whether such topics exist or not. */
export function subscribedNames(
  members: Iterable<ConsumerMember>,
  regexes: Regexes,
): ReadonlySet<string> {
  const names = new Set<string>()
  const seen = new Set<string>()
  for (const { metadata } of members) {
    for (const name of metadata.subscribedTopicNames) names.add(name)
    const regex = metadata.subscribedTopicRegex
    if (regex === null || seen.has(regex)) continue
    seen.add(regex)
    for (const name of regexes.get(regex)?.topics ?? []) names.add(name)
  }
  return names
}

/**
 * Changes when one of the topics appears, disappears, is made anew or grows. 0: none of them exists.
 * 53 bits of our own; Apache Kafka stores another hash there, and after a move the group rebalances once.
 */
export function metadataHash(names: ReadonlySet<string>, image: ClusterImage): number {
  const found: string[] = []
  for (const name of names) {
    const topic = image.topicsByName.get(name)
    if (topic !== undefined) found.push(`${topic.id}:${topic.partitions.length}`)
  }
  return found.length === 0 ? 0 : hash53(found.sort().join(' '))
}

/** cyrb53: two multiplicative hashes of 32 bits, mixed. */
function hash53(text: string): number {
  let high = 0xdeadbeef
  let low = 0x41c6ce57
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    high = Math.imul(high ^ code, 2_654_435_761)
    low = Math.imul(low ^ code, 1_597_334_677)
  }
  high =
    Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909)
  low =
    Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909)
  return 4_294_967_296 * (2_097_151 & low) + (high >>> 0)
}

/** What an assignor needs: members with the topics that exist, and what each was to have before. */
export function groupSpec(
  members: Iterable<readonly [member: ConsumerMember, targetBefore: Assignment]>,
  regexes: Regexes,
  image: ClusterImage,
): GroupSpec {
  const partitionCounts = new Map<Uuid, number>()
  const topicIds = new Map<string, ReadonlySet<Uuid>>()
  const specs = new Map<string, MemberSpec>()
  for (const [member, targetBefore] of members) {
    const { instanceId, subscribedTopicNames, subscribedTopicRegex } = member.metadata
    // Most groups have one subscription only.
    const key = JSON.stringify([subscribedTopicRegex, [...subscribedTopicNames].sort()])
    let ids = topicIds.get(key)
    if (ids === undefined) {
      ids = resolve(subscribedNames([member], regexes), image, partitionCounts)
      topicIds.set(key, ids)
    }
    specs.set(member.memberId, { instanceId, topicIds: ids, assigned: targetBefore })
  }
  return { members: specs, partitionCounts, homogeneous: topicIds.size <= 1 }
}

function resolve(
  names: ReadonlySet<string>,
  image: ClusterImage,
  partitionCounts: Map<Uuid, number>,
): ReadonlySet<Uuid> {
  const ids = new Set<Uuid>()
  for (const name of [...names].sort()) {
    const topic: TopicImage | undefined = image.topicsByName.get(name)
    if (topic === undefined) continue
    ids.add(topic.id)
    partitionCounts.set(topic.id, topic.partitions.length)
  }
  return ids
}
