/**
 * The files that one snapshot is built from: read once each, bounded, their content remembered by digest. Or not read at
 * all, where their content is given: that builds the same snapshot again, whatever the files hold by then.
 */
import { open, readdir, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import { digestOf, digestOfNames, digestOfPath } from './digest.ts'
import { Document, readText, takeList, textOf } from './document.ts'
import { READING_TIMEOUT_MS, ReadingThread } from './large-file.ts'
import type { Env } from './env.ts'
import type { Place } from './judge.ts'
import type { Opening } from './large-file.ts'
import type { Problems } from './problem.ts'
import type { Content, DirectoryEntry, FileContent, FileVersion } from './snapshot.ts'

/** A file of a million consumers has 100 MiB. */
const MAX_FILE_BYTES = 256 * 1024 * 1024
/** A larger document is read in a thread: here it would take more than 20 ms. */
const LARGE_BYTES = 256 * 1024
const NOT_UTF8 = 'is not UTF-8'

export class Sources {
  /** Absolute: relative paths in the configuration begin here. */
  readonly directory: string
  private readonly file: string
  private readonly env: Env
  private readonly problems: Problems
  private readonly given: Content | undefined
  private readonly readingTimeoutMs: number
  private readonly read = new Map<string, string>()
  private readonly files = new Map<string, FileContent>()
  private readonly directories = new Map<string, readonly DirectoryEntry[]>()
  private readonly documents: Document[] = []
  private readonly threads: ReadingThread[] = []
  private inThread: Promise<unknown> = Promise.resolve()

  constructor(file: string, env: Env, problems: Problems, given?: Content, readingTimeoutMs = READING_TIMEOUT_MS) {
    this.file = file
    this.directory = dirname(resolve(file))
    this.env = env
    this.problems = problems
    this.given = given
    this.readingTimeoutMs = readingTimeoutMs
  }

  /** What was read so far. */
  get content(): Omit<Content, 'revoked'> {
    return { files: this.files, directories: this.directories }
  }

  /** All that was read so far, or would have been. */
  versions(): FileVersion[] {
    return Array.from(this.read, ([path, digest]) => ({ path, digest }))
  }

  /** The configuration file itself, the list under one of its keys set apart. */
  main(apart: string): Promise<Document> {
    return this.load({ path: resolve(this.file), shown: this.file, namedAt: undefined }, apart)
  }

  /** A YAML file that the configuration names. */
  document(name: string, namedAt: Place): Promise<Document> {
    return this.load(this.named(name, namedAt))
  }

  /** A file's text; undefined, and a problem, when it cannot be had. */
  async text(name: string, namedAt: Place): Promise<string | undefined> {
    const file = this.named(name, namedAt)
    try {
      const bytes = await this.bytesOf(file)
      const text = textOf(bytes)
      if (text === undefined) throw new Error(NOT_UTF8)
      this.keep(file, { digest: digestOf(bytes), bytes })
      return text
    } catch (error) {
      await this.refuse(file, error)
      return undefined
    }
  }

  /** What is in a directory, by name; nothing, and a problem, when it cannot be read. */
  async entries(name: string, namedAt: Place): Promise<readonly DirectoryEntry[]> {
    const directory = this.named(name, namedAt)
    const { path } = directory
    try {
      const entries = this.given?.directories.get(path) ?? (await entriesOf(path))
      this.directories.set(path, entries)
      this.read.set(path, digestOfNames(entries.map((entry) => entry.name)))
      return entries
    } catch (error) {
      await this.refuse(directory, error)
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

  /** Nothing is read any more, and whatever is told of a document from now on has no line. */
  close(): void {
    for (const document of this.documents) document.forgetLines()
    for (const thread of this.threads) thread.end()
  }

  private named(name: string, namedAt: Place): Source {
    return { path: this.absolute(name), shown: this.shown(name), namedAt }
  }

  private async load(file: Source, apart?: string): Promise<Document> {
    try {
      const bytes = await this.bytesOf(file)
      const document = bytes.length > LARGE_BYTES ? await this.readInThread(file, bytes, apart) : this.readHere(file, bytes, apart)
      this.documents.push(document)
      return document
    } catch (error) {
      await this.refuse(file, error)
      return new Document(file.shown)
    }
  }

  private readHere(file: Source, bytes: Uint8Array, apart: string | undefined): Document {
    const text = textOf(bytes)
    if (text === undefined) throw new Error(NOT_UTF8)
    const reading = readText(file.shown, text, this.env)
    this.keep(file, { digest: digestOf(bytes), bytes })
    this.problems.take(reading.problems)
    return new Document(file.shown, reading, [takeList(reading.value, apart)])
  }

  /** One file after the other: a thread needs many times as much memory as the file. */
  private readInThread(file: Source, bytes: Uint8Array, apart: string | undefined): Promise<Document> {
    const document = this.inThread.then(() => this.readThere(file, bytes, apart))
    this.inThread = document.catch(() => undefined)
    return document
  }

  private async readThere(file: Source, bytes: Uint8Array, apart: string | undefined): Promise<Document> {
    const thread = new ReadingThread({ file: file.shown, bytes, env: { ...this.env }, apart }, this.readingTimeoutMs)
    this.threads.push(thread)
    const { digest, reading } = (await thread.ask()) as Opening
    if (reading === undefined) throw new Error(NOT_UTF8)
    this.keep(file, { digest, bytes })
    this.problems.take(reading.problems)
    if (apart === undefined) thread.end()
    return new Document(file.shown, reading, apart === undefined ? [] : this.slices(file, thread))
  }

  /** What a thread has set apart. */
  private async *slices(file: Source, thread: ReadingThread): AsyncGenerator<readonly unknown[]> {
    try {
      for (let slice = await thread.ask(); slice !== undefined; slice = await thread.ask()) yield slice as readonly unknown[]
    } catch (error) {
      await this.refuse(file, error)
    } finally {
      thread.end()
    }
  }

  private async bytesOf({ path }: Source): Promise<Uint8Array> {
    return this.given?.files.get(path)?.bytes ?? (await readBytes(path))
  }

  private keep({ path }: Source, content: FileContent): void {
    this.read.set(path, content.digest)
    this.files.set(path, content)
  }

  /** Tells why something cannot be used, and remembers what it holds nevertheless. */
  private async refuse({ path, shown, namedAt }: Source, error: unknown): Promise<void> {
    this.read.set(path, await digestOfPath(path))
    const message = unreadable(error as Error)
    if (namedAt === undefined) this.problems.add('error', { file: shown, lineOf: () => undefined }, [], message)
    else this.problems.add('error', namedAt.in, namedAt.path, `${shown} ${message}`)
  }
}

/** A file or a directory that is to be read. */
interface Source {
  readonly path: string
  readonly shown: string
  /** Undefined for the configuration file itself. */
  readonly namedAt: Place | undefined
}

/** What a file holds. A large one is read to where threads can share it. */
async function readBytes(path: string): Promise<Uint8Array> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    if (size > MAX_FILE_BYTES) throw new Error(`is larger than ${MAX_FILE_BYTES} bytes`)
    if (size <= LARGE_BYTES) return await file.readFile()
    const bytes = new Uint8Array(new SharedArrayBuffer(size))
    let length = 0
    for (let read = -1; read !== 0 && length < size; length += read) read = (await file.read(bytes, length)).bytesRead
    return bytes.subarray(0, length)
  } finally {
    await file.close()
  }
}

async function entriesOf(path: string): Promise<DirectoryEntry[]> {
  const names = await readdir(path)
  return Promise.all(names.sort().map(async (name) => ({ name, isDirectory: (await stat(join(path, name))).isDirectory() })))
}

/** What is wrong, as a clause: an error without a code has it as its message. */
function unreadable(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  if (code === undefined) return error.message
  return code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`
}
