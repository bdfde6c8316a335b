/**
 * The Zstandard frame format:
 *
 *   magic 28 B5 2F FD | descriptor | window, unless single segment | dictionary id | content size | blocks | checksum
 *   block: uint24 LE = last (1 bit), type (2 bits: raw, run, compressed), size (21 bits) | data
 *
 * Frames are walked before they are decoded. Many have no content size (Java streams them), and then the
 * number of their blocks says what they can become at most: a block makes no more than 128 KiB.
 */
import * as zlib from 'node:zlib'
import { isMainThread } from 'node:worker_threads'
import { loadPackage } from '../../base/load-package.ts'
import { CompressionError } from './compression-error.ts'

/** Node has its own zstd since 22.15; its types for 20 don't know. */
const native = zlib as {
  readonly zstdCompress?: (
    bytes: Buffer,
    options: { params: Record<number, number> },
    callback: (error: Error | null, result: Buffer) => void,
  ) => void
  readonly zstdCompressSync?: (bytes: Buffer, options: { params: Record<number, number> }) => Buffer
  readonly zstdDecompressSync?: (bytes: Buffer, options: { maxOutputLength: number }) => Buffer
}

interface Stream {
  data(bytes: Buffer, callback: (chunk: Buffer) => void): void
  end(callback: (chunk: Buffer) => void): void
}

/** `@cloudpss/zstd` below its wrapper, which has no stream that works at once. */
interface Bindings {
  compress(bytes: Buffer, level: number): Buffer
  decompress(bytes: Buffer, bytesMax: number): Buffer
  readonly Compressor: new (level: number) => Stream
  readonly Decompressor: new () => Stream
}

let loaded: Bindings | undefined
function bindings(): Bindings {
  if (loaded === undefined) {
    const module = loadPackage('@cloudpss/zstd/napi') as {
      _NapiBindings: Bindings
    }
    loaded = module._NapiBindings
  }
  return loaded
}

const magic = 0xfd_2f_b5_28
const skippableMagic = 0x18_4d_2a_50
const blockBytesMax = 128 * 1024
const levelDefault = 3
/** ZSTD_c_compressionLevel. */
const levelParameter = 100
/** What a decoder must support by the specification; larger windows only when that much may come out. */
const windowBytesMin = 8 * 1024 * 1024
/** What one call into the streaming decoder may make beyond the limit before it is noticed. */
const pieceBytesMax = 1024 * 1024

export function compressZstd(bytes: Buffer, level = levelDefault): Buffer {
  if (native.zstdCompressSync !== undefined) {
    return native.zstdCompressSync(bytes, { params: { [levelParameter]: level } })
  }
  // The binding's one-shot functions share one context among all threads.
  if (isMainThread) return bindings().compress(bytes, level)
  const chunks: Buffer[] = []
  const stream = new (bindings().Compressor)(level)
  stream.data(bytes, (chunk) => chunks.push(chunk))
  stream.end((chunk) => chunks.push(chunk))
  return Buffer.concat(chunks)
}

/** On another thread where Node can. */
export async function compressZstdAside(bytes: Buffer, level = levelDefault): Promise<Buffer> {
  const { zstdCompress } = native
  if (zstdCompress === undefined) return compressZstd(bytes, level)
  return new Promise((resolve, reject) => {
    zstdCompress(bytes, { params: { [levelParameter]: level } }, (error, result) => {
      if (error === null) resolve(result)
      else reject(error)
    })
  })
}

export function decompressZstd(bytes: Buffer, bytesMax: number): Buffer {
  const frames = walk(bytes)
  if (frames.declaredBytes > bytesMax) throw CompressionError.tooLarge('zstd', bytesMax)
  try {
    // Node's stops behind the first frame.
    if (frames.count === 1 && native.zstdDecompressSync !== undefined) {
      return native.zstdDecompressSync(bytes, { maxOutputLength: bytesMax })
    }
    if (isMainThread && frames.allocatedBytes <= bytesMax)
      return bindings().decompress(bytes, bytesMax + 1)
    if (frames.windowBytes > Math.max(bytesMax, windowBytesMin))
      throw CompressionError.tooLarge('zstd', bytesMax)
    return decompressPieces(bytes, frames.pieceEnds, bytesMax)
  } catch (error) {
    if (error instanceof CompressionError) throw error
    if (error instanceof RangeError) throw CompressionError.tooLarge('zstd', bytesMax)
    throw CompressionError.damaged('zstd', error)
  }
}

