// The command's first module; `millrace.cjs` loads it.
import { CommanderError } from 'commander'
import { formatReport, reportOf } from './errors.ts'
import { exitCodes } from './exit-codes.ts'
import { endQuietlyOnClosedPipe, flushed } from './output.ts'
import { createProgram } from './program.ts'

/** Runs one command. Resolves with the exit code; `undefined` while the command goes on, as a broker does. */
async function main(): Promise<number | undefined> {
  const program = createProgram()
  // Timers of the client don't keep a process alive, and between two attempts there may be nothing else.
  const awake = setInterval(() => undefined, 2 ** 30)
  try {
    await program.parseAsync()
    return undefined
  } catch (error) {
    if (error instanceof CommanderError)
      return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    const report = reportOf(error)
    const format = program.opts()['output'] === 'json' ? 'json' : 'table'
    process.stderr.write(formatReport(report, format))
    return report.exitCode
  } finally {
    clearInterval(awake)
  }
}

async function run(): Promise<void> {
  const exitCode = await main()
  await Promise.all([flushed(process.stdout), flushed(process.stderr)])
  if (exitCode !== undefined) process.exit(exitCode)
}

endQuietlyOnClosedPipe(process.stdout)
// Who does not listen to messages any more does not want a broker to end without a clean stop.
process.stderr.on('error', () => undefined)
// Not awaited here: the bundle is of CommonJS.
void run()
