import type { DiskFile } from './env.ts'

/**
 * Bytes that travel from a log to a socket without passing through an encoder:
 * either in memory (a mapped view or a copy), or a range of a file for sendfile.
 */
export interface Payload {
  readonly byteLength: number
  readonly buffer: Buffer | undefined
  readonly source: { readonly file: DiskFile; readonly position: number } | undefined
  /** Called exactly once by whoever holds the payload last; the bytes may be unmapped afterwards. */
  release(): void
}
