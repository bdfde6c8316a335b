import { CliError, reportOf } from './errors.ts'
import { exitCodes } from './exit-codes.ts'

/** When one fails after others were done, the report names those; `isDry`: nothing was done. */
export async function oneByOne(
  names: readonly string[],
  work: (name: string) => Promise<void>,
  { isDry = false }: { readonly isDry?: boolean } = {},
): Promise<void> {
  for (const [index, name] of names.entries()) {
    try {
      await work(name)
    } catch (error) {
      if (index === 0 || isDry) throw error
      throw new CliError({
        ...reportOf(error),
        why: `this was done before it: ${names.slice(0, index).join(', ')}`,
        exitCode: exitCodes.partial,
      })
    }
  }
}
