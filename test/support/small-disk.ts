/**
 * A disk that a test can fill: a small tmpfs that only processes see which are started on it. It lives in a mount namespace of its
 * own, so that it is gone with the last of them, however they ended. Where the system gives nobody one, the files of a process may not
 * grow any more instead, which is as near to ENOSPC as one comes without a disk.
 */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, open, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startProcess } from './owned-process.ts'
import type { OwnedProcess } from './owned-process.ts'

export interface SmallDisk {
  /** Starts what follows on it: put before the command. */
  readonly program: string
  readonly command: readonly string[]
  /** Where this process sees the directory. */
  readonly path: string
  /** From now on nothing more can be written, by the process of this id where one runs, and by those that are started. */
  fill(pid?: number): Promise<void>
  /** There is room again. */
  clear(pid?: number): Promise<void>
  /** What is on it is lost. */
  stop(): Promise<void>
}

const SIZE = '8m'
const FILLER = 'filler'

/** Ways to a mount namespace: as root, or as the root of a user namespace. */
const NAMESPACES = [
  { unshare: ['-m'], nsenter: ['-m'] },
  { unshare: ['-U', '-r', '-m'], nsenter: ['-U', '--preserve-credentials', '-m'] },
]

/** Makes one at a directory, which is made where it is missing. */
export async function makeSmallDisk(dir: string): Promise<SmallDisk> {
  await mkdir(dir, { recursive: true })
  for (const { unshare, nsenter } of NAMESPACES) {
    const mount = `mount -t tmpfs -o size=${SIZE} tmpfs "$0" && echo mounted && exec sleep infinity`
    const holder = startProcess('unshare', [...unshare, '--', 'sh', '-c', mount, dir], { stdio: ['ignore', 'pipe', 'ignore'] })
    const isMounted = await Promise.race([once(holder.child.stdout!, 'data').then(() => true), holder.ended.then(() => false, () => false)]) // prettier-ignore
    if (isMounted) return realDisk(dir, holder, nsenter)
  }
  return limitedFiles(dir)
}

function realDisk(dir: string, holder: OwnedProcess, nsenter: readonly string[]): SmallDisk {
  const path = `/proc/${holder.child.pid}/root${dir}`
  const filler = join(path, FILLER)
  return {
    program: 'nsenter',
    command: ['-t', String(holder.child.pid), ...nsenter, '--', 'sh', '-c', 'cd "$0" && exec "$@"', process.cwd(), process.execPath],
    path,
    fill: async () => {
      const file = await open(filler, 'a')
      let size = 65_536
      while (size > 0) {
        try {
          await file.write(Buffer.alloc(size))
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
          size = Math.floor(size / 2)
        }
      }
      await file.close()
    },
    clear: () => rm(filler, { force: true }),
    stop: () => holder.stop(),
  }
}

/** Processes read the limit as they start; it is moved under those that run. */
function limitedFiles(dir: string): SmallDisk {
  const note = `${dir}.limit`
  const limit = async (bytes: '0' | 'unlimited', pid: number | undefined): Promise<void> => {
    await writeFile(note, bytes)
    if (pid !== undefined) execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:`])
  }
  return {
    program: 'sh',
    command: ['-c', 'ulimit -S -f "$(cat "$0" 2>/dev/null || echo unlimited)" && exec "$@"', note, process.execPath],
    path: dir,
    fill: (pid) => limit('0', pid),
    clear: (pid) => limit('unlimited', pid),
    stop: () => rm(note, { force: true }),
  }
}
