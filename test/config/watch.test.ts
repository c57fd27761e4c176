import { mkdir, readFile, rename, rm, symlink, unlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { digestOf } from '../../core/config/digest.ts'
import { watchFiles } from '../../core/config/watch.ts'
import { build, directoryWith } from './fixtures.ts'
import type { FileVersion } from '../../core/config/snapshot.ts'
import type { FileWatch } from '../../core/config/watch.ts'

/** Long enough for a change to be noticed, had there been one. */
const QUIET_MS = 900

interface Watched {
  readonly watch: FileWatch
  changes: number
}

function watching(files: readonly FileVersion[]): Watched {
  const watched = { changes: 0, watch: watchFiles(files, () => void watched.changes++) }
  onTestFinished(() => watched.watch.close())
  return watched
}

const versionOf = async (path: string): Promise<FileVersion> => ({ path, digest: digestOf(await readFile(path)) })

/** Waits until a change was noticed, and until nothing more comes. */
async function expectOneChange(watched: Watched, act: () => Promise<void>): Promise<void> {
  const before = watched.changes
  await act()
  await vi.waitFor(() => expect(watched.changes).toBe(before + 1), { timeout: 5000, interval: 10 })
  await sleep(200)
  expect(watched.changes).toBe(before + 1)
}

test('a file that is written in place is noticed, once', async () => {
  const directory = await directoryWith({ 'a.yaml': 'one', 'b.yaml': 'two' })
  const watched = watching([await versionOf(join(directory, 'a.yaml')), await versionOf(join(directory, 'b.yaml'))])
  await expectOneChange(watched, async () => {
    await writeFile(join(directory, 'a.yaml'), 'two')
    await writeFile(join(directory, 'b.yaml'), 'three')
  })
})

test('a file that an editor replaces by renaming is noticed, again and again', async () => {
  const directory = await directoryWith({ 'a.yaml': 'one' })
  const path = join(directory, 'a.yaml')
  const watched = watching([await versionOf(path)])
  for (const text of ['two', 'three', 'four']) {
    await expectOneChange(watched, async () => {
      await writeFile(`${path}~`, text)
      await rename(`${path}~`, path)
    })
    watched.watch.update([await versionOf(path)])
  }
})

test('a directory that is swapped behind a symbolic link is noticed, as Kubernetes mounts them', async () => {
  const directory = await directoryWith({ '..1/a.yaml': 'one', '..2/a.yaml': 'two' })
  await symlink('..1', join(directory, '..data'))
  await symlink('..data/a.yaml', join(directory, 'a.yaml'))
  const watched = watching([await versionOf(join(directory, 'a.yaml'))])
  await expectOneChange(watched, async () => {
    await symlink('..2', join(directory, '..data_tmp'))
    await rename(join(directory, '..data_tmp'), join(directory, '..data'))
  })
})

test('a file that comes, goes and comes back is noticed each time', async () => {
  const directory = await directoryWith({})
  const path = join(directory, 'a.yaml')
  const watched = watching([{ path, digest: '' }])
  await expectOneChange(watched, () => writeFile(path, 'one'))
  await expectOneChange(watched, () => unlink(path))
  await expectOneChange(watched, () => writeFile(path, 'one'))
})

test('a directory that comes later is noticed', async () => {
  const directory = await directoryWith({})
  const watched = watching([{ path: join(directory, 'later/a.yaml'), digest: '' }])
  await expectOneChange(watched, async () => {
    await mkdir(join(directory, 'later'))
    await writeFile(join(directory, 'later/a.yaml'), 'one')
  })
})

test('a name that is added to a watched directory is noticed', async () => {
  const directory = await directoryWith({ 'plugins/a.ts': '' })
  const watched = watching([{ path: join(directory, 'plugins'), digest: digestOf('a.ts') }])
  await expectOneChange(watched, () => writeFile(join(directory, 'plugins/b.ts'), ''))
})

test('a change between reading and watching is noticed', async () => {
  const directory = await directoryWith({ 'a.yaml': 'two' })
  const watched = watching([{ path: join(directory, 'a.yaml'), digest: digestOf('one') }])
  await expectOneChange(watched, () => Promise.resolve())
})

test('a touch, a write of the same and a file beside are no change', async () => {
  const directory = await directoryWith({ 'a.yaml': 'one', 'beside.yaml': 'one' })
  const path = join(directory, 'a.yaml')
  const watched = watching([await versionOf(path)])
  await utimes(path, new Date(), new Date())
  await writeFile(path, 'one')
  await writeFile(join(directory, 'beside.yaml'), 'two')
  await rm(join(directory, 'beside.yaml'))
  await sleep(QUIET_MS)
  expect(watched.changes).toBe(0)
})

test('what is no longer watched, or after the end, is not noticed', async () => {
  const directory = await directoryWith({ 'a.yaml': 'one', 'b.yaml': 'one' })
  const watched = watching([await versionOf(join(directory, 'a.yaml'))])
  watched.watch.update([await versionOf(join(directory, 'b.yaml'))])
  await writeFile(join(directory, 'a.yaml'), 'two')
  await sleep(QUIET_MS)
  watched.watch.close()
  await writeFile(join(directory, 'b.yaml'), 'two')
  await sleep(QUIET_MS)
  expect(watched.changes).toBe(0)
})

test('what a snapshot says that it read is what the watch finds there', async () => {
  const { files } = await build({
    'gateway.yaml': `
plugins_dir: plugins
upstreams: [{ id: node, nodes: [{ url: http://127.0.0.1 }], tls: { ca: none.pem } }, { id: other, nodes: [{ url: http://127.0.0.1 }], tls: { ca: plugins } }]
routes: [{ id: a, uris: [/a], upstream_id: node, plugins: { decoder: {}, prices: { config_path: prices.yaml } } }]`,
    'prices.yaml': '{}',
    'plugins/readme.md': '',
    'plugins/.hidden': '',
  })
  expect(files.map(({ path }) => path.split('/').at(-1))).toEqual(['gateway.yaml', 'plugins', 'prices.yaml', 'none.pem'])
  const watched = watching(files)
  await sleep(QUIET_MS)
  expect(watched.changes).toBe(0)
})
