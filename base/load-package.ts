import { createRequire } from 'node:module'

/** In a bundle of CommonJS there is no `import.meta.url`. */
const here = typeof __filename === 'string' ? __filename : import.meta.url

export class PackageError extends Error {
  override readonly name = 'PackageError'
  readonly code = 'PACKAGE'
}

/** Loads a package when it is first needed; bundlers leave it where npm put it. Throws `PackageError` when it does not load. */
export function loadPackage(name: string): unknown {
  try {
    return createRequire(here)(name) as unknown
  } catch (cause) {
    const message = `The package "${name}" can't be loaded: is it installed where ${here} finds it?`
    throw new PackageError(message, { cause })
  }
}
