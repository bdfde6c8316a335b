/** Bytes of a peer that break the protocol: the connection that they came on must be closed. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly code = 'PROTOCOL'
}

/** A value that its place on the wire can't hold, or that the version asked for has no place for. */
export class EncodeError extends Error {
  override readonly name = 'EncodeError'
  readonly code = 'ENCODE'
}
