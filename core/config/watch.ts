/**
 * Watches files by content: `onChange` is called when one of them no longer holds what it held. Editors that write a
 * new file and rename it, and directories that are swapped behind a symbolic link (as Kubernetes mounts them), are
 * noticed like a plain write; a touch is not. Directory events make it quick, and looking every half second makes it sure.
 */
import { watch } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { digestOfPath } from './digest.ts'
import type { FSWatcher } from 'node:fs'
import type { FileVersion } from './snapshot.ts'

/** Files looked at this often are noticed within a second, also where the file system tells nothing (NFS, some mounts). */
const LOOK_EVERY_MS = 500
/** Events of one moment are looked after together. */
const GATHER_MS = 20
/** A change counts once it has been the same for so long: editors write in several steps. */
const SETTLE_MS = 50
/** A file system's clock ticks this coarsely: a file changed more recently may change again without its times showing it. */
const TIME_GRAIN_MS = 2000

/** Files under watch. */
export interface FileWatch {
  /** Watches these instead. A file that does not hold what its version says is a change. */
  update(files: readonly FileVersion[]): void
  close(): void
}

/** Watches files. `onChange` is called once for any number of changes that come together. */
export function watchFiles(files: readonly FileVersion[], onChange: () => void): FileWatch {
  return new Watching(files, onChange)
}

/** A file as it was seen last. */
interface Seen {
  /** What `onChange` was told of, or what the snapshot was built from. */
  digest: string
  /** The file's identity, size and times when it was last read; undefined makes it read again. */
  stamp: string | undefined
}

class Watching implements FileWatch {
  private readonly onChange: () => void
  private readonly timer: NodeJS.Timeout
  private readonly watchers = new Map<string, FSWatcher>()
  private files = new Map<string, Seen>()
  /** The last parts of their paths. */
  private names = new Set<string>()
  private looking: Promise<void> | undefined
  private hasNews = false
  private isClosed = false

  constructor(files: readonly FileVersion[], onChange: () => void) {
    this.onChange = onChange
    this.timer = setInterval(() => this.look(), LOOK_EVERY_MS).unref()
    this.update(files)
  }

  update(files: readonly FileVersion[]): void {
    if (this.isClosed) return
    this.files = new Map(files.map(({ path, digest }) => [path, { digest, stamp: undefined }]))
    this.names = new Set(files.map(({ path }) => basename(path)))
    const directories = new Set(files.map(({ path }) => dirname(path)))
    for (const [directory, watcher] of this.watchers) if (!directories.has(directory)) this.drop(directory, watcher)
    for (const directory of directories) if (!this.watchers.has(directory)) this.watchDirectory(directory)
    this.look()
  }

  close(): void {
    this.isClosed = true
    clearInterval(this.timer)
    for (const [directory, watcher] of this.watchers) this.drop(directory, watcher)
  }

  private watchDirectory(directory: string): void {
    try {
      const watcher = watch(directory, { persistent: false }, (event, name) => {
        // A log in the same directory would keep us looking.
        if (event === 'rename' || name === null || this.names.has(name)) this.look()
      })
      watcher.on('error', () => this.drop(directory, watcher))
      this.watchers.set(directory, watcher)
    } catch {
      // No such directory, or no more watches to be had: looking will do.
    }
  }

  private drop(directory: string, watcher: FSWatcher): void {
    this.watchers.delete(directory)
    watcher.close()
  }

  /** Looks at all files, and once more when something happens meanwhile. */
  private look(): void {
    this.hasNews = true
    this.looking ??= this.lookWhileNews().finally(() => (this.looking = undefined))
  }

  private async lookWhileNews(): Promise<void> {
    while (this.hasNews && !this.isClosed) {
      await sleep(GATHER_MS, undefined, { ref: false })
      this.hasNews = false
      const { files } = this
      const changes = await this.changes(files)
      if (changes.length === 0) continue
      await sleep(SETTLE_MS, undefined, { ref: false })
      const settled = await this.changes(files)
      const isSettled = JSON.stringify(settled) === JSON.stringify(changes)
      if (!isSettled) this.hasNews = true
      else if (files === this.files && !this.isClosed) {
        for (const [path, digest] of settled) files.get(path)!.digest = digest
        this.onChange()
      }
    }
  }

  /** The files that hold something else now, and its digest. */
  private async changes(files: ReadonlyMap<string, Seen>): Promise<(readonly [path: string, digest: string])[]> {
    const changes: (readonly [string, string])[] = []
    for (const [path, seen] of files) {
      const stamp = await stampOf(path)
      if (stamp !== undefined && stamp === seen.stamp) continue
      const digest = await digestOfPath(path)
      if (digest !== seen.digest) changes.push([path, digest])
      else seen.stamp = stamp
    }
    return changes
  }
}

/** What tells cheaply that a file is unchanged; undefined when that cannot be told. The clock is the one that files are dated by. */
async function stampOf(path: string): Promise<string | undefined> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs, ctimeMs } = await stat(path, { bigint: true })
    return Date.now() - Number(ctimeMs) < TIME_GRAIN_MS ? undefined : [dev, ino, size, mtimeNs, ctimeNs].join(' ')
  } catch {
    return undefined
  }
}
