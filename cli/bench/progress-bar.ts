const widthChars = 20
const everyMs = 200

export interface ProgressView {
  /** From 0 to 1. */
  readonly part: number
  readonly text: string
}

/** A line that is drawn again and again on a terminal's standard error; nothing where that is no terminal. */
export class ProgressBar implements Disposable {
  readonly #look: () => ProgressView
  readonly #timer: NodeJS.Timeout | undefined

  constructor(look: () => ProgressView) {
    this.#look = look
    if (process.stderr.isTTY) this.#timer = setInterval(() => this.#draw(), everyMs)
  }

  /** A line on standard output, which may be the same terminal. */
  printLine(line: string): void {
    this.#wipe()
    process.stdout.write(`${line}\n`)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#wipe()
  }

  #wipe(): void {
    if (this.#timer !== undefined) process.stderr.write('\r\u001b[K')
  }

  #draw(): void {
    process.stderr.write(`\r${progressLine(this.#look(), process.stderr.columns)}\u001b[K`)
  }
}

/** "[#####-----]  50.0 % TEXT", cut to what a terminal shows in a line. */
export function progressLine({ part, text }: ProgressView, columns: number): string {
  const whole = Math.min(1, Math.max(0, part))
  const filled = Math.round(whole * widthChars)
  const bar = `${'#'.repeat(filled)}${'-'.repeat(widthChars - filled)}`
  return `[${bar}] ${(whole * 100).toFixed(1).padStart(5)} % ${text}`.slice(0, columns - 1)
}

/** "12 s left", from what is done and how long it took. */
export function timeLeft(part: number, elapsedMs: number): string {
  if (part <= 0) return ''
  return `${Math.ceil((elapsedMs * (1 - part)) / part / 1000)} s left`
}
