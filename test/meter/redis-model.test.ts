/** Redis's scripts against the memory meter and the shared budgets of one process: the same sequence, the same answers. */
import * as fc from 'fast-check'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { MemoryMeter } from '../../core/meter/memory.ts'
import { connectRedis } from '../../core/meter/redis-client.ts'
import { RedisLink } from '../../core/meter/redis-link.ts'
import { RedisSource } from '../../core/meter/redis-source.ts'
import { SharedBudgets } from '../../core/meter/shared-budgets.ts'
import { TERM_MS } from '../../core/meter/source.ts'
import { StoreClock } from '../../core/meter/store-clock.ts'
import { storeMetrics } from '../../core/meter/store-metrics.ts'
import { UsageBook } from '../../core/meter/usage.ts'
import { UsageStore } from '../../core/meter/usage-store.ts'
import { createMetrics } from '../../core/observe/metrics.ts'
import { startRedis } from '../support/redis.ts'
import { START, want } from './held-clock.ts'
import { PATIENT, openMeterOn } from './redis-meters.ts'
import type { Ask, BudgetName, BudgetSource, Return, Standing } from '../../core/meter/source.ts'
import type { Draw, Window } from '../../core/plugin/budget.ts'
import type { Redis as RedisServer } from '../support/redis.ts'
import type { OpenedMeter } from './redis-meters.ts'

const MS = 100
const LIMIT = 40

let server: RedisServer
let client: Redis
beforeAll(async () => {
  server = await startRedis()
  client = new Redis(server.url)
})
afterAll(async () => {
  client.disconnect()
  await server.stop()
})

/** Costs in thousandths of a CU; many are whole, some are more than the limit, some are no amount. */
const costs = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0, max: 25 }).map((cu) => cu * 1000) },
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 50_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(NaN, -1000, Infinity, 1e15) },
)
const limits = fc.oneof({ weight: 9, arbitrary: fc.constant(LIMIT) }, { weight: 1, arbitrary: fc.constantFrom(Infinity, 10, 0.5) })
const keys = fc.constantFrom('a', 'b{c}%')
const draws = fc.array(fc.record({ key: keys, cost: costs, limit: limits }), { maxLength: 3 })
const steps = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 3 * MS }) }) },
    {
      weight: 5,
      arbitrary: fc.record({ do: fc.constant('draw' as const), together: fc.boolean(), calls: fc.array(draws, { minLength: 1, maxLength: 5 }) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('refund' as const), which: fc.nat(), amount: costs }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('overdraw' as const), which: fc.nat(), amount: costs }) },
  ),
  { minLength: 1, maxLength: 25 },
)

/** What a draw was told. The window matters only where something may come back to it. */
function told({ held, remaining, used, resetMs, retryAfterMs, epoch }: Draw) {
  return { held, remaining, used, resetMs, retryAfterMs, epoch: held > 0 ? epoch : undefined }
}

let round = 0

function windowOf(kind: Window['kind']): Window {
  // Another cycle each time, for it is kept on.
  return kind === 'cycle' ? { kind, id: `c${round++}`, endsAt: START + 1e9 } : { kind, ms: MS }
}

type Step = (typeof steps extends fc.Arbitrary<infer All> ? All : never) extends readonly (infer One)[] ? One : never

/** A meter on Redis and one in memory, and a clock for both. */
class Pair {
  readonly clock: { ms: number }
  readonly far: OpenedMeter
  readonly usage: UsageBook
  readonly near: MemoryMeter
  readonly window: Window
  readonly draws: (readonly [far: Draw, near: Draw])[] = []

  constructor(far: OpenedMeter, clock: { ms: number }, window: Window) {
    this.far = far
    this.clock = clock
    this.usage = new UsageBook({ store: UsageStore.inMemory(), now: () => clock.ms, onStore: () => undefined })
    this.near = new MemoryMeter(() => clock.ms, this.usage)
    this.window = window
  }

  /** Does a step with both; answers what each of them says of it. */
  async run(step: Step): Promise<{ said: unknown; expected: unknown }> {
    if (step.do === 'wait') {
      this.clock.ms += step.ms
      return { said: undefined, expected: undefined }
    }
    if (step.do === 'draw') {
      const make = (): Draw[][] => step.calls.map((call) => call.map(({ key, cost, limit }) => want(cost / 1000, limit, this.window, key)))
      const [far, near] = [make(), make()]
      const said = [await this.far.meter.draw(far, step.together), far.flat().map(told)]
      const expected = [this.near.draw(near, step.together), near.flat().map(told)]
      this.draws.push(...far.flat().flatMap((draw, at) => (draw.held > 0 ? [[draw, near.flat()[at]!] as const] : [])))
      return { said, expected }
    }
    const pair = this.draws[step.which % this.draws.length]
    if (pair === undefined) return { said: undefined, expected: undefined }
    this.far.meter[step.do](pair[0], step.amount / 1000)
    this.near[step.do](pair[1], step.amount / 1000)
    await this.far.settled()
    return { said: pair[0].held, expected: pair[1].held }
  }
}

