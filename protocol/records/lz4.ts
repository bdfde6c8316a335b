/**
 * The LZ4 frame format:
 *
 *   magic 04 22 4D 18 | FLG | BD | content size 8, if in FLG | dictionary id 4, if in FLG | header checksum 1
 *   blocks: uint32 LE size (top bit: stored as it is; 0: the end) | data | checksum 4, if in FLG
 *   content checksum 4, if in FLG
 *
 * The decoder of `lz4-napi` has no limit for its output, so the frame is walked first:
 * the sizes of its blocks say what it can become at most.
 */
import { loadPackage } from '../../base/load-package.ts'
import { CompressionError } from './compression-error.ts'

interface Lz4 {
  compressFrame(bytes: Buffer): Promise<Buffer>
  compressFrameSync(bytes: Buffer): Buffer
  decompressFrameSync(bytes: Buffer): Buffer
}

let loaded: Lz4 | undefined
function lz4(): Lz4 {
  loaded ??= loadPackage('lz4-napi') as Lz4
  return loaded
}

const magic = 0x18_4d_22_04
const storedBit = 0x8000_0000

/** A length goes on in bytes of 255: no block grows more than this. */
const growthMax = 255

export function compressLz4(bytes: Buffer): Buffer {
  return lz4().compressFrameSync(bytes)
}

/** On another thread. */
export function compressLz4Aside(bytes: Buffer): Promise<Buffer> {
  return lz4().compressFrame(bytes)
}

export function decompressLz4(bytes: Buffer, bytesMax: number): Buffer {
  if (largestOutput(bytes, roughly) > bytesMax && largestOutput(bytes, exactly) > bytesMax) {
    throw CompressionError.tooLarge('lz4', bytesMax)
  }
  try {
    return lz4().decompressFrameSync(bytes)
  } catch (error) {
    throw CompressionError.damaged('lz4', error)
  }
}

type BlockSize = (bytes: Buffer, start: number, end: number, blockBytesMax: number) => number

/** What the blocks of the one frame in `bytes` can become, with `sizeOf` for those that are compressed. */
function largestOutput(bytes: Buffer, sizeOf: BlockSize): number {
  if (bytes.length < 7 || bytes.readUInt32LE(0) !== magic)
    throw CompressionError.damaged('lz4', 'not a frame')
  const flags = bytes.readUInt8(4)
  if (flags >> 6 !== 1) throw CompressionError.damaged('lz4', `frame version ${flags >> 6}`)
  const blockChecksumBytes = (flags & 0x10) === 0 ? 0 : 4
  const contentChecksumBytes = (flags & 0x04) === 0 ? 0 : 4
  const blockBytesMax = 1 << (8 + 2 * ((bytes.readUInt8(5) >> 4) & 7))
  let at = 7 + ((flags & 0x08) === 0 ? 0 : 8) + ((flags & 0x01) === 0 ? 0 : 4)
  let total = 0
  while (at + 4 <= bytes.length) {
    const size = bytes.readUInt32LE(at)
    at += 4
    if (size === 0) {
      if (at + contentChecksumBytes !== bytes.length) break
      return total
    }
    const stored = size >= storedBit
    const end = at + (stored ? size - storedBit : size)
    if (end > bytes.length) break
    total += stored ? end - at : sizeOf(bytes, at, end, blockBytesMax)
    at = end + blockChecksumBytes
  }
  throw CompressionError.damaged('lz4', `the frame does not end with its ${bytes.length} bytes`)
}

function roughly(_bytes: Buffer, start: number, end: number, blockBytesMax: number): number {
  return Math.min(blockBytesMax, (end - start) * growthMax)
}

/** Adds up literals and matches of a block without copying any: a block may hold far less than it may become. */
function exactly(bytes: Buffer, start: number, end: number): number {
  let at = start
  let total = 0
  while (at < end) {
    const token = bytes[at++] as number
    let literals = token >> 4
    if (literals === 15) {
      do literals += bytes[at] as number
      while (bytes[at++] === 255 && at < end)
    }
    at += literals
    total += literals
    if (at >= end) break // the last sequence has no match
    at += 2
    let match = (token & 15) + 4
    if ((token & 15) === 15) {
      do match += bytes[at] ?? 0
      while (bytes[at++] === 255 && at < end)
    }
    total += match
  }
  return total
}
