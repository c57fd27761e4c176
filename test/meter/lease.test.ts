import { setTimeout as delay } from 'node:timers/promises'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SharedBudgets } from '../../core/meter/shared-budgets.ts'
import { UsageStore } from '../../core/meter/usage-store.ts'
import { FIXED, NOVEMBER, SECOND, START, openBook, want } from './held-clock.ts'
import { heldSource, processesOn } from './leased.ts'
import type { Draw, Window } from '../../core/plugin/budget.ts'
import type { Process } from './leased.ts'

const KINDS: readonly (readonly [string, Window])[] = [
  ['sliding', SECOND],
  ['fixed', FIXED],
  ['cycle', NOVEMBER],
]

async function isTaken({ meter }: Process, draw: Draw): Promise<boolean> {
  return (await meter.draw([[draw]], false))[0] === -1
}

/** A source, so many processes on it, and the clock of all. */
function start(count: number) {
  const clock = { ms: START }
  const source = heldSource(clock)
  return { clock, source, processes: processesOn(source, clock, count) }
}

/** Draws of one process at an even rate, until it holds a slice. */
async function warmUp(process: Process, clock: { ms: number }, make: () => Draw, frames = 20): Promise<void> {
  for (let at = 0; at < frames; at++, clock.ms++) await isTaken(process, make())
}

describe.each(KINDS)('a %s budget that processes share', (_kind, window) => {
  test('of 50 serves exactly 50 of 400 draws that four of them make at once', async () => {
    const { processes } = start(4)
    const tries = await Promise.all(Array.from({ length: 400 }, (_, at) => isTaken(processes[at % 4]!, want(1, 50, window))))
    expect(tries.filter(Boolean)).toHaveLength(50)
  })

  test('a process that has a slice draws from it at once, and seldom asks', async () => {
    const { processes, clock, source } = start(1)
    const [process] = processes
    await warmUp(process!, clock, () => want(1, 1e6, window))
    const before = source.takes
    let waited = 0
    for (let at = 0; at < 1000; at++) {
      if (at % 5 === 0) clock.ms++
      if (process!.meter.draw([[want(1, 1e6, window)]], false) instanceof Promise) waited++
      if (at % 5 === 0) await delay(0)
    }
    expect(waited).toBeLessThan(20)
    expect(source.takes - before).toBeLessThan(50)
  })

  test('what is spent is told, and what is not is given back', async () => {
    const { processes, clock } = start(2)
    const [one, other] = processes
    await warmUp(one!, clock, () => want(1, 1000, window))
    await one!.meter.close()
    const probe = want(0, 1000, window)
    await isTaken(other!, probe)
    await isTaken(other!, want(1000 - 20, 1000, window))
    const last = want(1, 1000, window)
    expect(await isTaken(other!, last)).toBe(false)
    expect(last.used).toBe(1000)
  })

  test('a slice that nobody touches is given back by itself', async () => {
    const { processes, clock } = start(2)
    const [one, other] = processes
    await warmUp(one!, clock, () => want(1, 400, window))
    expect(await isTaken(other!, want(380, 400, window))).toBe(false)
    clock.ms += 150
    await expect.poll(() => isTaken(other!, want(300, 400, window))).toBe(true)
  })

  test('what a killed process held comes free, and what it had told stays counted', async () => {
    const clock = { ms: START }
    const budgets = new SharedBudgets(() => clock.ms, openBook(UsageStore.inMemory(), clock))
    const [line, source] = [heldSource(clock, budgets), heldSource(clock, budgets)]
    const [one] = processesOn(line, clock, 1)
    const [other] = processesOn(source, clock, 1)
    await warmUp(one!, clock, () => want(1, 1000, window))
    one!.ledger.settle()
    await delay(0)
    line.isAway = line.isSilent = true // it is heard no more
    clock.ms = START + 2000
    const limit = window === NOVEMBER ? 1000 - 20 : 1000
    expect(await isTaken(other!, want(limit, 1000, window))).toBe(true)
    expect(await isTaken(other!, want(1, 1000, window))).toBe(false)
  })

  test('a refund can be drawn by another process, once it is told', async () => {
    const { processes } = start(2)
    const [one, other] = processes
    const first = want(50, 50, window)
    expect(await isTaken(one!, first)).toBe(true)
    expect(await isTaken(other!, want(1, 50, window))).toBe(false)
    one!.meter.refund(first, 20)
    expect(first.held).toBe(30)
    one!.ledger.settle()
    await delay(0)
    expect(await isTaken(one!, want(20, 50, window))).toBe(true)
    expect(await isTaken(one!, want(1, 50, window))).toBe(false)
  })

  test('a draw says how the budget stands, what others hold not included', async () => {
    const { processes } = start(1)
    const draw = want(30, 50, window)
    await isTaken(processes[0]!, draw)
    expect(draw).toMatchObject({ held: 30, used: 30, remaining: 20, retryAfterMs: 0 })
    const blocked = want(30, 50, window)
    await isTaken(processes[0]!, blocked)
    expect(blocked).toMatchObject({ held: 0, used: 30, remaining: 20, isUncounted: false })
    expect(blocked.retryAfterMs).toBeGreaterThan(0)
    const hopeless = want(51, 50, window)
    await isTaken(processes[0]!, hopeless)
    expect(hopeless.retryAfterMs).toBe(Infinity)
  })
})

