/** The files that one snapshot is built from: read once each, bounded, their content remembered by digest. */
import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readFile, readdir, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { readDocument } from './document.ts'
import type { Document } from './document.ts'
import type { Env } from './env.ts'
import type { Place } from './judge.ts'
import type { Problems } from './problem.ts'
import type { FileVersion } from './snapshot.ts'

/** A file of a million consumers has 100 MiB. */
const MAX_FILE_BYTES = 256 * 1024 * 1024

export class Sources {
  /** Absolute: relative paths in the configuration begin here. */
  readonly directory: string
  private readonly file: string
  private readonly env: Env
  private readonly problems: Problems
  private readonly read = new Map<string, string>()

  constructor(file: string, env: Env, problems: Problems) {
    this.file = file
    this.directory = dirname(resolve(file))
    this.env = env
    this.problems = problems
  }

  /** All that was read so far, or would have been. */
  versions(): FileVersion[] {
    return Array.from(this.read, ([path, digest]) => ({ path, digest }))
  }

  /** The configuration file itself. */
  main(): Promise<Document> {
    return this.load(resolve(this.file), this.file, undefined)
  }

  /** A YAML file that the configuration names. */
  document(name: string, namedAt: Place): Promise<Document> {
    return this.load(this.absolute(name), this.shown(name), namedAt)
  }

  /** A file's text; undefined, and a problem, when it cannot be had. */
  async text(name: string, namedAt: Place): Promise<string | undefined> {
    return this.textOf(this.absolute(name), this.shown(name), namedAt)
  }

  /** What is in a directory, by name; nothing, and a problem, when it cannot be read. */
  async entries(name: string, namedAt: Place): Promise<{ readonly name: string; readonly isDirectory: boolean }[]> {
    const path = this.absolute(name)
    try {
      const names = await readdir(path)
      this.read.set(path, digestOfNames(names))
      return await Promise.all(names.map(async (name) => ({ name, isDirectory: (await stat(join(path, name))).isDirectory() })))
    } catch (error) {
      this.read.set(path, await digestOfPath(path))
      this.tell(this.shown(name), namedAt, unreadable(error))
      return []
    }
  }

  absolute(name: string): string {
    return resolve(this.directory, name)
  }

  /** A relative name as the operator would write it from where the configuration file was named. */
  shown(name: string): string {
    return isAbsolute(name) ? name : join(dirname(this.file), name)
  }

  private async load(path: string, shown: string, namedAt: Place | undefined): Promise<Document> {
    const text = await this.textOf(path, shown, namedAt)
    if (text === undefined) return { file: shown, value: undefined, lineOf: () => undefined }
    return readDocument(shown, text, this.env, this.problems)
  }

  private async textOf(path: string, shown: string, namedAt: Place | undefined): Promise<string | undefined> {
    let problem: string
    try {
      const { size } = await stat(path)
      const bytes = size > MAX_FILE_BYTES ? undefined : await readFile(path)
      if (bytes !== undefined && isUtf8(bytes)) {
        this.read.set(path, digestOf(bytes))
        return bytes.toString('utf8')
      }
      problem = bytes === undefined ? `is larger than ${MAX_FILE_BYTES} bytes` : 'is not UTF-8'
    } catch (error) {
      problem = unreadable(error)
    }
    this.read.set(path, await digestOfPath(path))
    this.tell(shown, namedAt, problem)
    return undefined
  }

  private tell(shown: string, namedAt: Place | undefined, message: string): void {
    if (namedAt === undefined) this.problems.add('error', { file: shown, lineOf: () => undefined }, [], message)
    else this.problems.add('error', namedAt.in, namedAt.path, `${shown} ${message}`)
  }
}

function unreadable(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`
}

/** What tells one content from another. */
export function digestOf(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('base64url')
}

function digestOfNames(names: string[]): string {
  return digestOf(names.sort().join('\n'))
}

/** The digest of a file of any size, or of the names in a directory; '' where there is nothing to read. */
export async function digestOfPath(path: string): Promise<string> {
  try {
    if ((await stat(path)).isDirectory()) return digestOfNames(await readdir(path))
    const hash = createHash('sha256')
    for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array)
    return hash.digest('base64url')
  } catch {
    return ''
  }
}
