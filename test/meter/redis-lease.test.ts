/** Slices of budgets that a real Redis holds, and attempts to draw more than the limit with them. */
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startRedis } from '../support/redis.ts'
import { want } from './held-clock.ts'
import { PATIENT, SETTINGS, openMeterOn } from './redis-meters.ts'
import type { RedisSpec } from '../../core/meter/redis-client.ts'
import type { Draw, Window } from '../../core/plugin/budget.ts'
import type { Redis as RedisServer } from '../support/redis.ts'
import type { OpenedMeter, RedisMeterOptions } from './redis-meters.ts'

let server: RedisServer
let spec: RedisSpec
beforeAll(async () => {
  server = await startRedis()
  spec = { kind: 'redis', url: server.url }
})
afterAll(() => server.stop())

const CYCLE: Window = { kind: 'cycle', id: '2099-01-01', endsAt: Date.UTC(2099, 1, 1) }

function meters(count: number, options: RedisMeterOptions = {}): Promise<OpenedMeter[]> {
  return Promise.all(Array.from({ length: count }, () => openMeterOn(spec, { ...PATIENT, ...options })))
}

interface Served {
  readonly draw: Draw
  /** Epoch milliseconds, by the clock that Redis has too. */
  readonly atMs: number
}

/** Lets processes draw for a while, each as `pace` says: how many draws, and how long it rests then. */
async function load(
  processes: readonly OpenedMeter[],
  forMs: number,
  make: () => Draw,
  pace: (who: number) => readonly [draws: number, restMs: number],
): Promise<Served[]> {
  const until = performance.now() + forMs
  const served: Served[] = []
  await Promise.all(
    processes.map(async ({ take }, who) => {
      while (performance.now() < until) {
        const [draws, restMs] = pace(who)
        const made = Array.from({ length: draws }, make)
        await Promise.all(made.map(async (draw) => void ((await take(draw)) && served.push({ draw, atMs: Date.now() }))))
        await delay(restMs)
      }
    }),
  )
  return served
}

/** What was served in each window, in CU. */
function byWindow(served: readonly Served[]): ReadonlyMap<number, number> {
  const windows = new Map<number, number>()
  for (const { draw } of served) windows.set(draw.epoch, (windows.get(draw.epoch) ?? 0) + draw.cost)
  return windows
}

/** Milliseconds until the next multiple of so many. */
function untilTheEdge(ms: number): number {
  return ms - (Date.now() % ms)
}

describe('with slices', () => {
  test('a budget of 50 admits exactly 50 of 400 draws that four processes make at once, twenty times', async () => {
    const processes = await meters(4)
    for (let round = 0; round < 20; round++) {
      const tries = await Promise.all(Array.from({ length: 400 }, (_, at) => processes[at % 4]!.take(want(1, 50, CYCLE, `round-${round}`))))
      expect(tries.filter(Boolean)).toHaveLength(50)
    }
  })

  test.each([
    ['fixed', 4, 0.2, 0.4],
    ['sliding', 4, 0.2, 0.4],
    ['fixed', 12, 0.5, 0], // all of them together would hold six times the limit, if anybody let them
  ] as const)('no %s window is ever overdrawn by %i processes with slices of %d, in whatever rhythm they draw', async (kind, count, leaseShare, least) => {
    const LIMIT = 400
    const window: Window = { kind, ms: 500 }
    const processes = await meters(count, { leaseShare })
    let turn = 0
    const served = await load(
      processes,
      3000,
      () => want(1 + (turn++ % 3), LIMIT, window, `rhythms-${kind}-${count}`),
      (who) =>
        [
          [1, 0],
          [20, 30],
          [200, untilTheEdge(500)], // all at once as a window begins,
          [200, untilTheEdge(1000) - 5], // or just before a slice may come free
          [3, who],
        ][(turn + who) % 5] as [number, number],
    )
    const windows = [...byWindow(served).values()]
    expect(Math.max(...windows)).toBeLessThanOrEqual(LIMIT)
    // Those in the midst, for the first and the last were not whole.
    const whole = windows.slice(1, -1)
    expect(whole.length).toBeGreaterThan(3)
    expect(Math.max(...whole)).toBeGreaterThan(LIMIT * least) // what the others may hold is left
  })

  test('the last CU of a cycle are served once what others hold has come back', async () => {
    const processes = await meters(4)
    const served = await load(
      processes,
      400,
      () => want(1, 500, CYCLE, 'to the last'),
      () => [5, 1],
    )
    let count = served.length
    await expect
      .poll(async () => {
        while (await processes[0]!.take(want(1, 500, CYCLE, 'to the last'))) count++
        return count
      })
      .toBe(500)
    for (const { take } of processes) expect(await take(want(1, 500, CYCLE, 'to the last'))).toBe(false)
  })

  test('what others may hold is bounded by the share of the limit', async () => {
    const LIMIT = 10_000
    const [one, other] = await meters(2)
    await load(
      [one!],
      300,
      () => want(1, LIMIT, CYCLE, 'bounded'),
      () => [50, 1],
    )
    await one!.settled()
    const spent = one!.usage.history('test-cycle', 'bounded')[0]!.used
    let taken = 0
    while (await other!.take(want(100, LIMIT, CYCLE, 'bounded'))) taken += 100
    expect(LIMIT - spent - taken).toBeLessThan(LIMIT * SETTINGS.leaseShare + 100)
  })

  test('the store is seldom asked, and is told what was spent', async () => {
    const [process] = await meters(1)
    const make = (): Draw => want(1, 1e6, CYCLE, 'seldom')
    await load([process!], 100, make, () => [5, 1])
    const before = await process!.metric('tollgate_store_frames_total', 'by="store"')
    const served = await load([process!], 500, make, () => [5, 1])
    const asked = (await process!.metric('tollgate_store_frames_total', 'by="store"')) - before
    expect(asked).toBeLessThan(served.length / 10)
    await process!.settled()
    const [other] = await meters(1)
    const probe = want(0, 1e6, CYCLE, 'seldom')
    await other!.take(probe)
    const used = process!.usage.history('test-cycle', 'seldom')[0]!.used
    expect(probe.used).toBe(used)
    expect(used).toBeGreaterThanOrEqual(served.length)
  })

  test('processes that are exact and processes with slices share a budget', async () => {
    const processes = [...(await meters(2)), ...(await meters(2, { lease: 'exact' }))]
    const tries = await load(
      processes,
      500,
      () => want(1, 300, CYCLE, 'mixed'),
      () => [5, 5],
    )
    expect(tries.length).toBeLessThanOrEqual(300)
    let count = tries.length
    await expect
      .poll(async () => {
        while (await processes[3]!.take(want(1, 300, CYCLE, 'mixed'))) count++
        return count
      })
      .toBe(300)
  })
})
