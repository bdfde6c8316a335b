/** Reads what the logs gained since the last time into a history. */
import { PartitionReader } from '../clients/admin.ts'
import { pause } from '../clients/processes.ts'
import type { Server } from '../clients/server.ts'
import type { History } from './history.ts'

/** After a restart a broker may need a moment until it leads its partitions. */
const readyMs = 20_000

export async function readLogs(server: Server, topic: string, history: History): Promise<void> {
  const acknowledgedEnds = history.acknowledgedEnds()
  const reader = await connected(server)
  try {
    for (let partition = 0; partition < history.partitionCount; partition++) {
      const records = await patiently(() =>
        reader.read(topic, partition, history.nextOffset(partition)),
      )
      for (const { offset, value } of records) history.take(partition, offset, value)
      history.checkNothingLost(partition, acknowledgedEnds[partition]!)
    }
  } finally {
    await reader.close()
  }
}

function connected(server: Server): Promise<PartitionReader> {
  return patiently(() => PartitionReader.connect(server.host, server.port))
}

/** Repeats what fails because the broker is not quite there yet. OFFSET_OUT_OF_RANGE is no such thing. */
async function patiently<T>(action: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + readyMs
  for (;;) {
    try {
      return await action()
    } catch (error) {
      const { type } = error as { type?: string }
      if (performance.now() > deadline || type === 'OFFSET_OUT_OF_RANGE') throw error
      await pause(50)
    }
  }
}
