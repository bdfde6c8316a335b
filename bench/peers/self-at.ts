import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  PeerUnavailable,
  type Peer,
  type PeerDescription,
  type Processes,
} from '../harness/peer.ts'
import { repositoryRoot } from './places.ts'
import { programOf, SelfPeer } from './self.ts'

/** Built commits stay there, by their ids. */
const cacheFolder = join(tmpdir(), 'millrace-bench-commits')
const buildWithinMs = 600_000

/** Another commit of this repository: `self@REF`. */
export class SelfAtPeer extends SelfPeer {
  override readonly name: string
  readonly #ref: string

  constructor(ref: string) {
    super()
    this.#ref = ref
    this.name = `self@${ref}`
  }

  override async prepare(options: Parameters<Peer['prepare']>[0]): Promise<PeerDescription> {
    const { processes } = options
    const commit = await this.#commit(processes)
    const folder = join(cacheFolder, commit)
    if (!existsSync(folder)) {
      options.log(`${this.name}: building ${commit.slice(0, 7)}, once ...`)
      await build(processes, commit, folder)
    }
    this.program = programOf(join(folder, 'dist'))
    return this.describe(commit.slice(0, 7))
  }

  async #commit(processes: Processes): Promise<string> {
    const asked = ['rev-parse', '--verify', '--quiet', `${this.#ref}^{commit}`]
    try {
      return (await processes.run('git', ['-C', repositoryRoot, ...asked])).trim()
    } catch {
      throw new PeerUnavailable(`git knows no commit ${this.#ref} here`)
    }
  }
}

/** The folder is there only when it is whole. Git's own work tree is left again at once: nothing points to it later. */
async function build(processes: Processes, commit: string, folder: string): Promise<void> {
  mkdirSync(cacheFolder, { recursive: true })
  const draft = `${folder}.${process.pid}`
  const run = (command: string, ...args: string[]): Promise<string> =>
    processes.run(command, args, { cwd: draft, timeoutMs: buildWithinMs })
  try {
    mkdirSync(draft)
    const archive = `${draft}.tar`
    await processes.run('git', ['-C', repositoryRoot, 'archive', '-o', archive, commit])
    await run('tar', '-xf', archive)
    rmSync(archive)
    await install(processes, draft, commit)
    await run('npm', 'run', '--silent', 'build')
    renameSync(draft, folder)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    rmSync(`${draft}.tar`, { force: true })
    const why = error instanceof Error ? error.message : String(error)
    throw new PeerUnavailable(`building ${commit.slice(0, 7)} failed: ${why.slice(-600)}`)
  }
}

/** The same lock file needs no second installation. */
async function install(processes: Processes, draft: string, commit: string): Promise<void> {
  const differs = ['diff', '--quiet', commit, '--', 'package-lock.json']
  const isSame = await processes
    .run('git', ['-C', repositoryRoot, ...differs])
    .then(() => existsSync(join(repositoryRoot, 'node_modules')))
    .catch(() => false)
  if (isSame) symlinkSync(join(repositoryRoot, 'node_modules'), join(draft, 'node_modules'))
  else
    await processes.run('npm', ['install', '--no-save', '--no-audit', '--no-fund'], {
      cwd: draft,
      timeoutMs: buildWithinMs,
    })
}
