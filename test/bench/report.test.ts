import t from 'tap'
import { htmlReport } from '../../bench/harness/report/html.ts'
import { resultsMarkdown } from '../../bench/harness/report/markdown.ts'
import { logScale, logTicks } from '../../bench/harness/report/svg.ts'
import { summarizeRun } from '../../bench/harness/summary.ts'
import { cellLines, digits, ratioLines, valueText } from '../../bench/harness/table.ts'
import { cellResult, runResult } from './fakes.ts'

const run = runResult([cellResult({ self: [40, 42, 44], kafka: [10, 11, 12] })])

t.test('report: one file that refers to nothing else, and shows text as text', async (t) => {
  const html = htmlReport(run)
  t.notMatch(html, /(src|href)=|@import|url\(|<script/)
  t.match(html, 'request=64K &amp; more')
  t.match(html, 'Sends &lt;much&gt;.')
  t.match(html, 'run kafka &lt;fast&gt;')
  t.match(html, 'skipped: no redis-server')
  t.match(html, '1 of 1', 'demands')
  t.equal(html.match(/<circle/g)?.length, 6, 'every sample has its dot')
  t.notMatch(html, /NaN|undefined|Infinity/)
})

t.test('report: tags are closed in the order that they were opened', async (t) => {
  const open: string[] = []
  const single = new Set(['meta', 'br', '!doctype'])
  for (const [, end, name = '', self] of htmlReport(run).matchAll(
    /<(\/?)([!a-zA-Z][\w]*)[^>]*?(\/?)>/g,
  )) {
    if (self === '/' || single.has(name)) continue
    if (end === '/') t.equal(open.pop(), name)
    else open.push(name)
  }
  t.same(open, [])
})

t.test('report: a run without any sample has no ratios, and no picture breaks', async (t) => {
  const cell = cellResult({ self: [], kafka: [] })
  const empty = runResult([
    { ...cell, entries: cell.entries.map((entry) => ({ ...entry, skipped: 'it died\nlater' })) },
  ])
  t.notMatch(htmlReport(empty), /NaN|Infinity/)
  t.match(resultsMarkdown(empty), 'kafka skipped: it died')
  t.match(cellLines(summarizeRun(empty)[0]!).join('\n'), 'self skipped: it died')
})

t.test('report: in Markdown each demand has what was reached', async (t) => {
  const text = resultsMarkdown(run)
  t.match(
    text,
    '| produce: request=64K & more | speed | 42 MB/s | 11 MB/s | 3.82 | 3.82 [3.43-4.26] | >= 2 of kafka: reached |',
  )
  t.match(text, '**redis**: skipped, no redis-server')
})

t.test('report: the table of the terminal marks what is no claim', async (t) => {
  const close = runResult([cellResult({ self: [10, 12, 9], kafka: [10, 10, 10] })])
  t.match(ratioLines(summarizeRun(close)).join('\n'), /1 \[0\.715-1\.47\] ~ +>= 2 of kafka MISSED/)
})

t.test('report: numbers and scales', async (t) => {
  t.same([0.01234, 12.345, 1234.5, NaN].map(digits), ['0.0123', '12.3', '1235', '-'])
  t.same(
    [999, 12_345, 1_234_567].map((value) => valueText(value, 'µs')),
    ['999 µs', '12.3 ms', '1235 ms'],
  )
  t.same(logTicks(0.6, 7), [0.5, 1, 2, 5, 10])
  const x = logScale([1, 100], [0, 200])
  t.same([1, 10, 100, 1000].map(x), [0, 100, 200, 200])
})
