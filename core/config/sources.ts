/**
 * The files that one snapshot is built from: read once each, bounded, their content remembered by digest. Or not read at
 * all, where their content is given: that builds the same snapshot again, whatever the files hold by then.
 */
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
import type { Content, DirectoryEntry, FileVersion } from './snapshot.ts'

/** A file of a million consumers has 100 MiB. */
const MAX_FILE_BYTES = 256 * 1024 * 1024

export class Sources {
  /** Absolute: relative paths in the configuration begin here. */
  readonly directory: string
  private readonly file: string
  private readonly env: Env
  private readonly problems: Problems
  private readonly given: Content | undefined
  private readonly read = new Map<string, string>()
  private readonly texts = new Map<string, string>()
  private readonly directories = new Map<string, readonly DirectoryEntry[]>()

  constructor(file: string, env: Env, problems: Problems, given?: Content) {
    this.file = file
    this.directory = dirname(resolve(file))
    this.env = env
    this.problems = problems
    this.given = given
  }

  /** What was read so far. */
  get content(): Omit<Content, 'revoked'> {
    return { texts: this.texts, directories: this.directories }
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
  async entries(name: string, namedAt: Place): Promise<readonly DirectoryEntry[]> {
    const path = this.absolute(name)
    try {
      const entries = this.given?.directories.get(path) ?? (await entriesOf(path))
      this.directories.set(path, entries)
      this.read.set(path, digestOfNames(entries.map((entry) => entry.name)))
      return entries
    } catch (error) {
      this.read.set(path, await digestOfPath(path))
      this.tell(this.shown(name), namedAt, unreadable(error))
      return []
    }
  }

  /** Whether a file no longer holds what it held when it was read. */
  async hasChanged(name: string): Promise<boolean> {
    const path = this.absolute(name)
    return (await digestOfPath(path)) !== this.read.get(path)
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
    const given = this.given?.texts.get(path)
    if (given !== undefined) return this.keep(path, given, digestOf(given))
    let problem: string
    try {
      const { size } = await stat(path)
      const bytes = size > MAX_FILE_BYTES ? undefined : await readFile(path)
      if (bytes !== undefined && isUtf8(bytes)) {
        return this.keep(path, bytes.toString('utf8'), digestOf(bytes))
      }
      problem = bytes === undefined ? `is larger than ${MAX_FILE_BYTES} bytes` : 'is not UTF-8'
    } catch (error) {
      problem = unreadable(error)
    }
    this.read.set(path, await digestOfPath(path))
    this.tell(shown, namedAt, problem)
    return undefined
  }

  private keep(path: string, text: string, digest: string): string {
    this.read.set(path, digest)
    this.texts.set(path, text)
    return text
  }

  private tell(shown: string, namedAt: Place | undefined, message: string): void {
    if (namedAt === undefined) this.problems.add('error', { file: shown, lineOf: () => undefined }, [], message)
    else this.problems.add('error', namedAt.in, namedAt.path, `${shown} ${message}`)
  }
}

async function entriesOf(path: string): Promise<DirectoryEntry[]> {
  const names = await readdir(path)
  return Promise.all(names.sort().map(async (name) => ({ name, isDirectory: (await stat(join(path, name))).isDirectory() })))
}

function unreadable(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`
}

/** What tells one configuration from another, wherever its files lie. */
export function digestOfContent({ texts, directories }: Content): string {
  const parts = [...Array.from(texts.values(), digestOf), ...Array.from(directories.values(), (entries) => digestOfNames(entries.map(({ name }) => name)))]
  return digestOf(parts.toSorted().join('\n'))
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
