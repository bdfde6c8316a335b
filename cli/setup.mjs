// Makes a fresh clone runnable: installs what package-lock.json names, builds when a source is newer than the build.
// Plain JavaScript on Node's own modules, since it runs before anything is installed.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const installed = join(root, 'node_modules', '.millrace-installed')
const built = join(root, 'dist', '.millrace-built')
const sources = ['base', 'protocol', 'broker', 'client', 'controller', 'cli', 'bench', 'test']

const modifiedMs = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0)

function run(command, ...args) {
  const options = { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' }
  try {
    execFileSync(command, args, options)
  } catch {
    process.stderr.write(
      `error: ${[command, ...args].join(' ')} failed; what it printed stands above\n`,
    )
    process.exit(1)
  }
}

function newestSourceMs(folder) {
  let newest = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      if (entry.name !== 'node_modules' && entry.name !== 'out')
        newest = Math.max(newest, newestSourceMs(path))
    } else if (/\.(ts|mjs|cjs)$/.test(entry.name)) newest = Math.max(newest, modifiedMs(path))
  }
  return newest
}

/** What was compiled from a source that is gone: its tests would still run. */
function removeOrphans(folder) {
  const compiled = join(root, 'dist', folder)
  if (!existsSync(compiled)) return
  for (const entry of readdirSync(compiled, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    const source = path.replace(/(\.d\.ts|\.js)(\.map)?$/, '.ts')
    if (entry.isDirectory()) removeOrphans(path)
    else if (source !== path && !existsSync(join(root, source))) rmSync(join(root, 'dist', path))
  }
}

function touch(path) {
  writeFileSync(path, '')
  utimesSync(path, new Date(), new Date())
}

if (modifiedMs(installed) < modifiedMs(join(root, 'package-lock.json'))) {
  process.stderr.write('Installing the packages that package-lock.json names ...\n')
  // Not `npm ci`: that refuses a lock file without the binaries of every other platform, and not every
  // registry has them all. This takes the locked versions too, and leaves the lock file as it is.
  // Whatever NODE_ENV says: the compiler is one of those for development.
  run('npm', 'install', '--include=dev', '--no-save', '--no-audit', '--no-fund')
  // Test plugins are compiled into tap once; see .taprc.
  run('npx', '--no', 'tap', 'build')
  touch(installed)
}
for (const folder of sources) removeOrphans(folder)
const newest = Math.max(
  ...sources.map((folder) => newestSourceMs(join(root, folder))),
  modifiedMs(join(root, 'tsconfig.json')),
)
if (modifiedMs(built) < Math.max(newest, modifiedMs(installed))) {
  process.stderr.write('Building ...\n')
  run('npm', 'run', '--silent', 'build')
  touch(built)
}