/** Attempts to have what was spent of a slice forgotten: it is told some time later, and a slice comes free by itself. */
describe('a cycle is not overdrawn', () => {
  const LIMIT = 1000
  const SETTLE_MS = 50

  test('by a burst, a trickle that keeps the slice, and a burst in the moment before it comes free', async () => {
    const { processes, clock } = start(2)
    const [one, other] = processes as [Process, Process]
    let served = 0
    const draw = async (process: Process, cost: number): Promise<boolean> => {
      const isServed = await isTaken(process, want(cost, LIMIT, NOVEMBER))
      if (isServed) served += cost
      return isServed
    }
    await warmUp(one, clock, () => want(1, LIMIT, NOVEMBER))
    served += 20
    for (one.ledger.settle(); await draw(other, 1);) if (served % 40 === 0) clock.ms++
    clock.ms = START + 2 * SETTLE_MS
    // What spent tells of it as often as processes do; the burst comes just before the end of the term after that of the slice.
    while (clock.ms < START + 2500) {
      clock.ms += SETTLE_MS - 1
      await draw(one, 0.125)
      if (clock.ms === START + 1999) while (await draw(one, 1));
      clock.ms++
      while (await draw(other, 1));
      for (const { ledger } of processes) ledger.settle()
      await delay(0)
    }
    expect(served).toBeLessThanOrEqual(LIMIT)
  })

  test('by an answer that came so late that what it grants has come free', async () => {
    const clock = { ms: START }
    const budgets = new SharedBudgets(() => clock.ms, openBook(UsageStore.inMemory(), clock))
    const slow = heldSource(clock, budgets)
    const answers: (() => void)[] = []
    const processes = [
      ...processesOn({ ...slow, take: (asks, hear) => budgets.take(asks, (position, grant) => void answers.push(() => hear(position, grant))) }, clock, 1),
      ...processesOn(heldSource(clock, budgets), clock, 1),
    ]
    const [late, other] = processes as [Process, Process]
    const asked = isTaken(late, want(LIMIT, LIMIT, NOVEMBER))
    await delay(0)
    clock.ms += 2500
    expect(await isTaken(other, want(LIMIT, LIMIT, NOVEMBER))).toBe(true)
    for (const answer of answers) answer()
    await asked
    expect(late.frames.alone.value).toBe(1) // as if there had been no answer
  })
})

describe('a frame of a process with slices', () => {
  test('takes all draws of a call or none, and leaves room for a cheaper call behind', async () => {
    const { processes } = start(1)
    const [{ meter } = processes[0]!] = processes
    const calls = [30, 30, 15, 10, 5].map((cost) => [want(cost, 50), want(cost, 1000, NOVEMBER)])
    expect(await meter.draw(calls, false)).toEqual([-1, 0, -1, 0, -1])
    expect(calls.map(([, month]) => month!.held)).toEqual([30, 0, 15, 0, 5])
    expect(await meter.draw([[want(1, 1000, NOVEMBER), want(1, 50)]], false)).toEqual([1])
  })

  test('stands or falls together where it is to', async () => {
    const { processes } = start(1)
    const { meter } = processes[0]!
    expect(await meter.draw([[want(30, 50)], [want(15, 50)], [want(10, 50)]], true)).toEqual([-1, -1, 0])
    expect(await meter.draw([[want(50, 50)]], true)).toEqual([-1])
  })

  test('asks once for all budgets and all frames of one turn', async () => {
    const { processes, source } = start(1)
    const { meter } = processes[0]!
    await Promise.all(Array.from({ length: 100 }, async (_, at) => meter.draw([[want(1, 50, SECOND, `key ${at}`), want(1, 50, NOVEMBER, `key ${at}`)]], false)))
    expect(source.takes).toBe(1)
  })

  test('does not ask again and again while the budget is spent', async () => {
    const { processes, source, clock } = start(1)
    const { meter } = processes[0]!
    await meter.draw([[want(50, 50)]], false)
    const before = source.takes
    for (let at = 0; at < 1000; at++) {
      if (at % 10 === 0) clock.ms++
      expect(await meter.draw([[want(1, 50)]], false)).toEqual([0])
    }
    expect(source.takes - before).toBeLessThanOrEqual(6)
  })

  test('without a limit asks only how the budget stands, once, and is recorded', async () => {
    const { processes, source } = start(2)
    const [one, other] = processes
    await isTaken(one!, want(0, Infinity, NOVEMBER))
    expect(source.takes).toBe(1)
    expect(one!.meter.draw([[want(1e9, Infinity, NOVEMBER)]], false)).toEqual([-1])
    expect(source.takes).toBe(1)
    one!.ledger.settle()
    await delay(0)
    const probe = want(1, 2e9, NOVEMBER)
    await isTaken(other!, probe)
    expect(probe.used).toBe(1e9 + 1)
  })
})

