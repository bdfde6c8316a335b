import { readFileSync } from 'node:fs'
import t from 'tap'
import { ProcessRegistry } from '../../bench/harness/processes.ts'
import {
  countersOf,
  descendants,
  figuresBetween,
  machineCounters,
} from '../../bench/harness/process-group.ts'

function isAlive(processId: number): boolean {
  try {
    // A zombie that nobody waits for is gone as well.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${processId}/status`, 'utf8'))
  } catch {
    return false
  }
}

async function eventually(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5))
}

t.test('processes: killing takes the children along', async (t) => {
  const processes = new ProcessRegistry()
  const shell = processes.spawn('sh', ['-c', 'sleep 1000 & sleep 1000'])
  await eventually(() => descendants([shell.processId]).length === 3)
  const all = descendants([shell.processId])
  await processes.killAll()
  t.equal(await shell.exited, 'SIGKILL')
  await eventually(() => !all.some(isAlive))
  t.ok(shell.hasExited())
})

t.test('processes: after an interruption nothing is started any more', async (t) => {
  const interruption = new AbortController()
  const processes = new ProcessRegistry(interruption.signal)
  const shell = processes.spawn('sleep', ['1000'])
  processes.killAllAtOnce()
  interruption.abort(new Error('interrupted'))
  t.equal(await shell.exited, 'SIGKILL')
  t.throws(() => processes.spawn('sleep', ['1000']), { message: 'interrupted' })
  await t.rejects(processes.run('sleep', ['1000']), { message: 'interrupted' })
})

t.test('processes: a command gives its output, or fails with the end of it', async (t) => {
  const processes = new ProcessRegistry()
  t.equal(await processes.run('echo', ['some', 'words']), 'some words\n')
  await t.rejects(processes.run('sh', ['-c', 'echo wrong >&2; exit 3']), {
    message: /ended with 3:\nwrong/,
  })
  await t.rejects(processes.run('/nonexistent/program', []), { message: /ended with 127/ })
  await t.rejects(processes.run('sleep', ['1000'], { timeoutMs: 50 }), {
    message: /took too long/,
  })
})

t.test(
  'processes: CPU counts children too, those that have ended and those that go on',
  async (t) => {
    const processes = new ProcessRegistry()
    const burn = 'i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done'
    const script = `sh -c '${burn}'; echo done; sh -c '${burn}; sleep 1000'`
    const shell = processes.spawn('sh', ['-c', script])
    const before = countersOf([shell.processId])
    // The first one was waited for, and the second one waits.
    await eventually(() => shell.output().includes('done'))
    await eventually(() => descendants([shell.processId]).length === 3)
    const figures = figuresBetween(before, countersOf([shell.processId]))
    t.ok(figures.cpuMs > 20, `${figures.cpuMs} ms`)
    t.ok(figures.residentBytes > 0)
    t.ok(machineCounters().busyMs > figures.cpuMs)
    await processes.killAll()
  },
)
