/** Some records of a batch side by side, as ranges of its bytes, so that their keys can be looked up together. */
import { keysTogether, type OffsetMap } from './offset-map.ts'
import type { RecordSpans } from './record-spans.ts'

export class RecordChunk {
  readonly starts = new Int32Array(keysTogether)
  readonly ends = new Int32Array(keysTogether)
  readonly offsetDeltas = new Int32Array(keysTogether)
  readonly timestampDeltas = new Float64Array(keysTogether)
  /** 1: there is one. */
  readonly hasKey = new Uint8Array(keysTogether)
  readonly hasValue = new Uint8Array(keysTogether)

  /**
   * The next ones of `bytes`, looked up in `map`, if it is given, by their index here. How many; 0: none are left.
   * Throws `DamagedLogError`.
   */
  read(spans: RecordSpans, bytes: Buffer, map?: OffsetMap): number {
    const { starts, ends, offsetDeltas, timestampDeltas, hasKey, hasValue } = this
    let count = 0
    while (count < keysTogether && spans.next()) {
      starts[count] = spans.start
      ends[count] = spans.end
      offsetDeltas[count] = spans.offsetDelta
      timestampDeltas[count] = spans.timestampDelta
      hasKey[count] = spans.hasKey ? 1 : 0
      hasValue[count] = spans.hasValue ? 1 : 0
      // Without a key, what was looked up before at this index is again: nobody asks for it.
      if (spans.hasKey) map?.setKey(count, bytes, spans.keyAt, spans.keyEnd)
      count++
    }
    map?.find(count)
    return count
  }
}
