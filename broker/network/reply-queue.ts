import type { Payload } from '../../base/payload.ts'
import type { Socket } from '../../base/env.ts'

/** The place of one answer. */
export interface ReplySlot {
  /** Undefined until the answer is there; empty when none is sent. */
  chunks: readonly (Buffer | Payload)[] | undefined
}

/**
 * Answers leave in the order of their requests, whenever they become ready (Kafka's clients take any
 * other order as the end of the connection). All that is ready goes out as one write.
 */
export class ReplyQueue {
  readonly #socket: Socket
  readonly #slots: ReplySlot[] = []
  #pendingCount = 0
  #filledCount = 0
  #closed = false

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Requests whose answer is not there yet. */
  get pendingCount(): number {
    return this.#pendingCount
  }

  /** Answers that came since the last flush. */
  get filledCount(): number {
    return this.#filledCount
  }

  open(): ReplySlot {
    const slot: ReplySlot = { chunks: undefined }
    this.#slots.push(slot)
    this.#pendingCount++
    return slot
  }

  fill(slot: ReplySlot, chunks: readonly (Buffer | Payload)[]): void {
    if (this.#closed) {
      releaseAll(chunks)
      return
    }
    slot.chunks = chunks
    this.#pendingCount--
    this.#filledCount++
  }

  /** Sends the answers that are ready and in order. */
  flush(): void {
    this.#filledCount = 0
    if (this.#closed) return
    const batch: (Buffer | Payload)[] = []
    let count = 0
    for (const { chunks } of this.#slots) {
      if (chunks === undefined) break
      batch.push(...chunks)
      count++
    }
    if (count > 0) this.#slots.splice(0, count)
    if (batch.length > 0) send(this.#socket, batch)
  }

  close(): void {
    this.#closed = true
    for (const slot of this.#slots) releaseAll(slot.chunks ?? [])
    this.#slots.length = 0
  }
}

function isPayload(chunk: Buffer | Payload): chunk is Payload {
  return 'release' in chunk
}

function releaseAll(chunks: readonly (Buffer | Payload)[]): void {
  for (const chunk of chunks) if (isPayload(chunk)) chunk.release()
}

/** Writes runs of memory with one call each; ranges of files go between them. */
function send(socket: Socket, chunks: readonly (Buffer | Payload)[]): void {
  let buffers: Buffer[] = []
  let payloads: Payload[] = []
  const writeRun = (): void => {
    const held = payloads
    if (buffers.length > 0)
      socket.write(buffers, held.length === 0 ? undefined : () => releaseAll(held))
    buffers = []
    payloads = []
  }
  for (const chunk of chunks) {
    if (!isPayload(chunk)) buffers.push(chunk)
    else if (chunk.buffer !== undefined) {
      buffers.push(chunk.buffer)
      payloads.push(chunk)
    } else {
      writeRun()
      sendFromFile(socket, chunk)
    }
  }
  writeRun()
}

function sendFromFile(socket: Socket, payload: Payload): void {
  const source = payload.source
  if (source === undefined || socket.sendFile === undefined) {
    payload.release()
    socket.destroy(new Error('This platform has no sendfile; set fetch.transfer=mmap or read'))
    return
  }
  socket.sendFile(source.file, source.position, payload.byteLength, () => payload.release())
}
