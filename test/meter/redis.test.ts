import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { UsageBook } from '../../core/meter/usage.ts'
import { UsageStore } from '../../core/meter/usage-store.ts'
import { startRedis } from '../support/redis.ts'
import { FIXED, NOVEMBER, SECOND, want } from './held-clock.ts'
import { PATIENT, openMeterOn } from './redis-meters.ts'
import type { RedisSpec } from '../../core/meter/redis-client.ts'
import type { Draw, Window } from '../../core/plugin/budget.ts'
import type { Redis as RedisServer } from '../support/redis.ts'
import type { OpenedMeter, RedisMeterOptions } from './redis-meters.ts'

let server: RedisServer
let client: Redis
let spec: RedisSpec
beforeAll(async () => {
  server = await startRedis()
  client = new Redis(server.url)
  spec = { kind: 'redis', url: server.url }
})
afterAll(async () => {
  client.disconnect()
  await server.stop()
})

/** Long enough that no window ends while a test runs. */
const HOUR: Window = { kind: 'sliding', ms: 3_600_000 }
const KINDS: readonly (readonly [string, Window])[] = [
  ['sliding', HOUR],
  ['fixed', { kind: 'fixed', ms: 3_600_000_000 }],
  ['cycle', { kind: 'cycle', id: '2099-01-01', endsAt: Date.UTC(2099, 1, 1) }],
]

let names = 0
/** A key that no other test draws on. */
function fresh(): string {
  return `somebody-${names++}`
}

/** Meters as so many processes would have them. */
function meters(count: number, options: RedisMeterOptions = {}): Promise<OpenedMeter[]> {
  return Promise.all(Array.from({ length: count }, () => openMeterOn(spec, { ...PATIENT, lease: 'exact', ...options })))
}

/** Scripts that Redis has run so far. */
async function scriptCalls(): Promise<number> {
  const stats = await client.info('commandstats')
  return Array.from(stats.matchAll(/^cmdstat_eval(?:sha)?:calls=(\d+)/gm), ([, calls]) => Number(calls)).reduce((sum, calls) => sum + calls, 0)
}

describe.each(KINDS)('an exact %s budget', (_kind, window) => {
  test('of 50 admits exactly 50 of 400 draws that four processes make at once, twenty times', async () => {
    const processes = await meters(4)
    for (let round = 0; round < 20; round++) {
      const key = fresh()
      const tries = await Promise.all(Array.from({ length: 400 }, (_, at) => processes[at % 4]!.take(want(1, 50, window, key))))
      expect(tries.filter(Boolean)).toHaveLength(50)
    }
  })

  test('gets back what was refunded, and is charged what was dearer, by whatever process', async () => {
    const [one, other] = await meters(2)
    const key = fresh()
    const [first, second] = [want(30, 50, window, key), want(20, 50, window, key)]
    await one!.take(first)
    await one!.take(second)
    one!.meter.refund(first, 25)
    one!.meter.overdraw(second, 10)
    await one!.settled()
    const probe = want(0, 50, window, key)
    await other!.take(probe)
    expect(probe).toMatchObject({ used: 35, remaining: 15 })
    expect(await other!.take(want(16, 50, window, key))).toBe(false)
    expect(await other!.take(want(15, 50, window, key))).toBe(true)
  })
})

describe('scripts', () => {
  test('are at most one for each frame that comes alone', async () => {
    const [{ meter } = await openMeterOn(spec)] = await meters(1)
    const key = fresh()
    const [before, startedAt] = [await scriptCalls(), performance.now()]
    for (let frame = 0; frame < 200; frame++) {
      await meter.draw([[want(1, 50, SECOND, key), want(1, 500, NOVEMBER, key)], [want(2, 50, FIXED, key)]], frame % 2 === 0)
    }
    const beats = 1 + Math.ceil((performance.now() - startedAt) / 1000)
    expect((await scriptCalls()) - before).toBeLessThanOrEqual(200 + beats)
  })

  test('are shared by frames of one turn', async () => {
    const [{ meter } = await openMeterOn(spec)] = await meters(1)
    const before = await scriptCalls()
    await Promise.all(Array.from({ length: 100 }, async () => meter.draw([[want(1, 5, SECOND, fresh())]], false)))
    expect((await scriptCalls()) - before).toBeLessThanOrEqual(3)
  })

  test('that Redis has forgotten are sent again', async () => {
    const [process] = await meters(1)
    const key = fresh()
    await process!.take(want(1, 50, HOUR, key))
    await client.script('FLUSH')
    const next = want(1, 50, HOUR, key)
    expect(await process!.take(next)).toBe(true)
    expect(next.used).toBe(2)
    expect(await process!.metric('tollgate_store_errors_total')).toBe(0)
  })
})

