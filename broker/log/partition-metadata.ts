/**
 * The `partition.metadata` file says which topic a partition's folder belongs to, since a name can be used again:
 *
 *   version: 0
 *   topic_id: <22 characters of base64url>
 *
 * It has no checksum: an id that the controller does not know means a leftover or damage, so such a folder is set
 * aside, never deleted.
 */
import type { Disk } from '../../base/env.ts'
import type { Uuid } from '../../base/uuid.ts'
import { uuidFromText, uuidToText, zeroUuid } from '../../base/uuid.ts'

export const partitionMetadataFileName = 'partition.metadata'

/** As Kafka writes it, without an end of the last line. */
export function encodePartitionMetadata(topicId: Uuid): string {
  return `version: 0\ntopic_id: ${uuidToText(topicId)}`
}

/** Throws `StorageError`. */
export function writePartitionMetadata(disk: Disk, folder: string, topicId: Uuid): void {
  const bytes = Buffer.from(encodePartitionMetadata(topicId))
  const file = disk.open(`${folder}/${partitionMetadataFileName}`, 'write')
  try {
    file.write([bytes], 0)
    file.truncate(bytes.length)
  } finally {
    file.close()
  }
}

/** Undefined when the file is damaged. */
export function decodePartitionMetadata(text: string): Uuid | undefined {
  const match = /^version: 0\r?\ntopic_id: (\S+)\r?\n?$/.exec(text)
  const topicId = uuidFromText(match?.[1] ?? '')
  // The last character carries four bits that no UUID uses.
  return topicId !== undefined && uuidToText(topicId) === match?.[1] ? topicId : undefined
}

export class TopicIdReader {
  readonly #disk: Disk
  /** Folders are read in the order of their names: the partitions of a topic share the string of its id. */
  #last: { readonly text: string; readonly topicId: Uuid } | undefined

  constructor(disk: Disk) {
    this.#disk = disk
  }

  /** Zero when the file in the folder is missing or damaged. Throws `StorageError`. */
  in(folder: string): Uuid {
    const text = this.#disk.readFile(`${folder}/${partitionMetadataFileName}`)?.toString('latin1')
    if (text === undefined) return zeroUuid
    if (this.#last?.text !== text)
      this.#last = { text, topicId: decodePartitionMetadata(text) ?? zeroUuid }
    return this.#last.topicId
  }
}
