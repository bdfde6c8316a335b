import { createRequire } from 'node:module'

/** In a bundle of CommonJS there is no `import.meta.url`. */
const here = typeof __filename === 'string' ? __filename : import.meta.url

/** Loads a package when it is first needed; bundlers leave it where npm put it. Throws when it is not there. */
export function loadPackage(name: string): unknown {
  return createRequire(here)(name)
}