describe('a frame', () => {
  test('takes all draws of a call or none, over several budgets and keys', async () => {
    const [{ meter } = await openMeterOn(spec)] = await meters(1)
    const key = fresh()
    const calls = [30, 30, 15, 10, 5].map((cost) => [want(cost, 50, HOUR, key), want(cost, 1000, NOVEMBER, `other ${key}`)])
    expect(await meter.draw(calls, false)).toEqual([-1, 0, -1, 0, -1])
    expect(calls.map(([, month]) => month!.held)).toEqual([30, 0, 15, 0, 5])
    expect(calls.map(([hour]) => hour!.remaining)).toEqual(Array(5).fill(0))
    const together = [30, 30].map((cost) => [want(cost, 50, HOUR, `together ${key}`)])
    expect(await meter.draw(together, true)).toEqual([-1, 0])
    expect(together.flat().map(({ held }) => held)).toEqual([0, 0])
  })

  test('of no calls, or of calls without draws, asks nobody', async () => {
    const [{ meter } = await openMeterOn(spec)] = await meters(1)
    expect(await meter.draw([], false)).toEqual([])
    expect(await meter.draw([[], []], true)).toEqual([-1, -1])
  })
})

describe('time', () => {
  test('is that of Redis: a process whose clock is an hour off draws from the same window', async () => {
    const window: Window = { kind: 'fixed', ms: 4000 }
    const now = Date.now
    const processes = await Promise.all([0, 3_600_000, -3_600_000].map((off) => openMeterOn(spec, { ...PATIENT, lease: 'exact', now: () => now() + off })))
    const key = fresh()
    await atTheStartOf(window.ms)
    for (let draw = 0; draw < 30; draw++) await processes[draw % 3]!.take(want(1, 20, window, key))
    const probes = await Promise.all(
      processes.map(async ({ take }) => {
        const probe = want(0, 20, window, key)
        await take(probe)
        return probe
      }),
    )
    expect(probes.map(({ used }) => used)).toEqual([20, 20, 20])
    for (const { resetMs } of probes) expect(resetMs).toBeLessThanOrEqual(4000)
  })

  test('is that of Redis for slices too', async () => {
    const window: Window = { kind: 'fixed', ms: 4000 }
    const now = Date.now
    const processes = await Promise.all([0, 3_600_000, -3_600_000].map((off) => openMeterOn(spec, { ...PATIENT, now: () => now() + off })))
    const key = fresh()
    await atTheStartOf(window.ms)
    const served = await Promise.all(Array.from({ length: 300 }, (_, at) => processes[at % 3]!.take(want(1, 100, window, key))))
    expect(served.filter(Boolean)).toHaveLength(100)
    const refused = want(1, 100, window, key)
    expect(await processes[1]!.take(refused)).toBe(false)
    expect(refused.used).toBe(100)
    for (const { settled } of processes) await settled()
    await expect.poll(() => processes[2]!.take(want(100, 200, window, key))).toBe(true)
    expect(await processes[2]!.take(want(1, 200, window, key))).toBe(false)
  })

  /** Waits for the next window unless this one has most of its time left. */
  async function atTheStartOf(ms: number): Promise<void> {
    const leftMs = ms - (Date.now() % ms)
    if (leftMs < ms / 2) await delay(leftMs)
  }
})

