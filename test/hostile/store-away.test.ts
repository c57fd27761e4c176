/**
 * Two gateways, one with slices and one that is exact, on one Redis that is killed under load for ten seconds and comes back
 * empty: nobody waits, every limit holds as far as it is said to, and the month is what clients were charged.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import { basic, basicFiles } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { Load, recordedUsage } from '../support/load.ts'
import { metric } from '../support/metric.ts'
import { startRedis } from '../support/redis.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { Config } from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'

const AWAY_MS = 10_000
/** What a call may take longer: the number. */
const LONGER_MS = 100
/** CU of the greedy consumer in each window. */
const LIMIT = 60
const WINDOW_MS = 2000
const FLUSH_MS = 50

async function startGateways(store: string, load: Load): Promise<readonly GatewayProcess[]> {
  const node = await startScriptedNode()
  onTestFinished(() => node.stop())
  const config = (lease: 'auto' | 'exact'): Config =>
    basic({
      nodeUrl: node.url,
      plugins: { 'access-log': { sample: 0 }, 'limit-cu': { time_window: WINDOW_MS / 1000 }, 'ws-jsonrpc-proxy': { mode: 'http' } },
      top: {
        store,
        meter: { lease },
        log: { level: 'info' },
        plans: [
          { id: 'load', tier: 'free', seconds_quota: 100_000, monthly_quota: 10_000_000 },
          { id: 'greedy', tier: 'free', seconds_quota: LIMIT, monthly_quota: -1 },
        ],
        consumers: [...load.consumers, { username: 'greedy', plan: 'greedy', plugins: { 'key-auth': { key: 'key-of-greedy' } } }],
      },
    })
  const gateways = await Promise.all((['auto', 'exact'] as const).map((lease) => startGatewayProcess(config(lease), { files: basicFiles })))
  for (const gateway of gateways) onTestFinished(() => gateway.stop())
  return gateways
}

/** Asks for more than there is, from all gateways, until it is told to end; answers when it was served, in epoch milliseconds. */
function greed(gateways: readonly GatewayProcess[], until: AbortSignal): Promise<readonly number[]> {
  const served: number[] = []
  const client = async (url: string): Promise<void> => {
    while (!until.aborted) {
      const headers = { apikey: 'key-of-greedy', 'content-type': 'application/json' }
      const answer = await fetch(`${url}/eth`, { method: 'POST', headers, body: '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}' })
      await answer.text()
      expect([200, 429]).toContain(answer.status)
      if (answer.status === 200) served.push(Date.now())
      await delay(20)
    }
  }
  return Promise.all(gateways.flatMap(({ url }) => [client(url), client(url)])).then(() => served)
}

/** What Redis says each consumer of the load used of the month, in CU. */
async function monthIn(url: string, load: Load): Promise<ReadonlyMap<string, number>> {
  const client = new Redis(url)
  const used = new Map<string, number>()
  for (const { username } of load.clients) {
    const [key = ''] = await client.keys(`tollgate:{${username}}:limit-monthly-cu:*`)
    used.set(username, Number((await client.get(key))?.split(' ')[1] ?? 0) / 1000)
  }
  client.disconnect()
  return used
}

async function untilUp(gateways: readonly GatewayProcess[], isUp: 0 | 1): Promise<void> {
  for (const { adminUrl } of gateways) await expect.poll(() => metric(adminUrl, 'tollgate_store_up'), { timeout: 10_000 }).toBe(isUp)
}

test('a Redis that is killed under load for ten seconds and comes back empty costs no call, no wait, no limit and nothing of the month', async () => {
  const redis = await startRedis()
  onTestFinished(() => redis.stop())
  const load = new Load({ http: 15, ws: 15, perSecond: 150 })
  onTestFinished(() => load.stop())
  const gateways = await startGateways(redis.url, load)
  const lag = monitorEventLoopDelay({ resolution: 5 })
  lag.enable()
  for (const { adminUrl } of gateways) await expect.poll(() => metric(adminUrl, 'tollgate_store_processes'), { timeout: 10_000 }).toBe(2)
  load.start(...gateways.map(({ url }) => `${url}/eth`))
  const startedAt = Date.now()
  const over = new AbortController()
  const greedy = greed(gateways, over.signal)
  await delay(1500) // what is met for the first time takes its time
  load.slowestMs = 0
  await delay(3000)
  const usuallyMs = load.slowestMs
  load.slowestMs = 0
  lag.reset()

  redis.signal('SIGKILL')
  const killedAt = Date.now()
  await untilUp(gateways, 0)
  await delay(killedAt + AWAY_MS - Date.now())
  const again = await startRedis({ port: redis.port })
  onTestFinished(() => again.stop())
  const backAt = Date.now()
  await untilUp(gateways, 1)
  await delay(2000)
  over.abort()
  const servedAt = await greedy
  await load.stop()
  lag.disable()

  // No request takes much longer, and none hangs or fails.
  expect([...load.outcomes.keys()]).toEqual(['ok'])
  expect(load.odd).toEqual([])
  expect(load.slowestMs - lag.max / 1e6).toBeLessThan(usuallyMs + LONGER_MS)

  // Each of two gateways serves its half of the window. What was served before the end of the window that Redis went with counts in it.
  const served = (from: number, to: number): number => servedAt.filter((at) => at >= from && at < to).length
  const windows = Math.ceil(AWAY_MS / WINDOW_MS)
  expect(served(killedAt, backAt)).toBeLessThanOrEqual((windows + 1) * LIMIT)
  expect(served(killedAt + WINDOW_MS, backAt)).toBeGreaterThan(((windows - 2) * LIMIT) / 2) // and it is served

  // The month: nothing is lost, and what is charged twice is what was under way within one flush interval.
  const sum = (of: Iterable<number>): number => [...of].reduce((total, cu) => total + cu, 0)
  for (const { adminUrl } of gateways) await expect.poll(() => metric(adminUrl, 'tollgate_store_unsettled')).toBe(0)
  const month = await monthIn(again.url, load)
  const charged = sum(load.clients.map(({ acknowledged }) => acknowledged))
  const inDoubt = (charged / (Date.now() - startedAt)) * FLUSH_MS * gateways.length
  expect(Math.abs(sum(month.values()) - charged)).toBeLessThanOrEqual(inDoubt)

  // Each machine has a copy, of no more than that.
  for (const gateway of gateways) gateway.signal('SIGTERM')
  for (const { ended } of gateways) expect(await ended).toEqual({ code: 0, signal: undefined })
  for (const { dir } of gateways) {
    const copied = recordedUsage(`${dir}/data`)
    expect(load.clients.filter(({ username }) => (copied.get(username) ?? 0) > month.get(username)!)).toEqual([])
  }
})
