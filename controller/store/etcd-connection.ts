import * as grpc from '@grpc/grpc-js'
import { fromJSON } from '@grpc/proto-loader'
import { assert } from '../../base/assert.ts'
import { etcdMessages, type EtcdMethods } from './etcd-messages.ts'

/** PEM texts. */
export interface TlsFiles {
  /** Absent: the authorities that Node knows. */
  readonly ca?: Buffer
  /** A certificate whose common name is the etcd user, with its key. */
  readonly certificate?: Buffer
  readonly key?: Buffer
}

export interface CallOptions {
  /** By the wall clock, which gRPC turns into a duration at once. */
  readonly deadlineMs: number
  readonly token: string | undefined
}

/** etcd, or gRPC in its name, did not carry out a call. `status` is a gRPC status code. */
export class EtcdCallError extends Error {
  override readonly name = 'EtcdCallError'
  readonly code = 'ETCD_CALL'
  readonly status: number
  constructor(status: number, details: string) {
    super(details)
    this.status = status
  }
}

/** Its type wants every field that a description may have. */
type Description = Parameters<typeof fromJSON>[0]
const definition = fromJSON(etcdMessages as unknown as Description, {
  keepCase: true,
  longs: String,
  defaults: true,
})
const services: Readonly<Record<keyof EtcdMethods, string>> = {
  Range: 'etcdserverpb.KV',
  Txn: 'etcdserverpb.KV',
  Authenticate: 'etcdserverpb.Auth',
}

/** Below 5 s between pings etcd drops the connection. */
const channelOptions = {
  'grpc.max_receive_message_length': 256 * 1024 * 1024,
  'grpc.max_send_message_length': 4 * 1024 * 1024,
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.min_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 500,
  'grpc.keepalive_time_ms': 5000,
  'grpc.keepalive_timeout_ms': 1000,
  'grpc.enable_retries': 0,
  // Else a connection that is made anew would be the old one.
  'grpc.use_local_subchannel_pool': 1,
}

/** A connection to one member of etcd, which dials by itself. The only user of gRPC; loaded when etcd is configured. */
export class EtcdConnection {
  readonly #client: grpc.Client

  /** `endpoint` is HOST:PORT. */
  constructor(endpoint: string, tls: TlsFiles | undefined) {
    const { ca = null, key = null, certificate = null } = tls ?? {}
    const credentials =
      tls === undefined
        ? grpc.credentials.createInsecure()
        : grpc.credentials.createSsl(ca, key, certificate)
    this.#client = new grpc.Client(endpoint, credentials, channelOptions)
  }

  /** Rejects with `EtcdCallError`. Nothing is ever sent twice. */
  call<M extends keyof EtcdMethods>(
    method: M,
    request: EtcdMethods[M]['request'],
    options: CallOptions,
  ): Promise<EtcdMethods[M]['response']> {
    const { path, requestSerialize, responseDeserialize } = methodOf(method)
    const metadata = new grpc.Metadata()
    if (options.token !== undefined) metadata.set('token', options.token)
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest<object, object>(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        { deadline: options.deadlineMs },
        (error, response) => {
          if (error === null && response !== undefined) {
            resolve(response as EtcdMethods[M]['response'])
          } else {
            reject(new EtcdCallError(error?.code ?? 2, error?.details ?? 'No answer'))
          }
        },
      )
    })
  }

  close(): void {
    this.#client.close()
  }
}

function methodOf(name: keyof EtcdMethods): grpc.MethodDefinition<object, object> {
  const service = definition[services[name]] as unknown as
    | Readonly<Record<string, grpc.MethodDefinition<object, object>>>
    | undefined
  const method = service?.[name]
  assert(method !== undefined, 'every method is defined')
  return method
}
