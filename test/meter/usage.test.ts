import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { MemoryMeter } from '../../core/meter/memory.ts'
import { UsageStore, UsageStoreError } from '../../core/meter/usage-store.ts'
import { DECEMBER, NOVEMBER, START, isTaken, openBook, want } from './held-clock.ts'
import type { Window } from '../../core/plugin/budget.ts'
import type { UsageBook } from '../../core/meter/usage.ts'

const COUNTING = fileURLToPath(new URL('counting-process.ts', import.meta.url))
const BUDGET = 'limit-monthly-cu'

function freshDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-usage-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

/** A meter over a directory, its clock held; `states` are what it said of its store. */
function meterIn(dir: string, at = START): { meter: MemoryMeter; usage: UsageBook; clock: { ms: number }; states: string[] } {
  const clock = { ms: at }
  const states: string[] = []
  const usage = openBook(UsageStore.open(dir), clock, (error) => states.push(error === undefined ? 'ok' : error.message))
  return { meter: new MemoryMeter(() => clock.ms, usage), usage, clock, states }
}

function spend(meter: MemoryMeter, cost: number, window: Window = NOVEMBER, key = 'alice', limit = 100): boolean {
  return isTaken(meter, want(cost, limit, window, key, BUDGET))
}

describe('usage of a cycle', () => {
  test('survives a restart, to the thousandth', () => {
    const dir = freshDir()
    const before = meterIn(dir)
    expect(spend(before.meter, 60.125)).toBe(true)
    before.usage.close()
    const { meter, usage } = meterIn(dir)
    expect(spend(meter, 39.876)).toBe(false)
    expect(spend(meter, 39.875)).toBe(true)
    expect(usage.history(BUDGET, 'alice')).toEqual([{ budget: BUDGET, key: 'alice', cycle: '2026-11-01', used: 100, endsAt: Date.UTC(2026, 11, 1) }])
  })

  test('is kept after the cycle has ended', () => {
    const dir = freshDir()
    const { meter, usage, clock } = meterIn(dir)
    spend(meter, 70)
    clock.ms = Date.UTC(2026, 11, 1)
    expect(spend(meter, 80, DECEMBER)).toBe(true)
    usage.close()
    const later = meterIn(dir, Date.UTC(2027, 5, 1))
    expect(later.usage.history(BUDGET, 'alice').map(({ cycle, used }) => [cycle, used])).toEqual([
      ['2026-12-01', 80],
      ['2026-11-01', 70],
    ])
  })

  test('is drawn from exactly one cycle, and refunded to the one it was drawn from', () => {
    const { meter, usage, clock } = meterIn(freshDir())
    const early = want(30, 100, NOVEMBER, 'alice', BUDGET)
    isTaken(meter, early)
    clock.ms = Date.UTC(2026, 11, 1)
    spend(meter, 50, DECEMBER)
    meter.refund(early, 10)
    meter.overdraw(early, 4)
    expect(usage.history(BUDGET, 'alice').map(({ used }) => used)).toEqual([50, 24])
  })

  test('is read by cycle, page by page', () => {
    const { meter, usage } = meterIn(freshDir())
    for (const key of ['bob', 'carol', 'alice', 'dave']) spend(meter, key.length, NOVEMBER, key)
    spend(meter, 9, DECEMBER, 'bob')
    const page = usage.page(BUDGET, '2026-11-01', '', 3)
    expect(page.map(({ key, used }) => [key, used])).toEqual([
      ['alice', 5],
      ['bob', 3],
      ['carol', 5],
    ])
    expect(usage.page(BUDGET, '2026-11-01', 'carol', 3).map(({ key }) => key)).toEqual(['dave'])
  })

  test('a refused draw leaves no row', () => {
    const { meter, usage } = meterIn(freshDir())
    expect(spend(meter, 101)).toBe(false)
    expect(usage.history(BUDGET, 'alice')).toEqual([])
  })

  test('is written by itself, without being asked', async () => {
    const dir = freshDir()
    const { meter } = meterIn(dir)
    spend(meter, 7)
    await expect.poll(() => rowsIn(dir)).toEqual([['alice', '2026-11-01', 7]])
    spend(meter, 1)
    await expect.poll(() => rowsIn(dir)).toEqual([['alice', '2026-11-01', 8]])
  })

  test('more rows than one transaction takes are all written', async () => {
    const dir = freshDir()
    const { meter } = meterIn(dir)
    for (let at = 0; at < 2500; at++) spend(meter, 1, NOVEMBER, `user ${at}`)
    await expect.poll(() => rowsIn(dir).length).toBe(2500)
  })

  test('of a cycle that memory let go of is found again when the clock is set back', async () => {
    const { meter, usage, clock } = meterIn(freshDir())
    spend(meter, 90)
    clock.ms = Date.UTC(2026, 11, 2)
    await expect.poll(() => usage.find(BUDGET, 'alice', '2026-11-01')).toBe(undefined)
    clock.ms = START
    expect(spend(meter, 11)).toBe(false)
    expect(spend(meter, 10)).toBe(true)
  })
})

