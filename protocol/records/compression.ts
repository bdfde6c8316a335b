/**
 * The five codecs of a record batch. Each is loaded on its first use, so that starting does not pay for them.
 * Decompression never makes more than the caller allows, whatever the input declares of itself.
 */
import { promisify } from 'node:util'
import { gunzipSync, gzip, gzipSync, type ZlibOptions } from 'node:zlib'
import { assert, unreachable } from '../../base/assert.ts'
import { loadPackage } from '../../base/load-package.ts'
import { compressLz4, compressLz4Aside, decompressLz4 } from './lz4.ts'
import { CompressionError } from './compression-error.ts'
import { compressZstd, compressZstdAside, decompressZstd } from './zstd.ts'

export { CompressionError } from './compression-error.ts'

const gzipAside = promisify<Buffer, ZlibOptions, Buffer>(gzip)

export type CompressionCodec = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** `level` is on the codec's own scale; snappy and lz4 have none and ignore it. */
export function compress(codec: CompressionCodec, bytes: Buffer, level?: number): Buffer {
  switch (codec) {
    case 'none':
      return bytes
    case 'gzip':
      return gzipSync(bytes, level === undefined ? {} : { level })
    case 'snappy':
      // A raw block: every client reads it, Java's included, which itself writes xerial streams.
      return snappy().compressSync(bytes)
    case 'lz4':
      return compressLz4(bytes)
    case 'zstd':
      return compressZstd(bytes, level)
    default:
      return unreachable(codec)
  }
}

/**
 * The same, on another thread where the codec's package can: zstd below Node 22.15 can't.
 * `bytes` must stay as they are until it is done.
 */
export async function compressAside(
  codec: CompressionCodec,
  bytes: Buffer,
  level?: number,
): Promise<Buffer> {
  switch (codec) {
    case 'gzip':
      return gzipAside(bytes, level === undefined ? {} : { level })
    case 'snappy':
      return snappy().compress(bytes)
    case 'lz4':
      return compressLz4Aside(bytes)
    case 'zstd':
      return compressZstdAside(bytes, level)
    case 'none':
      return bytes
    default:
      return unreachable(codec)
  }
}

/** Throws `CompressionError` when the bytes are damaged or would become more than `bytesMax`. */
export function decompress(codec: CompressionCodec, bytes: Buffer, bytesMax: number): Buffer {
  assert(bytesMax > 0, 'something may come out')
  switch (codec) {
    case 'none':
      if (bytes.length > bytesMax) throw CompressionError.tooLarge(codec, bytesMax)
      return bytes
    case 'gzip':
      return decompressGzip(bytes, bytesMax)
    case 'snappy':
      return decompressSnappy(bytes, bytesMax)
    case 'lz4':
      return decompressLz4(bytes, bytesMax)
    case 'zstd':
      return decompressZstd(bytes, bytesMax)
    default:
      return unreachable(codec)
  }
}

function decompressGzip(bytes: Buffer, bytesMax: number): Buffer {
  try {
    return gunzipSync(bytes, { maxOutputLength: bytesMax })
  } catch (error) {
    if (error instanceof RangeError) throw CompressionError.tooLarge('gzip', bytesMax)
    throw CompressionError.damaged('gzip', error)
  }
}

interface Snappy {
  compress(bytes: Buffer): Promise<Buffer>
  compressSync(bytes: Buffer): Buffer
  uncompressSync(bytes: Buffer): Buffer
}

let loadedSnappy: Snappy | undefined
function snappy(): Snappy {
  loadedSnappy ??= loadPackage('snappy') as Snappy
  return loadedSnappy
}

/**
 * The stream of xerial/snappy-java: this magic, int32 version, int32 lowest compatible version,
 * then chunks of int32 length (big-endian) and a raw block. Streams may follow one another.
 */
const xerialMagic = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0])
const xerialHeaderBytes = 16

/** A copy of 64 bytes takes 3: nothing grows more than this. */
const snappyGrowthMax = 22

function decompressSnappy(bytes: Buffer, bytesMax: number): Buffer {
  if (!startsWithXerial(bytes, 0)) return decompressSnappyBlock(bytes, bytesMax)
  const chunks: Buffer[] = []
  let left = bytesMax
  let at = 0
  while (at < bytes.length) {
    if (startsWithXerial(bytes, at)) {
      at += xerialHeaderBytes
      if (at > bytes.length) throw CompressionError.damaged('snappy', 'the stream header is cut')
      continue
    }
    const chunkAt = at + 4
    const chunkBytes = chunkAt <= bytes.length ? bytes.readInt32BE(at) : -1
    if (chunkBytes < 0 || chunkAt + chunkBytes > bytes.length) {
      throw CompressionError.damaged('snappy', `the chunk at byte ${at} is cut`)
    }
    at = chunkAt + chunkBytes
    const block = bytes.subarray(chunkAt, at)
    // The last chunk may be asked for with nothing left, and is then allowed to be empty.
    if (snappyBytesOf(block) > left) throw CompressionError.tooLarge('snappy', bytesMax)
    const chunk = decompressSnappyBlock(block, bytesMax)
    left -= chunk.length
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function startsWithXerial(bytes: Buffer, at: number): boolean {
  return bytes.length >= at + 8 && xerialMagic.compare(bytes, at, at + 8) === 0
}

function decompressSnappyBlock(block: Buffer, bytesMax: number): Buffer {
  const declared = snappyBytesOf(block)
  if (declared > bytesMax) throw CompressionError.tooLarge('snappy', bytesMax)
  if (declared > block.length * snappyGrowthMax) {
    throw CompressionError.damaged(
      'snappy',
      `${block.length} bytes can't become the declared ${declared}`,
    )
  }
  try {
    return snappy().uncompressSync(block)
  } catch (error) {
    throw CompressionError.damaged('snappy', error)
  }
}

/** The length that a raw block declares: a varint (not zig-zag) of up to 32 bits at its start. */
function snappyBytesOf(block: Buffer): number {
  let length = 0
  let scale = 1
  for (let at = 0; at < 5; at++) {
    const byte = block[at]
    if (byte === undefined) break
    length += (byte & 0x7f) * scale
    if (byte <= 0x7f) return length
    scale *= 128
  }
  throw CompressionError.damaged('snappy', 'its length is cut')
}
