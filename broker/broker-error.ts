/** The broker can't be a part of the cluster. `code` is for programs, the message tells what to do. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError'
  readonly code: 'NOT_REGISTERED' | 'FENCED'
  constructor(code: BrokerError['code'], message: string) {
    super(message)
    this.code = code
  }
}
