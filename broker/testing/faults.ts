import type { Timers } from '../../base/env.ts'
import { errors, type ErrorInfo } from '../../protocol/errors.ts'
import type { AnyApi } from '../../protocol/schema/api.ts'
import type { RequestOrigin, Route, Routes } from '../network/route.ts'
import { refusalOf, refusableApis } from './refusals.ts'

/** What goes wrong with requests of one API. Without any of `error`, `delayMs` and `disconnect` it is refused. */
export interface Fault {
  /** Kafka's name: "Produce", "OffsetCommit". */
  readonly api: string
  /** How many requests; 1 unless it is given, `Infinity` for all. */
  readonly times?: number
  /** Kafka's name of an error, which is answered instead of doing anything: "NOT_LEADER_OR_FOLLOWER". */
  readonly error?: string
  /** The answer is late; what was asked for is done in time. */
  readonly delayMs?: number
  /** The connection is closed: before anything is done, or with "after" when it is done. */
  readonly disconnect?: 'before' | 'after'
}

interface Armed {
  readonly fault: Fault
  readonly error: ErrorInfo | undefined
  left: number
}

/** Stands between a broker's connections and its handlers, and makes some requests fail. */
export class Faults {
  readonly #timers: Timers
  readonly #armed: Armed[] = []

  constructor(timers: Timers) {
    this.#timers = timers
  }

  /** Takes effect with the next request. Throws `RangeError` for a fault that can't be. */
  arm(fault: Fault): void {
    const { api, delayMs, disconnect, times = 1 } = fault
    if (fault.error === undefined && delayMs === undefined && disconnect === undefined) {
      throw new RangeError(`A fault of ${api} needs error, delayMs or disconnect`)
    }
    if (!(times > 0)) throw new RangeError(`times must be 1 or more, not ${times}`)
    const error = fault.error === undefined ? undefined : errorNamed(fault.error)
    if (fault.error !== undefined && error === undefined) {
      throw new RangeError(`Kafka has no error named ${fault.error}`)
    }
    if (error !== undefined && !refusableApis.has(api)) {
      throw new RangeError(
        `${api} can't be answered with an error here, only delayed or disconnected; with an error: ` +
          [...refusableApis].join(', '),
      )
    }
    this.#armed.push({ fault, error, left: times })
  }

  clear(): void {
    this.#armed.length = 0
  }

  wrap(routes: Routes): Routes {
    return new Map([...routes].map(([key, route]) => [key, this.#wrapped(route)]))
  }

  #wrapped(route: Route): Route {
    return {
      ...route,
      handle: (request, origin) => {
        const armed = this.#next(route.api)
        return armed === undefined
          ? route.handle(request, origin)
          : this.#fail(armed, { route, request, origin })
      },
    }
  }

  #next(api: AnyApi): Armed | undefined {
    const at = this.#armed.findIndex(({ fault }) => fault.api === api.name)
    const armed = this.#armed[at]
    if (armed === undefined) return undefined
    armed.left -= 1
    if (armed.left <= 0) this.#armed.splice(at, 1)
    return armed
  }

  async #fail(
    { fault, error }: Armed,
    call: {
      readonly route: Route
      readonly request: Parameters<Route['handle']>[0]
      readonly origin: RequestOrigin
    },
  ): Promise<unknown> {
    const { route, request, origin } = call
    if (fault.disconnect === 'before') {
      origin.connection.close('a fault of a test')
      return undefined
    }
    // Before the first await: the request's bytes are valid until then.
    const answer =
      error === undefined
        ? route.handle(request, origin)
        : refusalOf(route.api, request, origin.version, error)
    const response = await answer
    const { delayMs } = fault
    if (delayMs !== undefined) {
      await new Promise<void>((resolve) => this.#timers.after(delayMs, resolve))
    }
    if (fault.disconnect === 'after') origin.connection.close('a fault of a test')
    return response
  }
}

function errorNamed(name: string): ErrorInfo | undefined {
  return Object.values(errors).find((each) => each.name === name)
}
