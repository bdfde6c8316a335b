/** Who wants to be called when something has happened. Empty for most partitions, most of the time. */
export class Watchers {
  /** Undefined until somebody comes: a hundred thousand partitions have three of these each. */
  #callbacks: Set<() => void> | undefined

  /** The function returned ends it. The same callback counts once. */
  add(callback: () => void): () => void {
    const callbacks = (this.#callbacks ??= new Set())
    callbacks.add(callback)
    return () => callbacks.delete(callback)
  }

  wake(): void {
    if (this.#callbacks === undefined) return
    for (const callback of this.#callbacks) callback()
  }
}
