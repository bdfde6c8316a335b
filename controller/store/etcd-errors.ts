import { EtcdCallError } from './etcd-connection.ts'
import { StoreError } from './metadata-store.ts'

/** gRPC status codes. */
const invalidArgument = 3
const deadlineExceeded = 4
const permissionDenied = 7
const resourceExhausted = 8
const failedPrecondition = 9
const unimplemented = 12
const unauthenticated = 16
const definite = new Set([
  invalidArgument,
  permissionDenied,
  resourceExhausted,
  failedPrecondition,
  unimplemented,
  unauthenticated,
])

/** Whether the call may have been carried out all the same. `too many requests` is said before anything is done: it may be repeated. */
export function isLost(error: EtcdCallError): boolean {
  return !definite.has(error.status) || /too many requests/.test(error.message)
}

/** Nothing came back in time. */
export function isSilence(error: unknown): boolean {
  return error instanceof EtcdCallError && error.status === deadlineExceeded
}

/** etcd forgets tokens when it starts and after some minutes, and all of them when a user or role changes. */
export function isStaleToken(error: unknown): boolean {
  if (!(error instanceof EtcdCallError)) return false
  return error.status === unauthenticated || /revision of auth store is old/.test(error.message)
}

/** What etcd said, and what to do. */
export function explain(error: EtcdCallError, endpoints: readonly string[]): StoreError {
  const { code, advice } = adviceFor(error)
  const at = `etcd at ${endpoints.join(', ')}`
  const said = code === 'UNREACHABLE' ? `${at} can't be reached` : `${at} refused`
  return new StoreError(`${said}: ${error.message}. ${advice}`, { code, cause: error })
}

function adviceFor({ status, message }: EtcdCallError): { code: string; advice: string } {
  if (/database space exceeded/.test(message)) {
    return {
      code: 'ENOSPC',
      advice:
        'Its quota is used up: run etcdctl compact, etcdctl defrag on each member and etcdctl alarm disarm, ' +
        'start etcd with --auto-compaction-retention=10m, or raise --quota-backend-bytes',
    }
  }
  if (/certificate|self-signed|handshake|SSL|TLS|alert/i.test(message)) {
    return {
      code: 'AUTH',
      advice:
        'Check the certificate authority, certificate and key that are configured for etcd, and that none has expired; ' +
        'new files are read without a restart',
    }
  }
  if (status === unauthenticated || /authentication failed|user name is empty/.test(message)) {
    return {
      code: 'AUTH',
      advice:
        'Check the user and password, or the client certificate, that are configured for etcd',
    }
  }
  if (status === permissionDenied) {
    return {
      code: 'AUTH',
      advice:
        'Grant the user the prefix: etcdctl role grant-permission ROLE --prefix=true readwrite /millrace/',
    }
  }
  if (/authentication is not enabled/.test(message)) {
    return { code: 'AUTH', advice: 'Leave out the user, or run etcdctl auth enable' }
  }
  if (status === unimplemented) {
    return { code: 'UNREACHABLE', advice: 'Is that etcd 3.4 or later, on its client port' }
  }
  if (status === invalidArgument) return { code: 'TOO_LARGE', advice: 'The request has a limit' }
  return {
    code: 'UNREACHABLE',
    advice: 'Start etcd or mend the network between, or correct the addresses in metadata.store',
  }
}
