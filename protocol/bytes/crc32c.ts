import { loadPackage } from '../../base/load-package.ts'
import { crc32cOfTables } from './crc32c-tables.ts'

type Crc32c = (bytes: Uint8Array, previous: number) => number

/**
 * Loaded at the first use: it takes 25 ms that `import 'millrace'` need not wait for. Where there is no binary for the
 * platform, or a bundler left it behind, tables do the same at a twentieth of the speed.
 */
function load(): Crc32c {
  try {
    const library = loadPackage('@node-rs/crc32') as { crc32c: Crc32c }
    return library.crc32c
  } catch {
    return crc32cOfTables
  }
}

let loaded: Crc32c = (bytes, previous) => {
  loaded = load()
  return loaded(bytes, previous)
}

/** CRC-32C (Castagnoli), unsigned. Pass the result for the bytes before these to continue a running checksum. */
export function crc32c(bytes: Uint8Array, previous = 0): number {
  return loaded(bytes, previous)
}
