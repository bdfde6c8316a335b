import { NetworkError, StorageError } from '../env.ts'

/** The system's name of what went wrong: ENOSPC, EADDRINUSE. */
export function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : 'UNKNOWN'
}

export function storageError(path: string, action: string, cause: unknown): StorageError {
  if (cause instanceof StorageError) return cause
  const code = codeOf(cause)
  return new StorageError(`Failed to ${action} ${path}: ${code}`, { code, path, cause })
}

export function networkError(action: string, cause: unknown): NetworkError {
  if (cause instanceof NetworkError) return cause
  const code = codeOf(cause)
  return new NetworkError(`Failed to ${action}: ${code}`, { code, cause })
}
