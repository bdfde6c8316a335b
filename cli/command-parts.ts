import { Option, type Command } from 'commander'

/** The command's own options with those in front of it. */
export function optionsOf<T>(command: Command): T {
  return command.optsWithGlobals<T & object>()
}

export function logLevel(standard: string): Option {
  return new Option('--log-level <level>', 'what is logged on standard error')
    .choices(['debug', 'info', 'warn', 'error', 'silent'])
    .default(standard)
}

export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`
}
