// Goal: the order of steps that survives a power cut at any moment (reliability I25).
import t from 'tap'
import type { Disk, DiskFile } from '../../base/env.ts'
import { publish, publishNow } from '../../base/publish.ts'

/** Notes what is asked of it; `failing` is the step that throws. */
function recordingDisk(failing = ''): { disk: Disk; steps: string[] } {
  const steps: string[] = []
  const step = (text: string): void => {
    steps.push(text)
    if (text === failing) throw new Error(`${text} failed`)
  }
  const file = {
    truncate: (bytes: number) => step(`truncate ${bytes}`),
    write: (buffers: readonly Uint8Array[], position: number) =>
      step(`write ${Buffer.concat(buffers).toString()} at ${position}`),
    sync: async () => step('sync'),
    syncNow: () => step('sync'),
    close: () => step('close'),
  }
  const disk = {
    open: (path: string) => {
      step(`open ${path}`)
      return file as unknown as DiskFile
    },
    rename: (from: string, to: string) => step(`rename ${from} ${to}`),
    syncDirectory: async (path: string) => step(`syncDirectory ${path}`),
    syncDirectoryNow: (path: string) => step(`syncDirectory ${path}`),
  }
  return { disk: disk as unknown as Disk, steps }
}

const wholeWay = [
  'open /data/file.tmp',
  'truncate 0',
  'write hello at 0',
  'sync',
  'close',
  'rename /data/file.tmp /data/file',
  'syncDirectory /data',
]

t.test('publish: written, synced, renamed, and the name synced', async (t) => {
  const { disk, steps } = recordingDisk()
  await publish(disk, '/data/file', Buffer.from('hello'))
  t.same(steps, wholeWay)
})

t.test('publish: the blocking one does the same', async (t) => {
  const { disk, steps } = recordingDisk()
  publishNow(disk, '/data/file', Buffer.from('hello'))
  t.same(steps, wholeWay)
})

t.test('publish: a file in the root', async (t) => {
  const { disk, steps } = recordingDisk()
  publishNow(disk, '/file', Buffer.from('hello'))
  t.equal(steps.at(-1), 'syncDirectory /')
})

t.test('publish: a failed step leaves the old file and no open descriptor', async (t) => {
  for (const failing of ['truncate 0', 'write hello at 0', 'sync']) {
    for (const variant of [publish, publishNow]) {
      const { disk, steps } = recordingDisk(failing)
      await t.rejects(async () => variant(disk, '/data/file', Buffer.from('hello')), {
        message: `${failing} failed`,
      })
      t.equal(steps.at(-1), 'close')
      t.notOk(steps.some((text) => text.startsWith('rename')))
    }
  }
})
