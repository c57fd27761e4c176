import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openMeter } from '../../core/meter/open.ts'
import { createMetrics } from '../../core/observe/metrics.ts'
import { NOVEMBER, START, want } from './held-clock.ts'
import { SETTINGS } from './redis-meters.ts'
import type { MeterDeps } from '../../core/meter/open.ts'

function surroundings(): MeterDeps & { readonly lines: string[]; flag(): Promise<string | undefined> } {
  const lines: string[] = []
  const metrics = createMetrics()
  const log = (level: string) => (_fields: unknown, message: string) => void lines.push(`${level} ${message}`)
  return {
    now: () => START,
    log: { info: log('info'), error: log('error') },
    metrics,
    lines,
    flag: async () => /^tollgate_usage_store_failing (\d)$/m.exec(await metrics.text())?.[1],
  }
}

describe('opening a meter', () => {
  test('without a directory counts in memory', async () => {
    const { meter, usage, close } = await openMeter({ store: { kind: 'memory' }, meter: SETTINGS, dataDir: undefined }, surroundings())
    await meter.draw([[want(5, 10, NOVEMBER, 'alice', 'month')]], false)
    expect(usage.history('month', 'alice').map(({ used }) => used)).toEqual([5])
    await close()
  })

  test('keeps usage in the directory, and closing twice is closing once', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tollgate-meter-'))
    onTestFinished(() => rmSync(dir, { recursive: true }))
    const settings = { store: { kind: 'memory' }, meter: SETTINGS, dataDir: join(dir, 'data') } as const
    const first = await openMeter(settings, surroundings())
    await first.meter.draw([[want(5, 10, NOVEMBER, 'alice', 'month')]], false)
    await first.close()
    await first.close()
    expect(existsSync(join(dir, 'data', 'usage.sqlite'))).toBe(true)
    const second = await openMeter(settings, surroundings())
    expect(await second.meter.draw([[want(6, 10, NOVEMBER, 'alice', 'month')]], false)).toEqual([0])
    await second.close()
  })

  test('shows in the log and in the metrics that the disk fails, and that it works again', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tollgate-meter-'))
    onTestFinished(() => rmSync(dir, { recursive: true }))
    const around = surroundings()
    const { meter, close } = await openMeter({ store: { kind: 'memory' }, meter: SETTINGS, dataDir: dir }, around)
    expect(await around.flag()).toBe('0')
    const other = new DatabaseSync(join(dir, 'usage.sqlite'))
    other.exec('BEGIN IMMEDIATE')
    await meter.draw([[want(5, 10, NOVEMBER)]], false)
    await expect.poll(() => around.flag()).toBe('1')
    other.close()
    await expect.poll(() => around.flag()).toBe('0')
    expect(around.lines).toEqual(['error usage cannot be written to the disk: counting in memory and trying again', 'info usage is written to the disk again'])
    await close()
  })
})
