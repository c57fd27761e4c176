/**
 * Large files are read in a thread of their own, so that nobody waits for them: calls go on meanwhile. A file that is too
 * much for the thread, of memory or of time, is a problem and nothing else.
 */
import { Worker } from 'node:worker_threads'
import type { Reading } from './document.ts'
import type { Env } from './env.ts'

/** For a file to be read and taken over: with a million consumers it is half a minute. */
export const READING_TIMEOUT_MS = 300_000
const PROGRAM = new URL(import.meta.resolve('#reading-thread'))

/** What is to be read. */
export interface Task {
  /** The name under which problems are listed. */
  readonly file: string
  /** Copied, unless they are in memory that threads share. */
  readonly bytes: Uint8Array
  readonly env: Env
  /** The list at the top of the document that is not handed over with the rest of it, but slice by slice. */
  readonly apart: string | undefined
}

/** What the thread says first. */
export interface Opening {
  /** Of the bytes. */
  readonly digest: string
  /** Undefined where the bytes are no UTF-8. */
  readonly reading: Reading | undefined
}

/** What the thread says when it is asked: the opening, then slice by slice what is apart, and undefined once that was all. */
export type Answer = Opening | readonly unknown[] | undefined

/** A thread that reads a file. */
export class ReadingThread {
  readonly #worker: Worker
  readonly #timer: NodeJS.Timeout
  #asker: { resolve(answer: Answer): void; reject(error: Error): void } | undefined
  #failure: Error | undefined

  constructor(task: Task, timeoutMs: number) {
    this.#worker = new Worker(PROGRAM, { workerData: task, env: {}, execArgv: [] })
    this.#worker.on('message', (answer: Answer) => this.#asker?.resolve(answer))
    this.#worker.on('messageerror', (error) => this.#fail(`cannot be read (${error.message})`))
    this.#worker.on('error', (error: NodeJS.ErrnoException) => this.#fail(`cannot be read (${error.code ?? error.message})`))
    this.#worker.on('exit', () => this.#fail('cannot be read (its thread has ended)'))
    this.#timer = setTimeout(() => this.#fail(`takes longer than ${timeoutMs} ms to be read`), timeoutMs)
  }

  /** To be asked once at a time. Rejects with a clause when the thread cannot go on. */
  ask(): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#asker = { resolve, reject }
      if (this.#failure === undefined) this.#worker.postMessage(undefined)
      else reject(this.#failure)
    })
  }

  /** Lets go of the thread. */
  end(): void {
    clearTimeout(this.#timer)
    void this.#worker.terminate()
  }

  #fail(clause: string): void {
    this.#failure ??= new Error(clause)
    this.#asker?.reject(this.#failure)
    this.end()
  }
}
