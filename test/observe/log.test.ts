import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openLog } from '../../core/observe/log.ts'
import type { LogOptions } from '../../core/observe/log.ts'

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 6)

function openInFile(options: Partial<LogOptions> = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-log-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const file = join(dir, 'deeper', 'gateway.log')
  return { file, log: openLog({ level: 'info', file, now: () => NOW, ...options }) }
}

function linesOf(file: string): Record<string, unknown>[] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

describe('lines', () => {
  test('a line is one JSON object with level, time and message', async () => {
    const { file, log } = openInFile()
    log.info({ route: 'evm', cu: 3 }, 'frame')
    await log.close()
    expect(readFileSync(file, 'utf8')).toBe('{"level":"info","time":"2026-01-02T03:04:05.006Z","route":"evm","cu":3,"msg":"frame"}\n')
  })

  test('a plugin’s lines carry its name', async () => {
    const { file, log } = openInFile()
    log.forPlugin('whitelist').warn({ pattern: '*' }, 'opens everything')
    await log.close()
    expect(linesOf(file)).toMatchObject([{ level: 'warn', plugin: 'whitelist', pattern: '*', msg: 'opens everything' }])
  })

  test('an error is written with its type, message and stack', async () => {
    const { file, log } = openInFile()
    log.error({ err: new TypeError('boom') }, 'plugin fault')
    await log.close()
    expect(linesOf(file)).toMatchObject([{ err: { type: 'TypeError', message: 'boom', stack: expect.stringContaining('log.test.ts') as string } }])
  })

  test('lines below the level are not written, and nobody has to build them', async () => {
    const { file, log } = openInFile({ level: 'warn' })
    const plugin = log.forPlugin('access-log')
    expect([plugin.isEnabled('info'), plugin.isEnabled('warn')]).toEqual([false, true])
    plugin.info({}, 'unseen')
    log.setLevel('debug')
    expect([log.isEnabled('debug'), plugin.isEnabled('debug')]).toEqual([true, true])
    plugin.debug({}, 'seen')
    await log.close()
    expect(linesOf(file).map((line) => line['msg'])).toEqual(['seen'])
  })

  test('a field of a tell-tale name is redacted, in the line and in the objects that hold such names', async () => {
    const { file, log } = openInFile()
    log.info({ apikey: 'k-1', token: 'k-2', headers: { authorization: 'Bearer k-3', cookie: 'k-4', accept: '*/*' }, config: { secret: 'k-5' } }, 'oops')
    log.forPlugin('jwt-auth').info({ headers: { 'x-api-key': 'k-6' }, password: 'k-7' }, 'oops')
    await log.close()
    expect(readFileSync(file, 'utf8')).not.toMatch(/k-\d/)
    expect(linesOf(file)[0]).toMatchObject({ apikey: '[redacted]', headers: { accept: '*/*', authorization: '[redacted]' } })
  })
})

describe('the destination', () => {
  test('lines are whole and in order, however many there are', async () => {
    const { file, log } = openInFile({ maxBufferBytes: 64 * 1024 * 1024 })
    for (let i = 0; i < 20_000; i++) {
      log.info({ i, text: 'ü€'.repeat(i % 7) }, 'line')
      if (i % 1000 === 0) await new Promise(setImmediate)
    }
    await log.close()
    expect(linesOf(file).map((line) => line['i'])).toEqual(Array.from({ length: 20_000 }, (_, i) => i))
  })

  test('what does not fit into the buffer is dropped and counted', async () => {
    let dropped = 0
    const { file, log } = openInFile({ maxBufferBytes: 1000, onDropped: () => dropped++ })
    for (let i = 0; i < 100; i++) log.info({ i }, 'line')
    await log.close()
    const written = linesOf(file).length
    expect(written).toBeGreaterThan(0)
    expect(written).toBeLessThan(20)
    expect(dropped).toBe(100 - written)
  })

  test('after logrotate has moved the file, reopening writes a new one', async () => {
    const { file, log } = openInFile()
    log.info({}, 'before')
    log.flush()
    renameSync(file, `${file}.1`)
    log.reopen()
    log.info({}, 'after')
    await log.close()
    expect(linesOf(`${file}.1`).map((line) => line['msg'])).toEqual(['before'])
    expect(linesOf(file).map((line) => line['msg'])).toEqual(['after'])
  })

  test('the log can move to another file', async () => {
    const { file, log } = openInFile()
    log.moveTo(`${file}.2`)
    log.info({}, 'there')
    await log.close()
    expect(linesOf(`${file}.2`).map((line) => line['msg'])).toEqual(['there'])
  })

  test('a file that cannot be opened is said at once', () => {
    expect(() => openLog({ level: 'info', file: '/dev/null/gateway.log', now: () => NOW })).toThrow(/ENOTDIR|EEXIST/)
  })

  test('a full disk costs lines, and neither the process nor its end', async () => {
    let dropped = 0
    const log = openLog({ level: 'info', file: '/dev/full', now: () => NOW, maxBufferBytes: 10_000, onDropped: () => dropped++ })
    for (let i = 0; i < 1000; i++) log.info({ i }, 'line')
    await new Promise((resolve) => setTimeout(resolve, 50))
    log.info({}, 'one more')
    expect(dropped).toBeGreaterThan(0)
    await log.close()
    log.info({}, 'after the end')
  })

  test('flushing writes what waits before it returns', () => {
    const { file, log } = openInFile()
    log.info({}, 'last words')
    log.flush()
    expect(linesOf(file).map((line) => line['msg'])).toEqual(['last words'])
  })
})

test('lines of several workers on one standard output stay whole', async () => {
  const program = fileURLToPath(new URL('logging-worker.ts', import.meta.url))
  const both = `(${process.execPath} ${program} 1 & ${process.execPath} ${program} 2 & wait) | (sleep 1; cat)` // a pipe that is full
  const { stdout } = await promisify(execFile)('sh', ['-c', both], { maxBuffer: 64 * 1024 * 1024 })
  const lines = stdout.split('\n').filter((line) => line !== '')
  const workers = lines.map((line) => (JSON.parse(line) as { worker: number }).worker)
  for (const worker of [1, 2]) expect(workers.filter((each) => each === worker)).toHaveLength(5000)
})