function rowsIn(dir: string): unknown[][] {
  const db = new DatabaseSync(join(dir, 'usage.sqlite'), { readOnly: true })
  const rows = db.prepare('SELECT key, cycle, used FROM usage').all()
  db.close()
  return rows.map((row) => Object.values(row))
}

describe('a process that is killed', () => {
  test('loses at most one second of usage and counts nothing twice, time after time', async () => {
    const dir = freshDir()
    const endsAt = Date.now() + 86_400_000
    let stored = 0
    for (let life = 0; life < 3; life++) {
      const child = spawn(process.execPath, [COUNTING, dir, 'now', String(endsAt)])
      let said = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
      await expect.poll(() => said.split('\n').length, { timeout: 10_000 }).toBeGreaterThan(300)
      child.kill('SIGKILL')
      await once(child, 'close')
      const lines = said
        .split('\n')
        .filter((line) => line.endsWith(']'))
        .map((line) => JSON.parse(line) as [number, number])
      const [killedAt, drawn] = lines.at(-1)!
      const acknowledged = lines.findLast(([at]) => at < killedAt - 1000)?.[1] ?? stored
      expect(lines[0]![1]).toBe(stored + 1)
      stored = rowsIn(dir)[0]![2] as number
      expect(stored).toBeGreaterThanOrEqual(acknowledged)
      expect(stored).toBeLessThanOrEqual(drawn + 1)
    }
  })
})

describe('a store that cannot be written while the gateway serves', () => {
  test('is said once, counting goes on in memory, and all of it is written when it can be', async () => {
    const dir = freshDir()
    const { meter, usage, states } = meterIn(dir)
    spend(meter, 10)
    expect(usage.flush()).toBe(true)
    const other = new DatabaseSync(join(dir, 'usage.sqlite'))
    other.exec('BEGIN IMMEDIATE')
    spend(meter, 20)
    for (let at = 0; at < 3; at++) expect(usage.flush()).toBe(false)
    expect(spend(meter, 71)).toBe(false)
    expect(spend(meter, 5, NOVEMBER, 'bob')).toBe(true)
    expect(states).toEqual(['database is locked'])
    other.exec('ROLLBACK')
    other.close()
    expect(usage.flush()).toBe(true)
    expect(states).toEqual(['database is locked', 'ok'])
    expect(rowsIn(dir)).toEqual([
      ['alice', '2026-11-01', 30],
      ['bob', '2026-11-01', 5],
    ])
  })

  test('because the disk is full is survived: counting goes on, and what was written before is sound', async () => {
    const dir = freshDir()
    meterIn(dir).usage.close()
    // The child may not write files of more than 64 or 128 KiB, depending on the shell's unit.
    const command = `ulimit -f 128 && exec "${process.execPath}" "${COUNTING}" "${dir}" now ${Date.now() + 86_400_000} 200`
    const child = spawn('/bin/sh', ['-c', command])
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    await expect.poll(() => said, { timeout: 10_000 }).toMatch(/^"(disk I\/O error|database or disk is full)"$/m)
    const until = said.length
    await expect.poll(() => said.slice(until).split('\n').length).toBeGreaterThan(50)
    child.kill('SIGKILL')
    await once(child, 'close')
    expect(said.split('\n').filter((line) => line.startsWith('"'))).toHaveLength(1)
    const drawn = (JSON.parse(said.split('\n').findLast((line) => line.endsWith(']'))!) as [number, number])[1]
    const { meter } = meterIn(dir, Date.now())
    expect(spend(meter, 1, { kind: 'cycle', id: 'now', endsAt: Infinity }, 'alice 0', 1)).toBe(false)
    expect(spend(meter, 0, { kind: 'cycle', id: 'now', endsAt: Infinity }, 'alice 0', drawn)).toBe(true)
  })
})