describe('while the store is away', () => {
  test('each process serves its share of a window, and what it had drawn counts', async () => {
    const { processes, source } = start(2)
    source.processes = 2
    await isTaken(processes[0]!, want(10, 100))
    source.isAway = true
    const served = await Promise.all(Array.from({ length: 400 }, (_, at) => isTaken(processes[at % 2]!, want(1, 100))))
    expect(served.filter(Boolean)).toHaveLength(40 + 50)
  })

  test('each serves its share of what was left of a cycle and the overdraft, and then says that it is not the budget', async () => {
    const { processes, source } = start(2)
    source.processes = 2
    for (const process of processes) await isTaken(process, want(100, 1000, NOVEMBER))
    for (const { ledger } of processes) ledger.settle()
    await delay(0)
    for (const process of processes) await isTaken(process, want(1, 1000, NOVEMBER))
    source.isAway = true
    const [one] = processes
    let served = 0
    while (await isTaken(one!, want(1, 1000, NOVEMBER))) served++
    expect(served).toBe((1000 - 100 - 100) / 2 + 10 - 1)
    const blocked = want(1, 1000, NOVEMBER)
    expect(await isTaken(one!, blocked)).toBe(false)
    expect(blocked).toMatchObject({ isUncounted: true })
  })

  test('a cycle that is known to be spent is refused as spent', async () => {
    const { processes, source } = start(1)
    await isTaken(processes[0]!, want(1000, 1000, NOVEMBER))
    source.isAway = true
    const blocked = want(1, 1000, NOVEMBER)
    expect(await isTaken(processes[0]!, blocked)).toBe(false)
    expect(blocked).toMatchObject({ isUncounted: false, used: 1000 })
  })

  test.each([
    ['refuse', false],
    ['pass', true],
  ] as const)('%s is what it says', async (policy, isServed) => {
    const clock = { ms: START }
    const source = heldSource(clock)
    const [process] = processesOn(source, clock, 1, { onStoreFailure: { windows: policy, cycles: policy } })
    source.isAway = true
    for (const window of [SECOND, FIXED, NOVEMBER]) {
      const draw = want(60, 50, window)
      expect(await isTaken(process!, draw)).toBe(isServed)
      expect(draw).toMatchObject({ isUncounted: !isServed, held: isServed ? 60 : 0 })
    }
  })

  test('what was served is told once when it is back', async () => {
    const { processes, source } = start(2)
    const [one, other] = processes
    source.isAway = true
    const draw = want(30, 100, NOVEMBER)
    await isTaken(one!, draw)
    one!.meter.refund(draw, 10)
    one!.ledger.settle()
    source.isAway = false
    for (let round = 0; round < 3; round++) one!.ledger.settle()
    await delay(0)
    const probe = want(0, 100, NOVEMBER)
    await isTaken(other!, probe)
    await isTaken(other!, want(80, 100, NOVEMBER))
    expect(await isTaken(other!, want(1, 100, NOVEMBER))).toBe(false)
  })

  test('a frame that is not answered is drawn alone', async () => {
    const { processes, source } = start(1)
    source.isSilent = true
    expect(await isTaken(processes[0]!, want(1, 50))).toBe(true)
    expect(processes[0]!.frames.alone.value).toBe(1)
    source.isAway = true
  })
})

describe.each(['sliding', 'fixed', 'cycle'] as const)('processes that share a %s budget', (kind) => {
  const MS = 100
  const LIMIT = 40
  const window: Window = kind === 'cycle' ? { kind, id: 'c', endsAt: START + 1e9 } : { kind, ms: MS }
  const steps = fc.array(
    fc.oneof(
      fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 150 }) }),
      fc.record({ do: fc.constant('settle' as const), who: fc.nat(2) }),
      fc.record({ do: fc.constant('draw' as const), who: fc.nat(2), costs: fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1, maxLength: 4 }) }),
    ),
    { maxLength: 60 },
  )

  test('never serve more than the limit in one window, whatever they do', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const clock = { ms: START }
        const processes = processesOn(heldSource(clock), clock, 3, { leaseShare: 0.5 })
        const windows = new Map<number, number>()
        for (const step of script) {
          if (step.do === 'wait') clock.ms += step.ms
          else if (step.do === 'settle') processes[step.who]!.ledger.settle()
          else {
            const at = kind === 'cycle' ? 0 : Math.floor(clock.ms / MS)
            const draws = step.costs.map((cost) => want(cost, LIMIT, window))
            await processes[step.who]!.meter.draw(
              draws.map((draw) => [draw]),
              false,
            )
            windows.set(at, (windows.get(at) ?? 0) + draws.reduce((sum, { held }) => sum + held, 0))
          }
        }
        for (const served of windows.values()) expect(served).toBeLessThanOrEqual(LIMIT)
        for (const { meter } of processes) await meter.close()
      }),
      { numRuns: 60 },
    )
  })
})
