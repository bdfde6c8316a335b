import { createInterface } from 'node:readline/promises'
import { CliError } from './errors.ts'
import { exitCodes } from './exit-codes.ts'

/** Asks on a terminal; scripts are taken to mean what they say. */
export async function confirmed(question: string, yes: boolean | undefined): Promise<void> {
  if (yes === true || !process.stdin.isTTY) return
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  let exitCode: number = exitCodes.failed
  // Ctrl-D and Ctrl-C close the terminal, and then the question is never answered.
  const answer = await new Promise<string>((resolve) => {
    terminal.once('close', () => resolve(''))
    terminal.once('SIGINT', () => {
      exitCode = exitCodes.interrupted
      terminal.close()
    })
    terminal.question(`${question} [y/N] `).then(resolve, () => resolve(''))
  })
  terminal.close()
  if (!/^y(es)?$/i.test(answer.trim())) {
    throw new CliError({ code: 'NOT_CONFIRMED', message: 'Nothing was done', exitCode })
  }
}