/** Decodes piece by piece, so that a bomb is noticed while it is small. */
function decompressPieces(bytes: Buffer, pieceEnds: readonly number[], bytesMax: number): Buffer {
  const stream = new (bindings().Decompressor)()
  const chunks: Buffer[] = []
  let total = 0
  let start = 0
  for (const end of pieceEnds) {
    stream.data(bytes.subarray(start, end), (chunk) => {
      total += chunk.length
      if (total <= bytesMax) chunks.push(chunk)
    })
    if (total > bytesMax) throw CompressionError.tooLarge('zstd', bytesMax)
    start = end
  }
  return Buffer.concat(chunks, total)
}

interface Frames {
  /** Those to skip included. */
  count: number
  /** Sum of the content sizes that frames declare. */
  declaredBytes: number
  /** What the one-shot decoder would allocate. */
  allocatedBytes: number
  /** The largest. */
  windowBytes: number
  /** Where to cut the input, so that each piece makes up to `pieceBytesMax`. */
  readonly pieceEnds: number[]
}

/** Finds the blocks of all frames. Throws when a frame is cut or nothing of the kind. */
function walk(bytes: Buffer): Frames {
  const frames: Frames = {
    count: 0,
    declaredBytes: 0,
    allocatedBytes: 0,
    windowBytes: 0,
    pieceEnds: [],
  }
  if (bytes.length < 5) throw cut(bytes)
  let at = 0
  while (at < bytes.length) {
    if (at + 5 > bytes.length) throw cut(bytes)
    frames.count += 1
    const number = bytes.readUInt32LE(at)
    if ((number & 0xffff_fff0) === skippableMagic) {
      if (at + 8 > bytes.length) throw cut(bytes)
      at += 8 + bytes.readUInt32LE(at + 4)
      if (at > bytes.length) throw cut(bytes)
    } else if (number === magic) at = walkFrame(bytes, at + 4, frames)
    else throw CompressionError.damaged('zstd', `no frame at byte ${at}`)
  }
  frames.pieceEnds.push(bytes.length)
  return frames
}

/** From the descriptor of a frame to behind the frame. */
function walkFrame(bytes: Buffer, start: number, frames: Frames): number {
  const descriptor = bytes.readUInt8(start)
  const singleSegment = (descriptor & 0x20) !== 0
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0
  const sizeFlag = descriptor >> 6
  const sizeBytes = sizeFlag === 0 ? (singleSegment ? 1 : 0) : 1 << sizeFlag
  const windowAt = start + 1
  const sizeAt = windowAt + (singleSegment ? 0 : 1) + dictionaryBytes
  let at = sizeAt + sizeBytes
  if (at > bytes.length) throw cut(bytes)
  if ((descriptor & 0x08) !== 0) throw CompressionError.damaged('zstd', 'a reserved bit is set')
  const declared = readContentSize(bytes, sizeAt, sizeBytes)
  const windowBytes = singleSegment ? (declared ?? 0) : readWindow(bytes.readUInt8(windowAt))
  const blockMax = Math.min(windowBytes, blockBytesMax)
  let blocks = 0
  let frameMax = 0
  let pieceMax = 0
  for (let last = false; !last;) {
    if (at + 3 > bytes.length) throw cut(bytes)
    const header = bytes.readUIntLE(at, 3)
    last = (header & 1) === 1
    const type = (header >> 1) & 3
    const size = header >> 3
    if (type === 3 || (type !== 2 && size > blockMax))
      throw CompressionError.damaged('zstd', 'a block is malformed')
    at += 3 + (type === 1 ? 1 : size)
    blocks += 1
    const blockOutput = type === 2 ? blockMax : size
    frameMax += blockOutput
    pieceMax += blockOutput
    if (pieceMax >= pieceBytesMax && at <= bytes.length) {
      frames.pieceEnds.push(at)
      pieceMax = 0
    }
  }
  if ((descriptor & 0x04) !== 0) at += 4
  if (at > bytes.length) throw cut(bytes)
  if (declared !== undefined && declared > frameMax) {
    throw CompressionError.damaged(
      'zstd',
      `${blocks} blocks can't become the declared ${declared} bytes`,
    )
  }
  frames.declaredBytes += declared ?? 0
  frames.allocatedBytes += declared ?? blocks * blockMax
  frames.windowBytes = Math.max(frames.windowBytes, windowBytes)
  return at
}

/** Undefined when the frame does not say. */
function readContentSize(bytes: Buffer, at: number, count: number): number | undefined {
  if (count === 0) return undefined
  if (count === 8) return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32
  return bytes.readUIntLE(at, count) + (count === 2 ? 256 : 0)
}

function readWindow(byte: number): number {
  const base = 2 ** (10 + (byte >> 3))
  return base + (base / 8) * (byte & 7)
}

function cut(bytes: Buffer): CompressionError {
  return CompressionError.damaged('zstd', `a frame does not end within its ${bytes.length} bytes`)
}