describe('what is counted', () => {
  const CYCLE: Window = { kind: 'cycle', id: '2099-01-01', endsAt: Date.UTC(2099, 1, 1) }

  test('in a cycle stays in Redis until that has been over for 90 days', async () => {
    const [process] = await meters(1)
    const key = fresh()
    await process!.take(want(1, 50, CYCLE, key))
    const ttlMs = await client.pttl(`tollgate:{${key}}:test-cycle:c2099-01-01`)
    expect(Math.abs(Date.now() + ttlMs - Date.UTC(2099, 1, 1) - 90 * 86_400_000)).toBeLessThan(60_000)
  })

  test('in windows goes when they have passed', async () => {
    const [process] = await meters(1)
    const key = fresh()
    await process!.take(want(1, 50, { kind: 'sliding', ms: 200 }, key))
    expect(await client.pttl(`tollgate:{${key}}:test-sliding:s200`)).toBeLessThanOrEqual(2000)
    await process!.take(want(1, 50, { kind: 'sliding', ms: 5000 }, key))
    expect(await client.pttl(`tollgate:{${key}}:test-sliding:s5000`)).toBeGreaterThan(5000)
  })

  test.each(['exact', 'auto'] as const)('in a cycle is copied to this machine, and a Redis that lost it does not hand it out again (%s)', async (lease) => {
    const processes = await meters(2, { lease })
    const key = fresh()
    const [one, other] = processes
    await one!.take(want(40, 100, CYCLE, key))
    await one!.settled()
    await other!.take(want(25, 100, CYCLE, key))
    await other!.settled()
    expect(other!.usage.history('test-cycle', key).map(({ used }) => used)).toEqual([65])
    await client.flushdb()
    // Whoever knows less comes first.
    await one!.take(want(5, 100, CYCLE, key))
    await one!.settled()
    const probe = want(1, 100, CYCLE, key)
    await other!.take(probe)
    expect(probe.used).toBe(65 + 5 + 1)
    expect(await other!.take(want(30, 100, CYCLE, key))).toBe(false)
    await expect.poll(() => other!.take(want(29, 100, CYCLE, key))).toBe(true)
  })

  test.each(['exact', 'auto'] as const)('in a cycle is not handed out again by a Redis that comes back with what it knew a while ago (%s)', async (lease) => {
    const processes = await meters(2, { lease })
    const key = fresh()
    const name = `tollgate:{${key}}:test-cycle:c2099-01-01`
    const [one, other] = processes as [OpenedMeter, OpenedMeter]
    await one.take(want(20, 100, CYCLE, key))
    await one.settled()
    const old = (await client.get(name))!
    await other.take(want(30, 100, CYCLE, key))
    await other.settled()
    await one.take(want(15, 100, CYCLE, key))
    await one.settled()
    await client.set(name, old)
    await client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    for (const process of processes) await expect.poll(() => process.metric('tollgate_store_up')).toBe(0)
    for (const process of processes) await expect.poll(() => process.metric('tollgate_store_up'), { timeout: 5000 }).toBe(1)
    // Whoever knows less comes first.
    await other.take(want(5, 100, CYCLE, key))
    await other.settled()
    const probe = want(1, 100, CYCLE, key)
    await one.take(probe)
    await one.settled()
    expect(probe.used).toBe(20 + 30 + 15 + 5 + 1)
    expect(await one.take(want(30, 100, CYCLE, key))).toBe(false)
    await expect.poll(() => other.take(want(29, 100, CYCLE, key))).toBe(true)
  })

  test('is known to a process that starts anew counts where Redis knows less, and not beside what that knows', async () => {
    const store = UsageStore.inMemory()
    store.write([{ budget: 'test-cycle', key: 'restarted', cycle: '2099-01-01', used: 70, endsAt: Date.UTC(2099, 1, 1) }], 0)
    const usage = new UsageBook({ store, now: Date.now, onStore: () => undefined })
    onTestFinished(() => usage.close())
    const [process] = await meters(1, { usage })
    const probe = want(10, 100, CYCLE, 'restarted')
    await process!.take(probe)
    expect(probe.used).toBe(80)
    const [fresh] = await meters(1)
    await fresh!.take(want(10, 100, CYCLE, 'restarted'))
    const book = new UsageBook({ store: UsageStore.inMemory(), now: Date.now, onStore: () => undefined })
    book.count('test-cycle', 'restarted', '2099-01-01', Date.UTC(2099, 1, 1)).add(85_000)
    const [third] = await meters(1, { usage: book })
    const last = want(0, 100, CYCLE, 'restarted')
    await third!.take(last)
    expect(last.used).toBe(90)
  })
})

describe('keys', () => {
  const LONG = 'x'.repeat(5000)

  test('are counted apart, whatever is in them', async () => {
    const [process] = await meters(1)
    const keys = ['{}', '}{', '{a}b', 'a{b', 'a', '%7B', '{', '%', '', ' ', '\r\n', 'ключ', LONG, `${LONG}y`]
    const draw = (key: string, cost: number): Draw => want(cost, 50, HOUR, key, 'odd')
    for (const key of keys) expect([key, await process!.take(draw(key, 50))]).toEqual([key, true])
    for (const key of keys) expect([key, await process!.take(draw(key, 1))]).toEqual([key, false])
  })

  test('are never longer than what names a budget and 200 characters', async () => {
    const keys = await client.keys('tollgate:*')
    expect(Math.max(...keys.map(({ length }) => length))).toBeLessThan(260)
  })
})
