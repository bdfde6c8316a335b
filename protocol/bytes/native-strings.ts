/**
 * Node's own string conversions, which skip the checks of `toString` and `write`: half the time for short strings.
 * Undocumented, present since Node 0.x; positions must be in range.
 */
declare global {
  interface Buffer {
    latin1Slice(start: number, end: number): string
    utf8Slice(start: number, end: number): string
    hexSlice(start: number, end: number): string
    latin1Write(text: string, at: number, count: number): number
    utf8Write(text: string, at: number, count: number): number
    hexWrite(text: string, at: number, count: number): number
  }
}

/** Kafka's bound on every string, compact ones too. */
export const stringBytesMax = 0x7fff
