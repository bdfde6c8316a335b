// What must not outlive a bench, however it ends: servers, and folders behind them.
const ends = new Set<() => void>()
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** As a shell has it. */
const interruptedCode = 130

/** Runs `end` when the process ends before the result was called, the latest first. It can't wait for anything. */
export function atExit(end: () => void): () => void {
  if (ends.size === 0) listen()
  ends.add(end)
  return () => {
    if (ends.delete(end) && ends.size === 0) unlisten()
  }
}

function listen(): void {
  process.on('exit', endAll)
  for (const signal of signals) process.on(signal, interrupted)
}

function unlisten(): void {
  process.removeListener('exit', endAll)
  for (const signal of signals) process.removeListener(signal, interrupted)
}

function endAll(): void {
  for (const end of [...ends].toReversed()) end()
}

/** Leads to `exit`. */
function interrupted(): void {
  process.exit(interruptedCode)
}
