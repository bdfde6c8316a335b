import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** An absolute path from one relative to the repository; tests run from folders of compiled files inside it. */
export function repositoryPath(path: string): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package-lock.json'))) {
    if (folder === dirname(folder)) throw new Error('The repository was not found')
    folder = dirname(folder)
  }
  return join(folder, path)
}
