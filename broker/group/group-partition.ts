/** Java's `String.hashCode` and Kafka's `Utils.abs`: where a group lives must not depend on who asks. */
export function partitionOfGroup(groupId: string, partitionCount: number): number {
  let hash = 0
  for (let index = 0; index < groupId.length; index++) {
    hash = (Math.imul(31, hash) + groupId.charCodeAt(index)) | 0
  }
  const positive = hash === -0x8000_0000 ? 0 : Math.abs(hash)
  return positive % partitionCount
}
