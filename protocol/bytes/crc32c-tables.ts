/** The Castagnoli polynomial, bits reversed. */
const polynomial = 0x82f63b78
const slices = 8

/** Table n has the effect of a byte that n more bytes follow (slicing-by-8, Intel 2006). */
function makeTables(): Int32Array {
  const tables = new Int32Array(slices * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ polynomial : crc >>> 1
    tables[byte] = crc
  }
  for (let at = 256; at < tables.length; at++) {
    const before = tables[at - 256] ?? 0
    tables[at] = (before >>> 8) ^ (tables[before & 0xff] ?? 0)
  }
  return tables
}

let tables: Int32Array | undefined

/** CRC-32C in plain JavaScript, for where there is nothing faster. */
export function crc32cOfTables(bytes: Uint8Array, previous: number): number {
  const t = (tables ??= makeTables())
  const of = (slice: number, byte: number): number => t[slice * 256 + (byte & 0xff)] ?? 0
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let crc = ~previous
  let at = 0
  for (; at + slices <= bytes.length; at += slices) {
    const low = view.getInt32(at, true) ^ crc
    const high = view.getInt32(at + 4, true)
    crc =
      of(7, low) ^
      of(6, low >>> 8) ^
      of(5, low >>> 16) ^
      of(4, low >>> 24) ^
      of(3, high) ^
      of(2, high >>> 8) ^
      of(1, high >>> 16) ^
      of(0, high >>> 24)
  }
  for (; at < bytes.length; at++) crc = (crc >>> 8) ^ of(0, crc ^ view.getUint8(at))
  return ~crc >>> 0
}
