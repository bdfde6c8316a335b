/** The other side of `WorkerBroker`: a broker in a thread of its own, which does what messages say. */
import { parentPort, workerData } from 'node:worker_threads'
import type { Fault } from './faults.ts'
import { InlineBroker, type BrokerProcessOptions } from './process.ts'
import type { WorkerReply, WorkerRequest } from './worker-broker.ts'

const port = parentPort
if (port === null) throw new Error('This module is the body of a worker thread')
const reply = (message: WorkerReply): void => port.postMessage(message)

try {
  const broker = await InlineBroker.start(workerData as BrokerProcessOptions)
  port.on('message', (request: WorkerRequest) => {
    perform(broker, request).then(
      () => reply({ type: 'done', id: request.id }),
      (error: unknown) => reply({ type: 'failed', id: request.id, error: messageOf(error) }),
    )
  })
  reply({ type: 'ready', address: broker.address, dataDirectory: broker.dataDirectory })
} catch (error) {
  reply({ type: 'failed', id: 0, error: messageOf(error) })
}

async function perform(broker: InlineBroker, request: WorkerRequest): Promise<void> {
  switch (request.method) {
    case 'arm':
      return broker.arm(request.fault as Fault)
    case 'clearFaults':
      return broker.clearFaults()
    case 'disconnectClients':
      return broker.disconnectClients()
    case 'stop':
      return broker.stop()
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
