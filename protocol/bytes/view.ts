/** Node's own class of buffers, which is what `subarray` makes. */
const NodeBuffer = (
  Buffer as unknown as {
    readonly [Symbol.species]: new (
      memory: ArrayBufferLike,
      position: number,
      bytes: number,
    ) => Buffer
  }
)[Symbol.species]

/**
 * The same as `subarray`, in half the time (34 against 80 ns): that asks its buffer for `buffer` and `byteOffset`,
 * which are slow to ask for. `position` counts from the start of `memory`. Throws RangeError beyond its end.
 */
export function viewOf(memory: ArrayBufferLike, position: number, bytes: number): Buffer {
  return new NodeBuffer(memory, position, bytes)
}
