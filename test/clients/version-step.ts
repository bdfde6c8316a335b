/**
 * One request in one version, to be sent to two brokers. Requests are written once for all versions: `VersionClient` leaves
 * out what a version does not carry. In texts `%v` is the version, `id:TOPIC` the topic's id in the broker that is
 * asked, and `GROUP/N` the Nth member id that it made up for the group.
 */
import { apis } from '../../protocol/apis.ts'
import type { AnyApi } from '../../protocol/schema/api.ts'

export interface VersionStep {
  readonly api: AnyApi
  readonly version: number
  readonly title: string
  readonly request: object
  /** Fields of the answer that differ by nature. */
  readonly unlike: readonly string[]
}

/** A request that older versions can't say. */
export interface Since {
  readonly first: number
  readonly request: object
}

export const zeroId = '0'.repeat(32)
export const unknownId = '0123456789abcdef'.repeat(2)

export function since(first: number, request: object): Since {
  return { first, request }
}

/** All requests of the first version, then all of the next. */
export function everyVersion(
  name: string,
  requests: Readonly<Record<string, object | Since>>,
  unlike: readonly string[] = [],
): VersionStep[] {
  const api = apiNamed(name)
  const [first, last] = api.versions
  const versions = Array.from({ length: last - first + 1 }, (_, index) => first + index)
  return versions.flatMap((version) =>
    Object.entries(requests).flatMap(([title, each]) => {
      const { first: from, request } = isSince(each) ? each : since(0, each)
      return version < from ? [] : [{ api, version, title, request, unlike }]
    }),
  )
}

/** In `version`, or in the nearest that there is. */
export function inVersion(
  name: string,
  version: number,
  title: string,
  request: object,
): VersionStep {
  const api = apiNamed(name)
  const [first, last] = api.versions
  const nearest = Math.max(first, Math.min(version, last))
  return { api, version: nearest, title, request, unlike: [] }
}

function isSince(each: object): each is Since {
  return 'first' in each && 'request' in each
}

function apiNamed(name: string): AnyApi {
  const api = [...apis.values()].find((each) => each.name === name)
  if (api === undefined) throw new Error(`no API ${name}`)
  return api
}
