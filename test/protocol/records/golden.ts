import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Bytes made by other implementations, by name. `golden/Golden.java` and `golden/golden.py` made them;
 * tests run in the root of the repository.
 */
export const golden: ReadonlyMap<string, Buffer> = new Map(
  readFileSync(join(process.cwd(), 'test/protocol/records/golden/vectors.txt'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const [name = '', bytes = ''] = line.split(' ')
      return [name, Buffer.from(bytes, 'base64')]
    }),
)

export function vector(name: string): Buffer {
  const bytes = golden.get(name)
  if (bytes === undefined) throw new Error(`No golden bytes are called ${name}`)
  // A copy, since tests patch and damage them.
  return Buffer.from(bytes)
}