describe('a database that cannot be used at the start', () => {
  function messageOf(dir: string): string {
    try {
      UsageStore.open(dir).close()
      return 'opened'
    } catch (error) {
      return error instanceof UsageStoreError ? error.message.replace(dir, 'DIR') : 'not our error'
    }
  }

  function used(dir: string): string {
    const { meter, usage } = meterIn(dir)
    for (let at = 0; at < 2000; at++) spend(meter, 1, NOVEMBER, `user ${at}`)
    usage.close()
    return join(dir, 'usage.sqlite')
  }

  test('because a gateway already counts in the directory is one clear line', () => {
    const dir = freshDir()
    meterIn(dir)
    expect(messageOf(dir)).toBe('DIR/usage.sqlite: the usage database is locked by another process; stop that one, or set another data_dir')
  })

  test('because somebody holds it locked is the same line', () => {
    const dir = freshDir()
    const other = new DatabaseSync(used(dir))
    onTestFinished(() => other.close())
    other.exec('BEGIN EXCLUSIVE')
    expect(messageOf(dir)).toContain('locked by another process')
  })

  test.each([
    ['garbage', (path: string) => writeFileSync(path, 'not a database, but long enough to have a header of a hundred bytes'.repeat(10))],
    ['cut off', (path: string) => truncateSync(path, 10_000)],
    ['empty', (path: string) => truncateSync(path, 0)],
    [
      'another database',
      (path: string) => {
        rmSync(path)
        const db = new DatabaseSync(path)
        db.exec('CREATE TABLE other (x)')
        db.close()
      },
    ],
    [
      'damaged in the middle',
      (path: string) => {
        const bytes = readFileSync(path)
        bytes.fill(0xa5, 3 * 4096, 9 * 4096)
        writeFileSync(path, bytes)
      },
    ],
  ])('because it is %s is one clear line, and the file is left as it is', (_what, spoil) => {
    const dir = freshDir()
    const path = used(dir)
    spoil(path)
    const message = 'DIR/usage.sqlite: the usage database is corrupt; restore it from a backup, or move it away to begin with empty counters'
    expect(messageOf(dir)).toBe(message)
    expect(messageOf(dir)).toBe(message)
  })

  test('because a newer version wrote it is one clear line', () => {
    const dir = freshDir()
    const db = new DatabaseSync(used(dir))
    db.exec('PRAGMA user_version = 7')
    db.close()
    expect(messageOf(dir)).toBe('DIR/usage.sqlite: written by a newer Tollgate (schema 7, this one knows 1); run that one, or set another data_dir')
  })

  test('because the directory is a file is one clear line', () => {
    const dir = freshDir()
    writeFileSync(join(dir, 'data'), '')
    expect(messageOf(join(dir, 'data'))).toMatch(
      /^DIR\/usage.sqlite: cannot open the usage database \(.*\); check that data_dir is a directory that the gateway may write to$/,
    )
  })

  test('leaves no lock behind', () => {
    const dir = freshDir()
    const path = used(dir)
    truncateSync(path, 0)
    expect(messageOf(dir)).toContain('corrupt')
    rmSync(path)
    expect(messageOf(dir)).toBe('opened')
  })

  test('a directory that is missing is made', () => {
    const dir = join(freshDir(), 'a', 'b')
    expect(messageOf(dir)).toBe('opened')
    expect(readdirSync(dir)).toContain('usage.sqlite')
  })

  test('what an interrupted first start left is no obstacle', () => {
    const dir = freshDir()
    writeFileSync(join(dir, 'usage.sqlite.new'), 'half a file')
    expect(messageOf(dir)).toBe('opened')
  })
})