describe.each(['sliding', 'fixed', 'cycle'] as const)('a %s budget', (kind) => {
  test('admits, refunds, forgets and tells exactly as in memory', async () => {
    const clock = { ms: START }
    const far = await openMeterOn({ kind: 'redis', url: server.url }, { ...PATIENT, lease: 'exact', storeNow: () => clock.ms })
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        clock.ms = START
        await client.flushdb()
        const pair = new Pair(far, clock, windowOf(kind))
        for (const step of script) {
          const { said, expected } = await pair.run(step)
          expect(said).toEqual(expected)
        }
        pair.usage.close()
      }),
      { numRuns: 150 },
    )
  })

  test('grants slices and takes settlements in exactly as in memory', async () => {
    const clock = { ms: START }
    const redis = connectRedis({ kind: 'redis', url: server.url }, { ready: () => undefined, lost: () => undefined })
    onTestFinished(() => redis.close())
    const metrics = storeMetrics(createMetrics())
    const link = new RedisLink(redis, {
      timeoutMs: 5000,
      process: kind,
      clock: new StoreClock(() => clock.ms, clock.ms),
      monotonicMs: () => performance.now(),
      log: { info: () => undefined, error: () => undefined },
      metrics,
      back: () => undefined,
      now: () => clock.ms,
    })
    await expect.poll(() => redis.run('beat', ['beat'], ['-', 'me', 1])).toBeTruthy()
    link.connected()
    await link.opened(5000)
    const far = new RedisSource(link)
    let id = 0
    await fc.assert(
      fc.asyncProperty(leaseSteps, async (script) => {
        clock.ms += 1e6
        await client.flushdb()
        const usage = new UsageBook({ store: UsageStore.inMemory(), now: () => clock.ms, onStore: () => undefined })
        const near = new SharedBudgets(() => clock.ms, usage)
        const window = windowOf(kind)
        for (const step of script) {
          clock.ms += step.waitMs
          const of = { budget: 'test', key: step.key, window }
          const ask = { of, known: NOTHING, limit: step.limit, need: step.need, ahead: step.ahead }
          const at = (back: number, ms: number): number => Math.floor(clock.ms / ms) - back
          const told = {
            of,
            known: NOTHING,
            spent: [[kind === 'cycle' ? 0 : at(step.back, MS), step.spent] as const],
            freed: [[at(step.back, TERM_MS), step.freed] as const],
          }
          expect(await granted(far, ask)).toEqual(await granted(near, ask))
          expect(await standing(far, ++id, told)).toEqual(await standing(near, id, told))
          expect(await standing(far, id, told)).toEqual(await standing(near, ++id, { ...told, spent: [], freed: [] }))
        }
        usage.close()
      }),
      { numRuns: 150 },
    )
  })
})

const NOTHING = { incarnation: 0, units: 0 }

const leaseSteps = fc.array(
  fc.record({
    waitMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3 * MS }), fc.integer({ min: 0, max: 3 * TERM_MS })),
    key: keys,
    limit: fc.oneof({ weight: 9, arbitrary: fc.constant(LIMIT * 1000) }, { weight: 1, arbitrary: fc.constantFrom(Infinity, 10) }),
    need: fc.integer({ min: 0, max: 30_000 }),
    ahead: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 30_000 })),
    back: fc.integer({ min: 0, max: 2 }),
    spent: fc.integer({ min: -10_000, max: 20_000 }),
    freed: fc.integer({ min: 0, max: 30_000 }),
  }),
  { minLength: 1, maxLength: 25 },
)

/** What is granted, and how the budget stands then; the incarnation of a cycle's record is its own. */
function granted(source: BudgetSource, ask: Ask): Promise<unknown> {
  return new Promise((resolve) => source.take([ask], (_, grant) => resolve(grant && { ...grant, standing: shown(ask, grant.standing) })))
}

function standing(source: BudgetSource, id: number, told: Return): Promise<unknown> {
  return new Promise((resolve) => source.give(id, [told], (standings) => resolve(standings?.map((standing) => shown(told, standing)))))
}

function shown({ of }: { readonly of: BudgetName }, standing: Standing): Standing {
  return of.window.kind === 'cycle' ? { ...standing, epoch: 0 } : of.window.kind === 'fixed' ? { ...standing, previous: 0 } : standing
}
