import { createInterface } from 'node:readline/promises'
import { CliError } from './errors.ts'
import { exitCodes } from './exit-codes.ts'

/** Asks on a terminal; scripts are taken to mean what they say. */
export async function confirmed(question: string, yes: boolean | undefined): Promise<void> {
  if (yes === true || !process.stdin.isTTY) return
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await terminal.question(`${question} [y/N] `)
  terminal.close()
  if (!/^y(es)?$/i.test(answer.trim())) {
    throw new CliError({
      code: 'NOT_CONFIRMED',
      message: 'Nothing was done',
      exitCode: exitCodes.failed,
    })
  }
}
