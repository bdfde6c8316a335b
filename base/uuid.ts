/** A UUID is 32 lower-case hexadecimal digits in memory, 16 bytes on the wire, 22 characters of base64url in text. */
export type Uuid = string

export const zeroUuid: Uuid = '0'.repeat(32)

/** Kafka's text form: `partition.metadata`, tools, logs. */
export function uuidToText(uuid: Uuid): string {
  return Buffer.from(uuid, 'hex').toString('base64url')
}

/** Undefined unless `text` is Kafka's text form. */
export function uuidFromText(text: string): Uuid | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.length === 16 && /^[A-Za-z0-9_-]{22}$/.test(text) ? bytes.toString('hex') : undefined
}

/** A version 4 UUID that is never zero, never the reserved 1, and never begins with "-" in text, like Kafka's. */
export function randomUuid(random: { bytes(count: number): Buffer }): Uuid {
  for (;;) {
    const bytes = random.bytes(16)
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
    const uuid = bytes.toString('hex')
    if (!uuidToText(uuid).startsWith('-')) return uuid
  }
}
