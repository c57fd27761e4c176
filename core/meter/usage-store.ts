/**
 * Usage of billing cycles on disk: SQLite (`usage.sqlite` in the data directory), one row for each budget, key and
 * cycle, kept after the cycle has ended. Rows hold what was used in all, not steps, so writing one twice counts it
 * once. WAL with synchronous NORMAL: what was committed survives a killed process. One process writes: a second
 * gateway on the same directory is refused, while readers such as `sqlite3` are welcome.
 * Everything here is synchronous and may throw; it is called a few times a second and never for a call.
 */
import { mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { StatementSync } from 'node:sqlite'

/** What was used of one budget under one key in one cycle. */
export interface Usage {
  /** The plugin that names the budget. */
  readonly budget: string
  /** Whose: the consumer's name. */
  readonly key: string
  /** The cycle's first day, such as `2026-11-01`. */
  readonly cycle: string
  /** CU. */
  readonly used: number
  /** When the cycle ends, in epoch milliseconds. */
  readonly endsAt: number
}

/** What a book of usage keeps its rows in. */
export type UsageRecords = Pick<UsageStore, 'write' | 'cycle' | 'page' | 'history' | 'unfinished' | 'close'>

/** Usage that cannot be had or kept. The message names the file and what to do. */
export class UsageStoreError extends Error {
  readonly path: string

  constructor(path: string, problem: string, hint: string, cause?: unknown) {
    super(`${path}: ${problem}; ${hint}`, { cause })
    this.name = 'UsageStoreError'
    this.path = path
  }
}

const FILE = 'usage.sqlite'
/** Its lock is held for as long as the store is open; the system lets go of it when the process dies. */
const LOCK_FILE = 'usage.lock'
/** How long another process may hold the database while this one starts. Long enough for one that is just ending. */
const START_LOCK_TIMEOUT_MS = 1000
const SCHEMA_VERSION = 1
const SCHEMA = `
  CREATE TABLE usage (
    budget TEXT NOT NULL, key TEXT NOT NULL, cycle TEXT NOT NULL,
    used NUMERIC NOT NULL, ends_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    PRIMARY KEY (budget, key, cycle)
  ) WITHOUT ROWID;
  CREATE INDEX usage_by_cycle ON usage (budget, cycle, ends_at);
  PRAGMA user_version = ${SCHEMA_VERSION};`

export class UsageStore {
  readonly #db: DatabaseSync
  readonly #lock: DatabaseSync | undefined
  readonly #upsert: StatementSync
  readonly #cycle: StatementSync
  readonly #page: StatementSync
  readonly #history: StatementSync
  readonly #unfinished: StatementSync

  private constructor(db: DatabaseSync, lock: DatabaseSync | undefined) {
    this.#db = db
    this.#lock = lock
    this.#upsert = db.prepare(`INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT DO UPDATE SET used = excluded.used, ends_at = excluded.ends_at, updated_at = excluded.updated_at`)
    this.#cycle = db.prepare('SELECT key, used FROM usage WHERE budget = ? AND cycle = ?')
    this.#cycle.setReturnArrays(true)
    const columns = 'SELECT budget, key, cycle, used, ends_at AS endsAt FROM usage'
    this.#page = db.prepare(`${columns} WHERE budget = ? AND cycle = ? AND key > ? ORDER BY key LIMIT ?`)
    this.#history = db.prepare(`${columns} WHERE budget = ? AND key = ? ORDER BY ends_at DESC`)
    this.#unfinished = db.prepare('SELECT DISTINCT budget, cycle AS id, ends_at AS endsAt FROM usage WHERE ends_at > ?')
  }

  /** Opens the store in a directory, made where it is missing. Throws UsageStoreError. */
  static open(dataDir: string): UsageStore {
    const path = join(dataDir, FILE)
    const opened: DatabaseSync[] = []
    try {
      mkdirSync(dataDir, { recursive: true })
      const lock = keep(opened, new DatabaseSync(join(dataDir, LOCK_FILE), { timeout: START_LOCK_TIMEOUT_MS }))
      lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
      if (statSync(path, { throwIfNoEntry: false }) === undefined) createDatabase(path)
      const db = keep(opened, new DatabaseSync(path, { timeout: START_LOCK_TIMEOUT_MS }))
      check(db, path)
      // Takes the write lock once, to know now and not at the first flush. While serving nothing waits: what fails is tried again.
      db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE; COMMIT; PRAGMA busy_timeout = 0')
      return new UsageStore(db, lock)
    } catch (error) {
      for (const db of opened.toReversed()) db.close()
      throw error instanceof UsageStoreError ? error : explain(error, path)
    }
  }

  /** A store that forgets everything with the process. */
  static inMemory(): UsageStore {
    const db = new DatabaseSync(':memory:')
    db.exec(SCHEMA)
    return new UsageStore(db, undefined)
  }

  /** Writes rows in one transaction: all of them or, when it throws, none. */
  write(rows: readonly Usage[], nowMs: number): void {
    this.#db.exec('BEGIN IMMEDIATE')
    try {
      for (const { budget, key, cycle, used, endsAt } of rows) this.#upsert.run(budget, key, cycle, used, endsAt, nowMs)
      this.#db.exec('COMMIT')
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      throw error
    }
  }

  /** What each key used in a cycle, in CU. */
  *cycle(budget: string, cycle: string): Iterable<readonly [key: string, used: number]> {
    yield* this.#cycle.iterate(budget, cycle) as unknown as Iterable<readonly [string, number]>
  }

  /** The cycles that end after a moment. */
  unfinished(nowMs: number): readonly { readonly budget: string; readonly id: string; readonly endsAt: number }[] {
    return this.#unfinished.all(nowMs) as never
  }

  /** All cycles of a key, the newest first. */
  history(budget: string, key: string): readonly Usage[] {
    return this.#history.all(budget, key) as never
  }

  /** The keys of a cycle that follow `after`, in the order of their names. */
  page(budget: string, cycle: string, after: string, limit: number): readonly Usage[] {
    return this.#page.all(budget, cycle, after, limit) as never
  }

  close(): void {
    this.#db.close()
    this.#lock?.close()
  }
}

function keep(opened: DatabaseSync[], db: DatabaseSync): DatabaseSync {
  opened.push(db)
  return db
}

/** Made under another name and moved into place, so that a file of this name is complete or broken, never just begun. */
function createDatabase(path: string): void {
  const draft = `${path}.new`
  rmSync(draft, { force: true })
  const db = new DatabaseSync(draft)
  db.exec(`BEGIN; ${SCHEMA} COMMIT`)
  db.close()
  renameSync(draft, path)
}

/** Throws when the file is not a sound database of ours. */
function check(db: DatabaseSync, path: string): void {
  const version = (db.prepare('PRAGMA user_version').get() as { user_version: number }).user_version
  if (version > SCHEMA_VERSION) {
    throw new UsageStoreError(
      path,
      `written by a newer Tollgate (schema ${version}, this one knows ${SCHEMA_VERSION})`,
      'run that one, or set another data_dir',
    )
  }
  const found = db.prepare('PRAGMA quick_check(1)').get() as { quick_check: string }
  if (found.quick_check !== 'ok') throw corrupt(path, new Error(found.quick_check))
  if (version < SCHEMA_VERSION) throw corrupt(path, new Error('no usage table'))
}

function corrupt(path: string, cause: unknown): UsageStoreError {
  return new UsageStoreError(path, 'the usage database is corrupt', 'restore it from a backup, or move it away to begin with empty counters', cause)
}

/** SQLite's result codes, https://www.sqlite.org/rescode.html */
const SQLITE_BUSY = 5
const SQLITE_LOCKED = 6
const SQLITE_CORRUPT = 11
const SQLITE_NOTADB = 26

function explain(error: unknown, path: string): UsageStoreError {
  const code = ((error as { errcode?: number }).errcode ?? 0) & 0xff
  if (code === SQLITE_BUSY || code === SQLITE_LOCKED) {
    return new UsageStoreError(path, 'the usage database is locked by another process', 'stop that one, or set another data_dir', error)
  }
  if (code === SQLITE_CORRUPT || code === SQLITE_NOTADB) return corrupt(path, error)
  const problem = error instanceof Error ? error.message : String(error)
  return new UsageStoreError(path, `cannot open the usage database (${problem})`, 'check that data_dir is a directory that the gateway may write to', error)
}
