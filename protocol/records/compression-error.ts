import { PackageError } from '../../base/load-package.ts'

/** Compressed bytes that are damaged, would become more than they may, or whose codec is not installed. */
export class CompressionError extends Error {
  override readonly name = 'CompressionError'
  readonly code = 'COMPRESSION'

  static damaged(codec: string, cause: unknown): CompressionError {
    if (cause instanceof PackageError) return new CompressionError(cause.message, { cause })
    const why = cause instanceof Error ? cause.message : String(cause)
    return new CompressionError(`Damaged ${codec} data: ${why}`, { cause })
  }

  static tooLarge(codec: string, bytesMax: number): CompressionError {
    return new CompressionError(`The ${codec} data would become more than ${bytesMax} bytes`)
  }
}
