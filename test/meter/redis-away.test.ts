/** Redis killed, stopped, read-only and full while processes draw: nobody waits, limits hold, and nothing is lost or charged twice. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { command, startRedis } from '../support/redis.ts'
import { slowWire } from '../support/slow-wire.ts'
import { want } from './held-clock.ts'
import { SETTINGS, openMeterOn } from './redis-meters.ts'
import type { Draw, Window } from '../../core/plugin/budget.ts'
import type { Redis as RedisServer } from '../support/redis.ts'
import type { OpenedMeter, RedisMeterOptions } from './redis-meters.ts'

const CYCLE: Window = { kind: 'cycle', id: '2099-01-01', endsAt: Date.UTC(2099, 1, 1) }
const HALF_SECOND: Window = { kind: 'fixed', ms: 500 }
const LIMIT = 60
/** What a busy machine may add to a wait, beside the lag of the loop. */
const SLACK_MS = 100
const FLUSH_MS = 50
const CLIENTS = 12
const REST_MS = 5
const LEASES = ['exact', 'auto'] as const

async function start(options: RedisMeterOptions = {}, count = 3): Promise<{ server: RedisServer; processes: OpenedMeter[] }> {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  const processes = await Promise.all(Array.from({ length: count }, () => openMeterOn({ kind: 'redis', url: server.url }, options)))
  return { server, processes }
}

/** Clients of all processes, each drawing one CU of a window and of a month, until it is told to end. */
class Load {
  /** What was served by the month's budget, in CU. */
  charged = 0
  readonly windows = new Map<number, number>()
  slowestMs = 0
  private readonly lag = monitorEventLoopDelay({ resolution: 5 })
  private isOver = false
  private readonly clients: Promise<void>[]

  constructor(processes: readonly OpenedMeter[]) {
    this.lag.enable()
    this.clients = Array.from({ length: CLIENTS }, (_, at) => this.client(processes[at % processes.length]!))
  }

  private async client({ meter }: OpenedMeter): Promise<void> {
    for (let at = 0; !this.isOver; at++) {
      const [month, second] = [want(1, 1e6, CYCLE), want(1, LIMIT, HALF_SECOND)]
      const startedAt = performance.now()
      const [, verdict] = await meter.draw([[month], [second]], false)
      this.slowestMs = Math.max(this.slowestMs, performance.now() - startedAt)
      this.charged += month.held
      if (verdict === -1) this.windows.set(second.epoch, (this.windows.get(second.epoch) ?? 0) + 1)
      if (at % 3 === 0 && month.held > 0) {
        meter.refund(month, 0.25) // settled cheaper
        this.charged -= 0.25
      }
      await delay(REST_MS)
    }
  }

  async end(): Promise<void> {
    this.isOver = true
    await Promise.all(this.clients)
    this.lag.disable()
  }

  /** The longest wait, without what this process itself was late. */
  get waitedMs(): number {
    return this.slowestMs - this.lag.max / 1e6
  }
}

/** What Redis says was used of the month. */
async function usedIn(server: RedisServer): Promise<number> {
  const client = new Redis(server.url)
  const record = await client.get('tollgate:{somebody}:test-cycle:c2099-01-01')
  client.disconnect()
  return Number(record?.split(' ')[1] ?? 0) / 1000
}

async function isUp({ metric }: OpenedMeter): Promise<boolean> {
  return (await metric('tollgate_store_up')) === 1
}

async function untilUp(processes: readonly OpenedMeter[], isThere: boolean): Promise<void> {
  for (const process of processes) await expect.poll(() => isUp(process), { timeout: 10_000 }).toBe(isThere)
}

