import { apis } from '../../protocol/apis.ts'
import type { AnyApi, Codec } from '../../protocol/schema/api.ts'
import type { Fields } from '../../protocol/schema/field.ts'

/** One message in one version. */
export interface VersionedMessage {
  readonly api: AnyApi
  readonly direction: 'request' | 'response'
  readonly version: number
  readonly flexible: boolean
  readonly fields: Fields
  readonly codec: Codec<any>
  /** For failures: `Fetch.response.v12`. */
  readonly title: string
}

/** Every version of the requests and responses of one API. */
export function* versionsOf(api: AnyApi): Generator<VersionedMessage> {
  for (const direction of ['request', 'response'] as const) {
    for (let version = api.versions[0]; version <= api.versions[1]; version++) {
      yield {
        api,
        direction,
        version,
        flexible: version >= api.flexible,
        fields: api[direction].fields,
        codec: api[direction].codec(version),
        title: `${api.name}.${direction}.v${version}`,
      }
    }
  }
}

export function* everyMessage(): Generator<VersionedMessage> {
  for (const api of apis.values()) yield* versionsOf(api)
}
