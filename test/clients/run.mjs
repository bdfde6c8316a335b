// Runs every *.interop test and prints "N passed, N failed" on the last line: those that mostly wait for Java to start
// two at a time, the others one after another.
//
//   node test/clients/run.mjs [--from FOLDER] [WORD...]
//
// FOLDER holds the compiled tests (default dist). With WORDs, only the files whose path has one.
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const args = process.argv.slice(2)
const from = args[0] === '--from' ? args.splice(0, 2)[1] : 'dist'
const folder = join(root, from, 'test')

const files = readdirSync(folder, { recursive: true })
  .filter((name) => name.endsWith('.interop.js') && !name.includes('node_modules'))
  .filter((name) => args.length === 0 || args.some((word) => name.includes(word)))
  .toSorted((a, b) => a.localeCompare(b))
  .map((name) => join(folder, name))

const totals = { passed: 0, failed: 0 }
const patient = ['console', 'disk', 'matrix', 'offsets', 'readme', 'sdk-codecs', 'versions']
const isPatient = (file) => patient.some((name) => file.endsWith(`/${name}.interop.js`))
// The longest first: matrix beside all the others.
const isLong = (file) => file.endsWith('/matrix.interop.js')
const queue = files.filter(isPatient).toSorted((a, b) => Number(isLong(b)) - Number(isLong(a)))
await Promise.all([runAll(queue), runAll(queue)])
await runAll(files.filter((file) => !isPatient(file)))

if (files.length === 0) {
  console.log(`no *.interop.js under ${folder}: npm run build`)
  totals.failed++
}
console.log(`${totals.passed} passed, ${totals.failed} failed`)
process.exitCode = totals.failed === 0 ? 0 : 1

async function runAll(queue) {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    const began = performance.now()
    const { passed, failed, skipped, output } = await runFile(file)
    totals.passed += passed
    totals.failed += failed
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    console.log(`${relative(root, file)}: ${passed} passed, ${failed} failed (${seconds} s)`)
    if (skipped > 0) console.log(`${relative(root, file)}: ${skipped} SKIPPED`)
    if (failed > 0) console.log(failures(output))
  }
}

/** A file without tap's closing summary, or with a bad exit code, has failed at least once. */
async function runFile(file) {
  const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  const summary = /^# \{ (.*) \}$/m.exec(output)?.[1] ?? ''
  const count = (name) => Number(new RegExp(`\\b${name}: (\\d+)`).exec(summary)?.[1] ?? 0)
  const [passed, failed] = [count('pass'), count('fail')]
  const isWhole = code === 0 && passed > 0
  return { passed, failed: isWhole || failed > 0 ? failed : 1, skipped: count('skip'), output }
}

/** The failing assertions with their diagnostics, and everything else left out. */
function failures(output) {
  const kept = []
  let inside = false
  for (const line of output.split('\n')) {
    if (/^\s*(not )?ok \d+|^# Subtest|^\s*1\.\.\d+/.test(line)) inside = line.includes('not ok')
    if (inside) kept.push(line)
  }
  return (kept.length > 0 ? kept : output.split('\n').slice(-40)).slice(0, 300).join('\n')
}
