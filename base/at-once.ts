/** Runs `run` for all items, `count` at the same time. Rejects with the first error, when all have ended. */
export async function atOnce<T>(
  items: readonly T[],
  count: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values()
  let failure: Error | undefined
  const workers = Array.from({ length: count }, async () => {
    for (const item of queue) {
      try {
        await run(item)
      } catch (error) {
        failure ??= error instanceof Error ? error : new Error(String(error))
      }
    }
  })
  await Promise.all(workers)
  if (failure !== undefined) throw failure
}
