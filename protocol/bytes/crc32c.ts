import { crc32c as native } from '@node-rs/crc32'

/** CRC-32C (Castagnoli), unsigned. Pass the result for the bytes before these to continue a running checksum. */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  return native(bytes, previous)
}
