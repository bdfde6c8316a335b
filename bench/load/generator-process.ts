// The load generator's process: see generator.ts.
import { prepareGroups } from './groups.ts'
import { prepareHolding } from './holding.ts'
import type { FromGenerator, Job, ToGenerator } from './jobs.ts'
import { prepareMessages } from './messages.ts'
import { preparePaced } from './paced.ts'
import { prepareProducers } from './producers.ts'
import { prepareReaders } from './readers.ts'

type Result = Extract<FromGenerator, { result: unknown }>['result']

let go: (() => Promise<Result>) | undefined

function prepare(job: Job): Promise<() => Promise<Result>> {
  switch (job.kind) {
    case 'produce':
      return prepareProducers(job)
    case 'read':
      return prepareReaders(job)
    case 'paced':
      return preparePaced(job)
    case 'hold':
      return prepareHolding(job)
    case 'messages':
      return prepareMessages(job)
    case 'groups':
      return prepareGroups(job)
  }
}

async function answer(request: ToGenerator): Promise<FromGenerator> {
  if ('prepare' in request) {
    go = await prepare(request.prepare)
    return { prepared: true }
  }
  if (go === undefined) return { error: 'Nothing was prepared' }
  const work = go
  go = undefined
  return { result: await work() }
}

function reply(message: FromGenerator): void {
  process.send?.(message)
}

process.on('message', (message) => {
  answer(message as ToGenerator).then(reply, (error: unknown) =>
    reply({ error: error instanceof Error ? error.message : String(error) }),
  )
})
// The harness is gone: so is the reason for this process.
process.on('disconnect', () => process.exit())
