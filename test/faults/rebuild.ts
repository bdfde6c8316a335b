/** The indexes that a broker makes from its logs when they are gone, compared with those it had. */
import { cpSync, existsSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

import { startServer, targetName } from '../clients/server.ts'

/**
 * Names the index files of a cleanly stopped broker that come out differently when they are deleted
 * and the broker starts. Apache Kafka's own rebuild counts the index interval from batch to batch,
 * its append from request to request, so its indexes may differ: for it nothing is compared.
 */
export async function rebuiltIndexDifferences(options: {
  dataDirectory: string
  scratchDirectory: string
  topic: string
  partitionCount: number
}): Promise<string[]> {
  if (targetName === 'kafka') return []
  const { dataDirectory, scratchDirectory, topic, partitionCount } = options
  const copy = join(scratchDirectory, 'rebuilt')
  cpSync(dataDirectory, copy, { recursive: true, preserveTimestamps: true })
  const before = new Map<string, Buffer>()
  for (let partition = 0; partition < partitionCount; partition++) {
    const folder = join(copy, `${topic}-${partition}`)
    for (const name of readdirSync(folder)) {
      const path = join(folder, name)
      if (/\.(index|timeindex)$/.test(name)) before.set(path, readFileSync(path))
      if (/\.(index|timeindex|txnindex|summary|snapshot)$/.test(name)) rmSync(path)
    }
  }
  // Without these the whole log is recovered, not only its end.
  rmSync(join(copy, '.kafka_cleanshutdown'), { force: true })
  rmSync(join(copy, 'recovery-point-offset-checkpoint'), { force: true })
  const server = await startServer({ dataDirectory: copy })
  await server.stop()
  const different: string[] = []
  for (const [path, bytes] of before) {
    if (!existsSync(path)) different.push(`${path} is not made again`)
    else if (!readFileSync(path).equals(bytes)) different.push(`${path} comes out differently`)
  }
  if (process.env['KEEP'] !== '1') rmSync(copy, { recursive: true })
  return different
}
