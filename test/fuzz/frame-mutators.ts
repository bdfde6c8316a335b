/** Ways to spoil a frame. Each returns new bytes; the frame's size in front follows unless it is the target. */
import type { Random } from '../clients/random.ts'
import { numberBytes } from './site-encoder.ts'
import type { EncodedRequest, Site } from './site-encoder.ts'

/** Where interesting things happen: ends of ranges, powers of two, and one beside each. */
export const boundaries: readonly number[] = [
  0, 1, -1, -2, 2, 127, 128, 129, 255, 256, 32_767, 32_768, -32_768, 65_535, 65_536, 1_000_000,
  16_777_215, 16_777_216, 2_147_483_646, 2_147_483_647, -2_147_483_647, -2_147_483_648,
]
const boundariesOfInt64: readonly number[] = [
  ...boundaries,
  4_294_967_295,
  4_294_967_296,
  Number.MAX_SAFE_INTEGER,
  Number.MAX_SAFE_INTEGER + 1,
  -Number.MAX_SAFE_INTEGER,
  2 ** 63 - 1024,
  -(2 ** 63),
]

/** A topic with a million partitions is what was asked for, not an attack: these stay small. */
const partitionCounts = new Set(['numPartitions', 'count'])

export type FrameMutator = (request: EncodedRequest, random: Random) => Buffer

const integer: FrameMutator = (request, random) => {
  const site = pick(request, random, 'integer')
  if (site === undefined) return flip(request, random)
  if (partitionCounts.has(site.name)) {
    return replace(
      request,
      site,
      numberBytes(site.form, random.pick([-2147483648, -1, 0, 2147483647])),
    )
  }
  const value = random.pick(site.form === 'int64' ? boundariesOfInt64 : boundaries)
  return replace(request, site, numberBytes(site.form, value))
}

const lengthOffByOne: FrameMutator = (request, random) => {
  const site = pick(request, random, 'length', 'count', 'size', 'tags')
  if (site === undefined) return flip(request, random)
  return replace(request, site, numberBytes(site.form, site.value + (random.chance(0.5) ? 1 : -1)))
}

/** A count or length far beyond what follows. */
const bomb: FrameMutator = (request, random) => {
  const site = pick(request, random, 'count', 'length', 'tags', 'size')
  if (site === undefined) return flip(request, random)
  const value = random.pick([1000, 32_767, 65_535, 1_000_000, 10_000_000, 2_147_483_647, -2, -1000])
  return replace(request, site, numberBytes(site.form, value))
}

const nullValue: FrameMutator = (request, random) => {
  const sites = request.sites.filter(
    ({ what, nullable }) => what === 'length' || (what === 'count' && !nullable),
  )
  if (sites.length === 0) return flip(request, random)
  const site = random.pick(sites)
  return replace(request, site, numberBytes(site.form, site.form === 'uvarint' ? 0 : -1))
}

/** The same number in more bytes than it needs, or a varint that never ends. */
const overlong: FrameMutator = (request, random) => {
  const sites = request.sites.filter(({ form }) => form === 'uvarint')
  if (sites.length === 0) return bomb(request, random)
  const site = random.pick(sites)
  const bytes = [...numberBytes('uvarint', site.value)]
  bytes[bytes.length - 1]! |= 0x80
  const extra = random.pick([1, 2, 3, 4, 8, 20])
  for (let i = 1; i < extra; i++) bytes.push(random.chance(0.5) ? 0x80 : 0xff)
  bytes.push(random.chance(0.7) ? 0 : 0x7f)
  return replace(request, site, Buffer.from(bytes))
}

/** Tags that nobody knows: many, large, unordered, twice, or with a size that lies. */
const tagFlood: FrameMutator = (request, random) => {
  const site = pick(request, random, 'tags')
  if (site === undefined) return bomb(request, random)
  const count = random.pick([1, 2, 16, 17, 100, 5000])
  const parts: Buffer[] = [numberBytes('uvarint', site.value + count)]
  const order = random.below(3)
  for (let i = 0; i < count; i++) {
    const tag = order === 0 ? 1000 + i : order === 1 ? 1000 : 100_000 - i
    const size = random.pick([0, 1, 3])
    const said = random.chance(0.01) ? 2_147_483_647 : size
    parts.push(numberBytes('uvarint', tag), numberBytes('uvarint', said), Buffer.alloc(size))
  }
  return replace(request, site, Buffer.concat(parts))
}

