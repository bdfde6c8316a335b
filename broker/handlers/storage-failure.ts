import { StorageError } from '../../base/env.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import type { BrokerServices } from './handler.ts'

/** The row that `answer` gives; when the disk refuses meanwhile, or a log is damaged, the one for KAFKA_STORAGE_ERROR. */
export function orStorageFailure<Row>(
  { logger }: Pick<BrokerServices, 'logger'>,
  answer: () => Row,
  refuse: (error: ErrorInfo) => Row,
): Row {
  try {
    return answer()
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    logger.error({ err: error }, 'A log could not be asked')
    return refuse(errors.kafkaStorageError)
  }
}
