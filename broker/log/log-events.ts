import type { StorageError } from '../../base/env.ts'

/** What a log tells the directory it lies in. */
export interface LogEvents<Log> {
  /** The first unsynced append since the last flush. */
  dirty(log: Log): void
  /** Much was appended, or a segment ended: a recovery would take long. */
  checkpointDue(log: Log): void
  /** The disk lost data, or is failing: no log in this directory can be trusted with more. */
  failed(error: StorageError): void
  logStartMoved(log: Log): void
  /**
   * The log is about to be cut at `offset`, below its recovery point; else a crash would look like lost data. Throws
   * `StorageError`: then it is not cut.
   */
  recoveryPointLowered(log: Log, offset: number): void
}
