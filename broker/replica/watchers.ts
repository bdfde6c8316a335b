/** Who wants to be called when something has happened. Empty for most partitions, most of the time. */
export class Watchers {
  readonly #callbacks = new Set<() => void>()

  /** The function returned ends it. The same callback counts once. */
  add(callback: () => void): () => void {
    this.#callbacks.add(callback)
    return () => this.#callbacks.delete(callback)
  }

  wake(): void {
    for (const callback of this.#callbacks) callback()
  }
}