/** An array element once more, and the count along with it or not. */
const duplicate: FrameMutator = (request, random) => {
  const elements = request.sites.filter(({ what }) => what === 'element')
  if (elements.length === 0) return bomb(request, random)
  const element = random.pick(elements)
  const copies = random.pick([1, 1, 1, 2, 50])
  const bytes = request.frame.subarray(element.at, element.end)
  const more = Array.from({ length: copies }, () => bytes)
  const grown = Buffer.concat([
    request.frame.subarray(0, element.end),
    ...more,
    request.frame.subarray(element.end),
  ])
  const count = request.sites.findLast(
    ({ what, name, end }) => what === 'count' && name === element.name && end <= element.at,
  )
  if (count === undefined || random.chance(0.1)) return resized(grown)
  const edited = { frame: grown, sites: request.sites }
  return replace(edited, count, numberBytes(count.form, count.value + copies))
}

const truncate: FrameMutator = (request, random) =>
  resized(request.frame.subarray(0, 4 + random.below(request.frame.length - 3)))

const append: FrameMutator = (request, random) =>
  resized(Buffer.concat([request.frame, randomBytes(random, 1 + random.below(64))]))

const flip: FrameMutator = (request, random) => {
  const bytes = Buffer.from(request.frame)
  for (let count = 1 + random.below(4); count > 0; count--) {
    bytes[4 + random.below(bytes.length - 4)]! ^= 1 << random.below(8)
  }
  return bytes
}

const noise: FrameMutator = (request, random) => {
  const keep = 4 + random.below(request.frame.length - 4)
  return resized(
    Buffer.concat([request.frame.subarray(0, keep), randomBytes(random, random.below(300))]),
  )
}

/** An API or version that is not served. */
const header: FrameMutator = (request, random) => {
  const bytes = Buffer.from(request.frame)
  if (random.chance(0.5)) bytes.writeInt16BE(random.below(200) - 20, 4)
  if (random.chance(0.7)) bytes.writeInt16BE(random.below(40) - 10, 6)
  return bytes
}

/** By name, for the description of an input. */
export const frameMutators: Readonly<Record<string, FrameMutator>> = {
  integer,
  lengthOffByOne,
  bomb,
  nullValue,
  overlong,
  tagFlood,
  duplicate,
  truncate,
  append,
  flip,
  noise,
  header,
}

/** A bare size that promises more, or less, than follows: afterwards the stream makes no sense. */
export function lyingSize(frame: Buffer, random: Random): Buffer {
  const bytes = Buffer.from(frame)
  const size = random.pick([-1, -2_147_483_648, 0, 1, 7, 104_857_600, 104_857_601, 2_147_483_647])
  bytes.writeInt32BE(random.chance(0.5) ? size : frame.length - 4 + random.below(40) - 20)
  return bytes
}

function pick(request: EncodedRequest, random: Random, ...what: Site['what'][]): Site | undefined {
  const sites = request.sites.filter((site) => what.includes(site.what) && site.at > 0)
  return sites.length === 0 ? undefined : random.pick(sites)
}

/** Puts bytes in a number's place. Later sites move, so at most one replacement per request. */
function replace(request: EncodedRequest, site: Site, bytes: Buffer): Buffer {
  const { frame } = request
  const parts = [frame.subarray(0, site.at), bytes, frame.subarray(site.end)]
  return resized(Buffer.concat(parts))
}

/** Makes the size in front true again. */
function resized(frame: Buffer): Buffer {
  const bytes = Buffer.from(frame)
  bytes.writeInt32BE(bytes.length - 4)
  return bytes
}

export function randomBytes(random: Random, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  for (let i = 0; i < length; i++) bytes[i] = random.bits() & 0xff
  return bytes
}
