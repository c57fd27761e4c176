import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { coreMetrics } from '../../core/observe/core-metrics.ts'
import { createMetrics } from '../../core/observe/metrics.ts'
import { Workforce } from '../../core/workers/workforce.ts'
import { build } from '../config/fixtures.ts'
import type { PluginLog } from '../../core/plugin/define.ts'
import type { Snapshot } from '../../core/config/snapshot.ts'

type Line = Readonly<Record<string, unknown>>

interface Acting {
  readonly workforce: Workforce
  readonly snapshot: Snapshot
  /** What was logged, newest last. */
  readonly lines: readonly Line[]
  /** What processes that start from now on do. */
  readonly play: (part: string) => void
}

const HERE = { host: '127.0.0.1', port: 0 }

/** Two workers that play a part (acting-worker.ts); they listen nowhere. */
async function acting(part: string, hangsAfterMs?: number): Promise<Acting> {
  const { snapshot, content } = await build({ 'gateway.yaml': '{}' })
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-acting-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const configFile = join(dir, 'part')
  const play = (next: string): void => writeFileSync(configFile, next)
  play(part)
  const lines: Line[] = []
  const write = (fields: Line, msg: string): void => void lines.push({ ...fields, msg })
  const log: PluginLog = { isEnabled: () => true, debug: write, info: write, warn: write, error: write }
  const program = fileURLToPath(new URL('acting-worker.ts', import.meta.url))
  const registry = createMetrics()
  const counts = coreMetrics(registry, '1', 'v1').workers
  const options = {
    program,
    workers: 2,
    configFile,
    held: { answer: () => undefined, ended: () => undefined, usage: () => [] },
    registry,
    counts,
    log,
    ...(hangsAfterMs !== undefined && { hangsAfterMs }),
  }
  const workforce = new Workforce(options, snapshot!, content)
  onTestFinished(() => workforce.drain())
  return { workforce, snapshot: snapshot!, lines, play }
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await delay(10)
}

const said = (lines: readonly Line[], msg: string): readonly Line[] => lines.filter((line) => line['msg'] === msg)

describe('a start', () => {
  test('is over when all workers serve, on a port that is the same for all', async () => {
    const { workforce, lines } = await acting('serve')
    await workforce.listen(HERE)
    expect(workforce.address.port).toBeGreaterThan(0)
    expect(new Set(said(lines, 'a worker serves').map(({ worker }) => worker))).toEqual(new Set([1, 2]))
    expect(workforce.notReady()).toEqual([])
  })

  test('that a worker says it cannot make is told in its words, and leaves no process', async () => {
    const { workforce, lines } = await acting('fail')
    await expect(workforce.listen(HERE)).rejects.toThrow(/^worker [12] has no mind to$/)
    expect(workforce.notReady()).toEqual(['worker 1 does not serve', 'worker 2 does not serve'])
    expect(said(lines, 'a worker has ended and is replaced')).toEqual([])
  })

  test('in which a worker dies without a word is no start', async () => {
    const { workforce } = await acting('exit')
    await expect(workforce.listen(HERE)).rejects.toThrow(/^worker [12] ended \(code 3\) before it served$/)
  })
})

describe('a worker that ends unasked', () => {
  test('is replaced, after a pause that doubles while its successors die young too', async () => {
    const { workforce, lines, play } = await acting('serve and exit')
    await workforce.listen(HERE)
    const pauses = (): unknown[] =>
      said(lines, 'a worker has ended and is replaced').flatMap(({ worker, pause_ms: pauseMs }) => (worker === 1 ? [pauseMs] : []))
    await until(() => pauses().length >= 3)
    expect(pauses().slice(0, 3)).toEqual([100, 200, 400])
    play('serve')
    await until(() => workforce.notReady().length === 0)
  })

  test('and whose successor cannot serve is tried for again, its words in the log', async () => {
    const { workforce, lines, play } = await acting('serve and exit')
    await workforce.listen(HERE)
    play('fail')
    await until(() => lines.some(({ problem }) => problem === 'worker 2 has no mind to'))
    play('serve')
    await until(() => workforce.notReady().length === 0)
  })
})

test('a worker that hangs is killed and replaced', async () => {
  const { workforce, lines, play } = await acting('serve and hang', 1500)
  await workforce.listen(HERE)
  play('serve')
  await until(() => said(lines, 'a worker hangs and is killed').length >= 2)
  await until(() => workforce.notReady().length === 0 && said(lines, 'a worker serves').length >= 4)
})

describe('metrics', () => {
  const things = async (workforce: Workforce): Promise<string | undefined> => /^tollgate_things_total (\d+)$/m.exec(await workforce.metrics())?.[1]

  test('are added up, and those of workers that ended stay counted', async () => {
    const { workforce } = await acting('serve')
    await workforce.listen(HERE)
    expect(await things(workforce)).toBe('2')
    expect(await things(workforce)).toBe('4')
    await workforce.drain()
    expect(await things(workforce)).toBe('4')
    expect(await workforce.metrics()).toMatch(/^tollgate_workers 0$/m)
  })

  test('of a worker that does not answer in time are shown as they were last', async () => {
    const { workforce } = await acting('serve and mumble')
    await workforce.listen(HERE)
    expect(await things(workforce)).toBe('2')
    expect(await things(workforce)).toBe('2')
  })
})

test('a worker that cannot use a configuration says so, with its number', async () => {
  const { workforce, snapshot } = await acting('serve and object')
  await workforce.listen(HERE)
  const { content } = await build({ 'gateway.yaml': '{}' })
  expect(await workforce.use({ ...snapshot, generation: 2 }, content)).toEqual(['worker 1: generation 2 is not mine', 'worker 2: generation 2 is not mine'])
})
