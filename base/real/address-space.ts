/**
 * Address space for maps, reserved in regions that V8 sees as one ArrayBuffer each.
 *
 * V8 takes an ArrayBuffer over foreign memory for garbage pressure of that many bytes: one of its own for each map
 * would cost a collection of the whole heap for every 64 MiB mapped. So files are mapped into a region that is already
 * known to V8, at an address of our choice, and a map is a Buffer over a part of the region.
 *
 * What is free is inaccessible: a socket write of a view that was released fails with EFAULT instead of sending
 * whatever is there now.
 */
import { Buddy } from './buddy.ts'
import type { Native } from './native.ts'

/** As large as a Buffer of Node 20 can be. */
const regionBytes = 2 ** 32

/** A multiple of every page size there is. */
const blockBytesMin = 2 ** 16

interface Region {
  readonly address: number
  readonly memory: ArrayBuffer
  readonly buddy: Buddy
}

export interface Space {
  readonly address: number
  readonly buffer: Buffer
  /** Call it when nothing is mapped there any more. */
  give(): void
}

const regions: Region[] = []

/** Inaccessible memory of `bytes`, into which a file can be mapped. Undefined where there is no room. */
export function takeSpace(system: Native, bytes: number): Space | undefined {
  if (bytes > regionBytes) return undefined
  for (const region of regions) {
    const space = takeFrom(region, bytes)
    if (space !== undefined) return space
  }
  const address = system.reserve?.(regionBytes)
  if (address === undefined) return undefined
  const region = {
    address,
    memory: system.view(address, regionBytes),
    buddy: new Buddy(regionBytes, blockBytesMin),
  }
  regions.push(region)
  return takeFrom(region, bytes)
}

function takeFrom({ address, memory, buddy }: Region, bytes: number): Space | undefined {
  const at = buddy.take(bytes)
  if (at === undefined) return undefined
  return {
    address: address + at,
    buffer: Buffer.from(memory, at, bytes),
    give: () => buddy.give(at),
  }
}
