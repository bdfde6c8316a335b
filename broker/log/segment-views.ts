/**
 * Segments seen as memory, so that records go from page cache to socket without a copy.
 *
 * Unmapping under a view in use is a crash of the process, so views count references: a map is released when its
 * segment has given it up (evicted, deleted, outgrown) and the last payload cut from it has been released.
 * Each map is an area of the process, of which Linux allows 65,530: hence a limit.
 */
import { assert } from '../../base/assert.ts'
import type { MappedView } from '../../base/env.ts'
import type { Payload } from '../../base/payload.ts'
import type { Pin } from './open-files.ts'
import type { Evictable, SecondChance } from './second-chance.ts'

export class SegmentView implements Evictable {
  readonly weight = 1
  used = false
  readonly #map: MappedView
  readonly #queue: SecondChance
  readonly #evicted: () => void
  /** Payloads that are out. */
  #references = 0
  #givenUp = false

  /** `evicted` is called when the queue takes the map away, not on `giveUp`. */
  constructor(map: MappedView, queue: SecondChance, evicted: () => void) {
    this.#map = map
    this.#queue = queue
    this.#evicted = evicted
    queue.add(this)
  }

  get byteLength(): number {
    return this.#map.byteLength
  }

  /** The range must lie within the file. `released` is called when the payload is. */
  slice(position: number, bytes: number, released: () => void): Payload {
    assert(!this.#givenUp, 'a view that was given up is not read')
    assert(position + bytes <= this.byteLength, 'the range is mapped')
    this.used = true
    this.#references++
    return new MappedPayload(this.#map.read(position, bytes), () => {
      released()
      this.#dereference()
    })
  }

  resident(position: number, bytes: number): boolean {
    assert(!this.#givenUp, 'a view that was given up is not asked')
    return this.#map.resident(position, bytes)
  }

  evict(): boolean {
    this.#drop()
    this.#evicted()
    return true
  }

  /** The segment doesn't need it any more. */
  giveUp(): void {
    this.#queue.remove(this)
    this.#drop()
  }

  #drop(): void {
    assert(!this.#givenUp, 'a view is given up once')
    this.#givenUp = true
    if (this.#references === 0) this.#map.release()
  }

  #dereference(): void {
    assert(this.#references > 0, 'a payload is released once')
    this.#references--
    if (this.#givenUp && this.#references === 0) this.#map.release()
  }
}

class MappedPayload implements Payload {
  readonly buffer: Buffer
  readonly source = undefined
  #dereference: (() => void) | undefined

  constructor(buffer: Buffer, dereference: () => void) {
    this.buffer = buffer
    this.#dereference = dereference
  }

  get byteLength(): number {
    return this.buffer.length
  }

  release(): void {
    const dereference = this.#dereference
    assert(dereference !== undefined, 'a payload is released once')
    this.#dereference = undefined
    dereference()
  }
}

/** A range of a file for sendfile. The descriptor stays open until it is released. */
export class FilePayload implements Payload {
  readonly byteLength: number
  readonly buffer = undefined
  readonly source: NonNullable<Payload['source']>
  readonly #pin: Pin
  readonly #released: () => void

  constructor(
    pin: Pin,
    range: { readonly position: number; readonly byteLength: number },
    released: () => void,
  ) {
    this.byteLength = range.byteLength
    this.source = { file: pin.file, position: range.position }
    this.#pin = pin
    this.#released = released
  }

  release(): void {
    this.#pin.release()
    this.#released()
  }
}

/** Bytes of its own: a copy. */
export class CopiedPayload implements Payload {
  readonly buffer: Buffer
  readonly source = undefined

  constructor(buffer: Buffer) {
    this.buffer = buffer
  }

  get byteLength(): number {
    return this.buffer.length
  }

  release(): void {
    // The garbage collector has it.
  }
}
