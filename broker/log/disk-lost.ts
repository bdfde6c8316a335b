import type { StorageError } from '../../base/env.ts'

/** It failed, was mounted read-only after it failed, is damaged, or is gone; everything else may pass. */
const codes: ReadonlySet<string> = new Set([
  'EIO',
  'EROFS',
  'EUCLEAN',
  'EBADMSG',
  'ENODEV',
  'ENXIO',
  'ESTALE',
])

/** The disk can't be written or read any more: others should lead what is on it. */
export function isDiskLost({ code }: StorageError): boolean {
  return codes.has(code)
}
