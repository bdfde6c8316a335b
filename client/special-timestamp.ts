/** What ListOffsets understands instead of a time. */
export const specialTimestamp = { latest: -1, earliest: -2, maxTimestamp: -3 } as const
