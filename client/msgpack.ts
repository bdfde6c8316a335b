import { loadPackage } from '../base/load-package.ts'

interface Msgpack {
  pack(value: unknown): Buffer
  unpack(bytes: Buffer): unknown
}

let loaded: Msgpack | undefined

/** At the first use: most programs do without. */
export function loadMsgpack(): Msgpack {
  if (loaded === undefined) {
    const { Packr } = loadPackage('msgpackr') as {
      Packr: new (options: { useRecords: boolean; variableMapSize: boolean }) => Msgpack
    }
    // Plain MessagePack, which every other library reads: msgpackr's records are its own extension.
    loaded = new Packr({ useRecords: false, variableMapSize: true })
  }
  return loaded
}
