import { deferred, type Deferred } from '../../../base/deferred.ts'
import type { WaitingConnection } from './classic-api.ts'

/** A request that waits for its group. It is settled once: by an answer, or since its connection closed. */
export class Parked<Answer> {
  readonly #answer: Deferred<Answer | undefined> = deferred()
  readonly #forgetConnection: () => void

  /** `abandoned` is told when the connection closes before the answer. */
  constructor(connection: WaitingConnection, abandoned: (parked: Parked<Answer>) => void) {
    this.#forgetConnection = connection.onClosed(() => {
      this.#answer.resolve(undefined)
      abandoned(this)
    })
  }

  /** Resolves with undefined when nobody waits any more. */
  get promise(): Promise<Answer | undefined> {
    return this.#answer.promise
  }

  answer(answer: Answer): void {
    this.#forgetConnection()
    this.#answer.resolve(answer)
  }
}
