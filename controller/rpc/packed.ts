/**
 * Looks through packed bytes without building anything: an array may announce 4 billion elements in 5 bytes, and whoever
 * unpacks it believes that. Only what `shapes.ts` writes is allowed: nil, booleans, numbers, strings, bytes and arrays.
 */

/** Deeper than any request. */
const depthMax = 16

/** Whether the bytes are exactly one value, with every announced length there. */
export function isSoundlyPacked(bytes: Buffer): boolean {
  let at = 0
  /** How many elements are still to come in each array that is open. */
  const open: number[] = [1]
  for (;;) {
    let left = open.at(-1)
    while (left === 0) {
      open.pop()
      left = open.at(-1)
    }
    if (left === undefined) return at === bytes.length
    open[open.length - 1] = left - 1
    const { start, count } = valueAt(bytes, at)
    // Each element takes a byte at least.
    if (start > bytes.length || count > bytes.length - start) return false
    at = start
    if (count === 0) continue
    if (open.length > depthMax) return false
    open.push(count)
  }
}

/** Behind the end: what is not allowed, or not all there. */
const nowhere = { start: Infinity, count: 0 }

/** Where the value's elements start, or the next value if it has none. */
function valueAt(bytes: Buffer, at: number): { readonly start: number; readonly count: number } {
  const type = bytes[at]
  if (type === undefined) return nowhere
  const lengthAt = (size: number): number =>
    at + 1 + size > bytes.length ? Infinity : bytes.readUIntBE(at + 1, size)
  const skip = (count: number): { start: number; count: number } => ({
    start: at + 1 + count,
    count: 0,
  })
  if (type <= 0x7f || type >= 0xe0) return skip(0)
  if (type >= 0x90 && type <= 0x9f) return { start: at + 1, count: type & 0x0f }
  if (type >= 0xa0 && type <= 0xbf) return skip(type & 0x1f)
  switch (type) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return skip(0)
    case 0xc4: // bytes
    case 0xd9: // string
      return skip(1 + lengthAt(1))
    case 0xc5:
    case 0xda:
      return skip(2 + lengthAt(2))
    case 0xc6:
    case 0xdb:
      return skip(4 + lengthAt(4))
    case 0xcc: // integers
    case 0xd0:
      return skip(1)
    case 0xcd:
    case 0xd1:
      return skip(2)
    case 0xca: // float
    case 0xce:
    case 0xd2:
      return skip(4)
    case 0xcb: // double
    case 0xcf:
    case 0xd3:
      return skip(8)
    case 0xdc: // array
      return { start: at + 3, count: lengthAt(2) }
    case 0xdd:
      return { start: at + 5, count: lengthAt(4) }
    default:
      return nowhere
  }
}
