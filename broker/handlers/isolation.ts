/** What a consumer may read (KIP-98): everything below the high watermark, or only what no open transaction may take back. */
export const readUncommitted = 0
export const readCommitted = 1

export function isIsolationLevel(level: number): boolean {
  return level === readUncommitted || level === readCommitted
}
