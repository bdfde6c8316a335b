/**
 * The `meta.properties` file says to which cluster and node a log directory belongs (Kafka's version 1):
 *
 *   #
 *   #crc32c=<checksum of the lines below, ends of lines included>
 *   cluster.id=...
 *   directory.id=<22 characters of base64url>
 *   node.id=1
 *   version=1
 *
 * The checksum tells a damaged file from another cluster's directory. To Kafka it is a comment, as is the date that
 * Kafka writes in its place; a file without it is taken as it is.
 */
import type { Disk } from '../../base/env.ts'
import type { Uuid } from '../../base/uuid.ts'
import { uuidFromText, uuidToText } from '../../base/uuid.ts'
import { crc32c } from '../../protocol/bytes/crc32c.ts'
import { parseNatural } from './checkpoint-text.ts'

export const metaPropertiesFileName = 'meta.properties'

export interface MetaProperties {
  readonly clusterId: string
  readonly nodeId: number
  /** Kafka's directories may lack it. */
  readonly directoryId: Uuid | undefined
}

export function encodeMetaProperties(properties: MetaProperties): string {
  const lines = [`cluster.id=${escapeValue(properties.clusterId)}`]
  if (properties.directoryId !== undefined)
    lines.push(`directory.id=${uuidToText(properties.directoryId)}`)
  lines.push(`node.id=${properties.nodeId}`, 'version=1', '')
  const body = lines.join('\n')
  return `#\n#crc32c=${crc32c(Buffer.from(body))}\n${body}`
}

/** Undefined when the file is damaged, or of another version. */
export function decodeMetaProperties(text: string): MetaProperties | undefined {
  if (!text.endsWith('\n')) return undefined
  const checksum = /^#\n#crc32c=(\d+)\n/.exec(text)
  if (
    checksum !== null &&
    Number(checksum[1]) !== crc32c(Buffer.from(text.slice(checksum[0].length)))
  )
    return undefined
  const values = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*([#!]|$)/.test(line)) continue
    const match = /^([a-z.]+)=(.*)$/.exec(line)
    if (match === null || match[1] === undefined || match[2] === undefined) return undefined
    values.set(match[1], match[2].replace(/\\(.)/g, '$1'))
  }
  const clusterId = values.get('cluster.id')
  const nodeId = parseNatural(values.get('node.id'))
  const directoryText = values.get('directory.id')
  const directoryId = directoryText === undefined ? undefined : uuidFromText(directoryText)
  if (!clusterId || nodeId === undefined || values.get('version') !== '1') return undefined
  if (directoryText !== undefined && directoryId === undefined) return undefined
  return { clusterId, nodeId, directoryId }
}

/** To which cluster the directories belong; null: none of them says. Whether they agree is checked when they are opened. */
export function clusterIdIn(
  disk: Pick<Disk, 'readFile'>,
  directories: readonly string[],
): string | null {
  for (const directory of directories) {
    const bytes = disk.readFile(`${directory}/${metaPropertiesFileName}`)
    const found = bytes && decodeMetaProperties(bytes.toString('latin1'))
    if (found !== undefined) return found.clusterId
  }
  return null
}

/** As java.util.Properties does, for the characters that a cluster id could hold. */
function escapeValue(value: string): string {
  return value.replace(/[\\:=#! ]/g, '\\$&')
}
