import { StorageError } from '../env.ts'

export type DiskOperation =
  | 'open'
  | 'stat'
  | 'list'
  | 'makeDirectory'
  | 'rename'
  | 'remove'
  | 'read'
  | 'write'
  | 'truncate'
  | 'sync'
  | 'syncDirectory'

/** What goes wrong, and when. */
export interface DiskFault {
  readonly operation: DiskOperation
  /** EIO, EROFS, EMFILE, ... */
  readonly code: string
  /** Only paths that contain this. */
  readonly path?: string
  /** How many matching calls go well before. */
  readonly after?: number
  /** How many fail then; every one when absent. */
  readonly times?: number
}

/** Faults to be injected; each call of an operation asks here. */
export class DiskFaults {
  #armed: { readonly fault: DiskFault; calls: number }[] = []

  arm(fault: DiskFault): void {
    this.#armed.push({ fault, calls: 0 })
  }

  clear(): void {
    this.#armed = []
  }

  /** Throws when the call must fail. */
  check(operation: DiskOperation, path: string): void {
    const error = this.find(operation, path)
    if (error !== undefined) throw error
  }

  find(operation: DiskOperation, path: string): StorageError | undefined {
    for (const armed of this.#armed) {
      const { fault } = armed
      if (fault.operation !== operation || !path.includes(fault.path ?? '')) continue
      const call = armed.calls++ - (fault.after ?? 0)
      if (call >= 0 && call < (fault.times ?? Infinity)) return refusal(operation, path, fault.code)
    }
    return undefined
  }
}

export function refusal(operation: string, path: string, code: string): StorageError {
  return new StorageError(`Failed to ${operation} ${path}: ${code}`, { code, path })
}
