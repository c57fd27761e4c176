import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openPrimary } from '../../core/meter/open-primary.ts'
import { openWorker } from '../../core/meter/open-worker.ts'
import { createMetrics } from '../../core/observe/metrics.ts'
import { NOVEMBER, want } from './held-clock.ts'
import type { HeldBudgets } from '../../core/meter/open-primary.ts'
import type { WorkerMeter } from '../../core/meter/open-worker.ts'
import type { MeterRequest } from '../../core/meter/remote.ts'
import type { Window } from '../../core/plugin/budget.ts'
import type { MeterSettings } from '../../core/config/snapshot.ts'

const RULES: MeterSettings = { lease: 'auto', leaseShare: 0.05, storeTimeoutMs: 50, onStoreFailure: { windows: 'local', cycles: 'local' }, overdraft: 0.01 }
const DAY: Window = { kind: 'sliding', ms: 86_400_000 }
const quiet = { info: () => undefined, error: () => undefined }

interface Workers {
  readonly primary: HeldBudgets
  readonly workers: readonly WorkerMeter[]
  /** What the workers asked for and told. */
  readonly messages: MeterRequest[]
}

/** Workers that take slices of what the primary holds; messages travel as they do between processes. */
async function leasing(count: number): Promise<Workers> {
  const deps = () => ({ now: Date.now, log: quiet, metrics: createMetrics() })
  const options = { store: { kind: 'memory' }, meter: RULES } as const
  const primary = openPrimary({ ...options, dataDir: undefined }, deps())
  const messages: MeterRequest[] = []
  const workers: WorkerMeter[] = []
  for (let at = 0; at < count; at++) {
    const send = (request: MeterRequest): void => {
      messages.push(request)
      const sent = structuredClone(request)
      setImmediate(() => {
        const reply = primary.answer(sent, 1)
        if (reply !== undefined) worker.receive(structuredClone(reply))
      })
    }
    const worker = await openWorker({ ...options, workers: count, usage: [], send }, deps())
    workers.push(worker)
  }
  onTestFinished(async () => {
    for (const worker of workers) await worker.close()
    await primary.close()
  })
  return { primary, workers, messages }
}

describe.each([
  ['window', DAY],
  ['cycle', { ...NOVEMBER, endsAt: Date.now() + 86_400_000 }],
] as const)('slices of a %s that the primary holds', (_kind, window) => {
  test('never serve more than the limit, and all of it in the end', async () => {
    const { workers } = await leasing(3)
    const serve = async (calls: number): Promise<number> => {
      const verdicts = await Promise.all(
        Array.from({ length: calls }, async (_, at) => (await workers[at % 3]!.meter.draw([[want(1, 500, window)]], false))[0]),
      )
      await nextTurn()
      return verdicts.filter((verdict) => verdict === -1).length
    }
    let served = 0
    for (let round = 0; round < 20; round++) served += await serve(60)
    expect(served).toBeLessThanOrEqual(500)
    while (served < 500) served += await serve(3)
    expect(served + (await serve(60))).toBe(500)
  })

  test('spare most of the messages', async () => {
    const { workers, messages } = await leasing(1)
    for (let at = 0; at < 1000; at++) {
      await workers[0]!.meter.draw([[want(1, 100_000, window)]], false)
      if (at % 10 === 0) await nextTurn()
    }
    expect(messages.length).toBeLessThan(100)
  })

  test('are given back and what was spent is told when a worker ends, so that the primary knows all', async () => {
    const { workers, primary } = await leasing(2)
    for (let at = 0; at < 30; at++) await workers[at % 2]!.meter.draw([[want(1, 50, window)]], false)
    const [first] = workers
    await first!.close()
    await workers[1]!.close()
    const known = primary.answer(
      {
        kind: 'take',
        id: 0,
        asks: [
          { of: { budget: want(1, 50, window).budget, key: 'somebody', window }, known: { incarnation: 0, units: 0 }, limit: 50_000, need: 50_000, ahead: 0 },
        ],
      },
      1,
    )
    expect(known).toMatchObject({ grants: [{ units: 20_000, standing: { current: 30_000 } }] })
  })
})

test('usage that workers learn from a Redis is kept by the primary, and told to workers that start later', async () => {
  const primary = openPrimary(
    { store: { kind: 'redis', url: 'redis://127.0.0.1:1' }, meter: RULES, dataDir: undefined },
    { now: Date.now, log: quiet, metrics: createMetrics() },
  )
  onTestFinished(() => primary.close())
  const row = { budget: 'limit-monthly-cu', key: 'alice', cycle: '2026-11-01', used: 12.5, endsAt: Date.now() + 1000 }
  expect(primary.answer({ kind: 'usage', rows: [row] }, 1)).toBeUndefined()
  primary.answer(
    {
      kind: 'usage',
      rows: [
        { ...row, used: 7 },
        { ...row, key: 'bob', used: 1 },
      ],
    },
    1,
  )
  primary.answer({ kind: 'usage', rows: [{ ...row, key: 'carol', endsAt: Date.now() - 1, cycle: '2026-10-01' }] }, 1)
  expect(primary.usage()).toEqual([row, { ...row, key: 'bob', used: 1 }])
})
