/**
 * The part of etcd's protocol (v3, `rpc.proto` and `kv.proto`) that the store uses, in the form that protobuf loaders take.
 * Field numbers are etcd's and never change.
 */
type Field = readonly [type: string, id: number, rule?: 'repeated']

const message = (fields: Readonly<Record<string, Field>>): { fields: Record<string, object> } => ({
  fields: Object.fromEntries(
    Object.entries(fields).map(([name, [type, id, rule]]) => [
      name,
      rule === undefined ? { type, id } : { type, id, rule },
    ]),
  ),
})

const requestOperation = {
  ...message({
    request_put: ['PutRequest', 2],
    request_delete_range: ['DeleteRangeRequest', 3],
  }),
  oneofs: { request: { oneof: ['request_put', 'request_delete_range'] } },
}

const method = (
  requestType: string,
  responseType: string,
): { requestType: string; responseType: string } => ({ requestType, responseType })

const nested = {
  KeyValue: message({ key: ['bytes', 1], mod_revision: ['int64', 3], value: ['bytes', 5] }),
  ResponseHeader: message({ revision: ['int64', 3] }),
  RangeRequest: message({
    key: ['bytes', 1],
    range_end: ['bytes', 2],
    limit: ['int64', 3],
  }),
  RangeResponse: message({
    header: ['ResponseHeader', 1],
    kvs: ['KeyValue', 2, 'repeated'],
    more: ['bool', 3],
  }),
  PutRequest: message({ key: ['bytes', 1], value: ['bytes', 2] }),
  DeleteRangeRequest: message({ key: ['bytes', 1], range_end: ['bytes', 2] }),
  RequestOp: requestOperation,
  Compare: message({
    result: ['int32', 1],
    target: ['int32', 2],
    key: ['bytes', 3],
    mod_revision: ['int64', 6],
  }),
  TxnRequest: message({
    compare: ['Compare', 1, 'repeated'],
    success: ['RequestOp', 2, 'repeated'],
  }),
  TxnResponse: message({ header: ['ResponseHeader', 1], succeeded: ['bool', 2] }),
  AuthenticateRequest: message({ name: ['string', 1], password: ['string', 2] }),
  AuthenticateResponse: message({ token: ['string', 2] }),
  KV: {
    methods: {
      Range: method('RangeRequest', 'RangeResponse'),
      Txn: method('TxnRequest', 'TxnResponse'),
    },
  },
  Auth: { methods: { Authenticate: method('AuthenticateRequest', 'AuthenticateResponse') } },
}

export const etcdMessages = { nested: { etcdserverpb: { nested } } }

/** Of `Compare`, enumerations in etcd's own definition. */
export const compareEqual = 0
export const targetModRevision = 2

export interface RangeRequest {
  readonly key: Uint8Array
  readonly range_end?: Uint8Array
  readonly limit?: number
}

export interface RangeResponse {
  readonly kvs: readonly {
    readonly key: Buffer
    readonly value: Buffer
    readonly mod_revision: string
  }[]
  readonly more: boolean
}

export interface TxnRequest {
  readonly compare: readonly {
    readonly result: number
    readonly target: number
    readonly key: Uint8Array
    readonly mod_revision: string
  }[]
  readonly success: readonly RequestOperation[]
}

export type RequestOperation =
  | { readonly request_put: { readonly key: Uint8Array; readonly value: Uint8Array } }
  | {
      readonly request_delete_range: { readonly key: Uint8Array; readonly range_end?: Uint8Array }
    }

export interface TxnResponse {
  readonly header: { readonly revision: string }
  readonly succeeded: boolean
}

export interface EtcdMethods {
  readonly Range: { readonly request: RangeRequest; readonly response: RangeResponse }
  readonly Txn: { readonly request: TxnRequest; readonly response: TxnResponse }
  readonly Authenticate: {
    readonly request: { readonly name: string; readonly password: string }
    readonly response: { readonly token: string }
  }
}
