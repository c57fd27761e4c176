/**
 * Where log lines go: a file or standard output, written asynchronously in large pieces from a bounded buffer. A
 * destination that is slow or fails (a full disk, a closed pipe) costs lines, which are counted, and never a request
 * or the process.
 */
import { closeSync, mkdirSync, openSync, write, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

const writeSome = promisify(write)

const STDOUT = 1

/** Lines are written together once there are 4 KiB of them, or after a fifth of a second. */
const WRITE_TOGETHER_BYTES = 4096
const WRITE_AFTER_MS = 200

/** So many bytes go into a pipe as one (PIPE_BUF of Linux; POSIX promises 512): what several processes write stays apart. */
const PIPE_BYTES = 4096
const LINE_FEED = 10

/** A write that failed is tried again this much later. */
const RETRY_AFTER_MS = 200

export class LineFile {
  path: string | undefined
  private readonly maxBytes: number
  private readonly onDropped: () => void
  private readonly isShared: boolean
  private fd: number
  private waiting = ''
  /** What was taken from `waiting` and is not written yet. */
  private rest: Buffer = Buffer.alloc(0)
  /** Bytes of both. */
  private bytes = 0
  private timer: NodeJS.Timeout | undefined
  private draining: Promise<void> | undefined
  private writing: Promise<unknown> | undefined
  private isClosing = false

  /**
   * Opens the file for appending, its directory made when missing; undefined is standard output, which other processes
   * write to as well where `isShared`. Throws when it cannot be opened.
   */
  constructor(path: string | undefined, maxBytes: number, onDropped: () => void, isShared: boolean) {
    this.path = path
    this.maxBytes = maxBytes
    this.onDropped = onDropped
    this.isShared = isShared
    this.fd = path === undefined ? STDOUT : open(path)
  }

  /** Takes one line, or drops it when the buffer is full. */
  write(line: string): void {
    const bytes = Buffer.byteLength(line)
    if (this.isClosing || this.bytes + bytes > this.maxBytes) return this.onDropped()
    this.waiting += line
    this.bytes += bytes
    if (this.draining !== undefined) return
    if (this.bytes >= WRITE_TOGETHER_BYTES) this.start()
    else this.timer ??= setTimeout(() => this.start(), WRITE_AFTER_MS)
  }

  /** Writes what waits at once: the last thing that a process does with its log. Gives up at the first failure. */
  flush(): void {
    if (this.writing !== undefined) this.rest = Buffer.alloc(0) // Node completes writes that are under way
    this.take()
    try {
      while (this.rest.length > 0) this.wrote(writeSync(this.fd, this.piece()))
    } catch {
      // nobody is left to be told
    }
  }

  /** Opens the file anew, after logrotate moved it. Throws, and goes on with the old one, when that fails. */
  reopen(): void {
    if (this.path !== undefined) this.moveTo(this.path)
  }

  /** Goes on in another file; undefined is standard output. Throws, and goes on as before, when it cannot be opened. */
  moveTo(path: string | undefined): void {
    const old = this.fd
    this.fd = path === undefined ? STDOUT : open(path)
    this.path = path
    if (old === STDOUT) return
    if (this.writing === undefined) closeSync(old)
    else void this.writing.finally(() => closeSync(old))
  }

  /** Writes what waits and closes. Gives up at the first failure. */
  async close(): Promise<void> {
    this.isClosing = true
    if (this.draining === undefined) this.start()
    await this.draining
    if (this.fd !== STDOUT) closeSync(this.fd)
  }

  private start(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    this.draining = this.drain().finally(() => {
      this.draining = undefined
    })
  }

  private async drain(): Promise<void> {
    for (this.take(); this.rest.length > 0; this.take()) {
      this.writing = writeSome(this.fd, this.piece()).then(
        ({ bytesWritten }) => this.wrote(bytesWritten),
        () => (this.isClosing ? this.wrote(this.rest.length) : delay(RETRY_AFTER_MS)),
      )
      await this.writing
      this.writing = undefined
    }
  }

  /** Takes what waits as the next piece to write, once the piece before it is written. */
  private take(): void {
    if (this.rest.length > 0) return
    this.rest = Buffer.from(this.waiting)
    this.waiting = ''
  }

  /** What to write at once: whole lines, where the lines of others must not come between. */
  private piece(): Buffer {
    const { rest } = this
    if (!this.isShared || this.fd !== STDOUT || rest.length <= PIPE_BYTES) return rest
    const end = rest.lastIndexOf(LINE_FEED, PIPE_BYTES - 1)
    return rest.subarray(0, (end === -1 ? rest.indexOf(LINE_FEED) : end) + 1)
  }

  private wrote(bytes: number): void {
    this.rest = this.rest.subarray(bytes)
    this.bytes -= bytes
  }
}

function open(path: string): number {
  mkdirSync(dirname(path), { recursive: true })
  return openSync(path, 'a')
}
