import t from 'tap'
import { appendCase, cases } from './append-cases.ts'
import { machine, open } from './log-support.ts'

for (const each of cases) {
  t.test(`append: ${each.name}`, async (t) => {
    const m = machine()
    const logs = await open(m, { config: each.config ?? {} })
    const result = appendCase(logs, each)
    if (each.error === undefined) t.match(result, { ok: true })
    else {
      t.match(result, { ok: false, error: { name: each.error } })
      if (!result.ok && each.recordErrors !== undefined)
        t.same(
          result.recordErrors.map((error) => error.batchIndex),
          each.recordErrors,
        )
      const log = logs.get('topic', 0)!
      t.equal(log.nextOffset, each.before?.length ?? 0, 'nothing of it is in the log')
    }
    await m.simulation.until(logs.close())
  })
}
