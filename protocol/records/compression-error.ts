/** Compressed bytes that are damaged, or that would become more than they may. */
export class CompressionError extends Error {
  override readonly name = 'CompressionError'
  readonly code = 'COMPRESSION'

  static damaged(codec: string, cause: unknown): CompressionError {
    const why = cause instanceof Error ? cause.message : String(cause)
    return new CompressionError(`Damaged ${codec} data: ${why}`, { cause })
  }

  static tooLarge(codec: string, bytesMax: number): CompressionError {
    return new CompressionError(`The ${codec} data would become more than ${bytesMax} bytes`)
  }
}