describe.each(LEASES)('with budgets drawn on as %s', (lease) => {
  test('a Redis that is killed under load and comes back empty: nobody waits, limits hold, and the month is what was charged', async () => {
    const { server, processes } = await start({ lease })
    await expect.poll(() => processes[0]!.metric('tollgate_store_processes'), { timeout: 5000 }).toBe(3)
    const load = new Load(processes)
    await delay(700)
    server.signal('SIGKILL')
    const killedAt = Date.now()
    await delay(1300)
    const backAt = Date.now()
    const again = await startRedis({ port: server.port })
    onTestFinished(() => again.stop())
    await untilUp(processes, true)
    await delay(700)
    await load.end()
    for (const { settled } of processes) await settled()

    expect(load.waitedMs).toBeLessThan(SETTINGS.storeTimeoutMs + SLACK_MS)
    // What one process had drawn, and another had heard of, when the answer to the first was lost, is charged twice.
    const inDoubt = CLIENTS * (lease === 'exact' ? 1 : FLUSH_MS / REST_MS)
    expect(Math.abs((await usedIn(again)) - load.charged)).toBeLessThanOrEqual(inDoubt)
    for (const [epoch, served] of load.windows) {
      const isWhollyAway = epoch * 500 > killedAt && (epoch + 1) * 500 < backAt
      expect([epoch, served <= (isWhollyAway ? LIMIT : 2 * LIMIT)]).toEqual([epoch, true])
    }
    for (const { lines } of processes) {
      expect(lines).toEqual([
        'info the store of budgets is there',
        'error the store of budgets is away: every process counts alone',
        'info the store of budgets is there',
      ])
    }
  })

  test('a Redis that hangs for a while and goes on: nobody waits, and what it did late is not charged twice', async () => {
    const { server, processes } = await start({ lease }, 2)
    const load = new Load(processes)
    await delay(300)
    server.signal('SIGSTOP')
    await untilUp(processes, false)
    await delay(500)
    server.signal('SIGCONT')
    await untilUp(processes, true)
    await delay(300)
    await load.end()
    await delay(100) // late answers
    for (const { settled } of processes) await settled()
    expect(load.waitedMs).toBeLessThan(SETTINGS.storeTimeoutMs + SLACK_MS)
    expect(await usedIn(server)).toBe(load.charged)
    expect(await processes[0]!.metric('tollgate_store_errors_total', 'why="timeout"')).toBeGreaterThan(0)
  })

  test('a stop tells what is left to tell, and does not wait for a Redis that is away', async () => {
    const { server, processes } = await start({ lease }, 2)
    const [one, other] = processes as [OpenedMeter, OpenedMeter]
    await one.take(want(10, 100, CYCLE))
    await one.close()
    expect(await usedIn(server)).toBe(10)
    await other.take(want(5, 100, CYCLE))
    await other.settled()
    server.signal('SIGKILL')
    await untilUp([other], false)
    const refused: Draw = want(100, 100, CYCLE)
    expect(await other.take(refused)).toBe(false)
    expect(await other.take(want(1, 100, CYCLE))).toBe(true)
    const startedAt = performance.now()
    await other.close()
    expect(performance.now() - startedAt).toBeLessThan(500)
    expect(other.lines.at(-1)).toBe('error the store of budgets does not know all that was spent')
  })
})

test.each([
  ['read-only', 'auto', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
  ['full', 'exact', ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
] as const)('a Redis that is %s is as good as away, until it is not', async (word, lease, worse, better) => {
  const { server, processes } = await start({ lease }, 2)
  const load = new Load(processes)
  await delay(200)
  await command(server.port, ...worse)
  await untilUp(processes, false)
  await delay(200)
  await command(server.port, ...better)
  await untilUp(processes, true)
  await load.end()
  for (const { settled } of processes) await settled()
  expect(await usedIn(server)).toBe(load.charged)
  expect(await processes[0]!.metric('tollgate_store_errors_total', `why="${word}"`)).toBeGreaterThan(0)
})

test.each(LEASES)('a Redis that answers slower than anybody waits is as good as away, and what it did is not charged twice (%s)', async (lease) => {
  const server = await startRedis()
  onTestFinished(() => server.stop())
  const wire = await slowWire(server.port)
  onTestFinished(() => wire.stop())
  const processes = await Promise.all([1, 2].map(() => openMeterOn({ kind: 'redis', url: `redis://127.0.0.1:${wire.port}/0` }, { lease })))
  const load = new Load(processes)
  await delay(300)
  wire.delayMs = 3 * SETTINGS.storeTimeoutMs
  await untilUp(processes, false)
  await delay(500)
  wire.delayMs = SETTINGS.storeTimeoutMs / 5 // slow, and in time
  await untilUp(processes, true)
  await delay(300)
  await load.end()
  wire.delayMs = 0
  await delay(300) // late answers
  for (const { settled } of processes) await settled()
  expect(load.waitedMs).toBeLessThan(SETTINGS.storeTimeoutMs + SLACK_MS)
  expect(await usedIn(server)).toBe(load.charged)
})

test('a Redis that is not there at the start is no reason not to serve, and is told when it comes', async () => {
  const gone = await startRedis()
  await gone.stop()
  const process = await openMeterOn({ kind: 'redis', url: gone.url })
  expect(process.lines).toEqual(['error the store of budgets is away: every process counts alone'])
  for (let draw = 0; draw < 5; draw++) expect(await process.take(want(1, 100, CYCLE))).toBe(true)
  const server = await startRedis({ port: gone.port })
  onTestFinished(() => server.stop())
  await untilUp([process], true)
  await process.settled()
  expect(await usedIn(server)).toBe(5)
})

describe('what is done meanwhile', () => {
  test.each([
    ['refuse', false],
    ['pass', true],
  ] as const)('is %s where that is asked for', async (policy, isServed) => {
    const { server, processes } = await start({ lease: 'exact', onStoreFailure: { windows: policy, cycles: policy } }, 1)
    const [process] = processes as [OpenedMeter]
    server.signal('SIGKILL')
    await untilUp([process], false)
    const draws = [want(60, 50, HALF_SECOND), want(60, 50, CYCLE)]
    for (const draw of draws) {
      expect(await process.take(draw)).toBe(isServed)
      expect(draw.isUncounted).toBe(!isServed)
    }
  })
})
