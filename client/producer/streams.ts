import { Writable } from 'node:stream'
import { WritableStream } from 'node:stream/web'

/** What a stream needs of a producer. */
export interface StreamTarget<Message> {
  enqueue(message: Message): Promise<void> | undefined
  flush(): Promise<void>
}

/** How many messages may wait in front of the producer, which has its own, larger buffer. */
const messagesMax = 1024

export function webWritable<Message>(target: StreamTarget<Message>): WritableStream<Message> {
  return new WritableStream<Message>(
    { write: (message) => target.enqueue(message), close: () => target.flush() },
    { highWaterMark: messagesMax },
  )
}

export function nodeWritable<Message>(target: StreamTarget<Message>): Writable {
  const enqueue = (message: Message, done: (error?: Error | null) => void): void => {
    try {
      const taken = target.enqueue(message)
      if (taken === undefined) done()
      else taken.then(() => done(), done)
    } catch (error) {
      done(error as Error)
    }
  }
  return new Writable({
    objectMode: true,
    highWaterMark: messagesMax,
    write: (message: Message, _encoding, done) => enqueue(message, done),
    final: (done) => {
      target.flush().then(() => done(), done)
    },
  })
}
