/** One connection of the attacker: frames out, frames in, and when it is over. */
import { connect } from 'node:net'
import type { Socket } from 'node:net'

import { decodeResponse } from '../../protocol/headers.ts'
import { apis } from '../../protocol/apis.ts'

export type End = 'open' | 'closed' | 'timeout'

export class Wire {
  readonly #socket: Socket
  readonly #frames: Buffer[] = []
  #rest: Buffer = Buffer.alloc(0)
  #wake: (() => void) | undefined
  end: End = 'open'

  /** Source addresses vary, or a million connections would run out of ports. */
  constructor(host: string, port: number, localAddress: string) {
    this.#socket = connect({ host, port, localAddress, noDelay: true })
    this.#socket.on('data', (chunk) => this.#receive(chunk))
    this.#socket.on('error', () => this.#close())
    this.#socket.on('close', () => this.#close())
  }

  send(bytes: Buffer): void {
    this.#socket.write(bytes)
  }

  /** The next answer, without its size; undefined when there is none: `end` says why. */
  async receive(timeoutMs: number): Promise<Buffer | undefined> {
    const frame = this.#frames.shift()
    if (frame !== undefined) return frame
    if (this.end !== 'open') return undefined
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      timer = setTimeout(() => {
        if (this.end === 'open') this.end = 'timeout'
        resolve()
      }, timeoutMs)
    })
    clearTimeout(timer)
    this.#wake = undefined
    return this.#frames.shift()
  }

  /** With a reset, which leaves no TIME_WAIT behind. */
  destroy(): void {
    this.#socket.resetAndDestroy()
  }

  /** As a polite client closes: the broker may still be writing. */
  finish(): void {
    this.#socket.end()
    this.#socket.destroySoon()
  }

  #close(): void {
    if (this.end === 'open') this.end = 'closed'
    this.#wake?.()
  }

  #receive(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    while (bytes.length >= 4) {
      const end = 4 + bytes.readInt32BE(0)
      if (bytes.length < end) break
      this.#frames.push(bytes.subarray(4, end))
      bytes = bytes.subarray(end)
    }
    this.#rest = bytes
    if (this.#frames.length > 0) this.#wake?.()
  }
}

const apiVersionsKey = 18
const unsupportedVersion = 35
const unknownServerError = -1

/**
 * What is wrong with an answer to `request` (a whole frame), or undefined: it must decode in the
 * request's version, and never hold UNKNOWN_SERVER_ERROR, which always means a bug.
 */
export function answerFault(request: Buffer, answer: Buffer): string | undefined {
  const key = request.readInt16BE(4)
  let version = request.readInt16BE(6)
  const api = apis.get(key)
  if (api === undefined) return `an answer to key ${key}, which there is not`
  const [first, last] = api.versions
  if (version < first || version > last) {
    if (key === apiVersionsKey && answer.readInt16BE(4) === unsupportedVersion) version = 0
    else if (version < api.advertised[0] || version > api.advertised[1]) {
      return `an answer to ${api.name} v${version}`
    } else return undefined
  }
  if (answer.readInt32BE(0) !== request.readInt32BE(8)) return 'another correlation id'
  try {
    const { response } = decodeResponse(api, version, answer)
    const code = serverErrorIn(response)
    return code === undefined ? undefined : `UNKNOWN_SERVER_ERROR: ${code}`
  } catch (error) {
    return `${api.name} v${version} does not decode: ${String(error)}`
  }
}

/** The struct that holds an error code -1, as JSON. */
function serverErrorIn(value: unknown): string | undefined {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return undefined
  if ((value as { errorCode?: number }).errorCode === unknownServerError) {
    return JSON.stringify(value).slice(0, 500)
  }
  for (const inner of Object.values(value)) {
    const found = serverErrorIn(inner)
    if (found !== undefined) return found
  }
  return undefined
}
