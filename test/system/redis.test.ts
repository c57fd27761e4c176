/** Two gateways of two workers each on one Redis, as an operator of several machines runs them. */
import { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { basic, basicFiles } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { metric } from '../support/metric.ts'
import { startRedis, startRedisCluster } from '../support/redis.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { Config } from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'

const CONSUMERS = 20
const SOON = { timeout: 20_000 }

/** Gateways on a store. Every consumer has 50 CU for a day and 1 000 for a month; a call costs one. */
async function startGateways(store: unknown, lease: 'auto' | 'exact'): Promise<GatewayProcess[]> {
  const node = await startScriptedNode()
  onTestFinished(() => node.stop())
  return startAll(configOn(store, lease, node.url))
}

function configOn(store: unknown, lease: 'auto' | 'exact', nodeUrl: string, plugins: Config = {}): Config {
  return basic({
    nodeUrl,
    plugins: { 'limit-cu': { time_window: 86_400 }, 'ws-jsonrpc-proxy': { mode: 'http' }, ...plugins },
    top: {
      workers: 2,
      store,
      meter: { lease, store_timeout: '5s' },
      log: { level: 'info' },
      plans: [{ id: 'free', tier: 'free', seconds_quota: 50, monthly_quota: 1000 }],
      consumers: Array.from({ length: CONSUMERS }, (_, at) => ({ username: `c${at}`, plan: 'free', plugins: { 'key-auth': { key: `key-${at}` } } })),
    },
  })
}

async function startAll(config: Config): Promise<GatewayProcess[]> {
  const gateways = await Promise.all([1, 2].map(() => startGatewayProcess(config, { files: basicFiles })))
  for (const gateway of gateways) onTestFinished(() => gateway.stop())
  return gateways
}

interface Answered {
  readonly status: number
  readonly reason: string | undefined
  readonly monthUsed: number
}

/** One call on a connection of its own, so that either worker may get it. */
async function call({ url }: GatewayProcess, consumer: number): Promise<Answered> {
  const response = await fetch(`${url}/eth`, {
    method: 'POST',
    headers: { apikey: `key-${consumer}`, 'content-type': 'application/json', connection: 'close' },
    body: '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}',
  })
  const body = (await response.json()) as { error?: { data: { reason: string } } }
  return { status: response.status, reason: body.error?.data.reason, monthUsed: Number(response.headers.get('x-monthly-used')) }
}

/** Calls of one consumer to all gateways at once: how many were served. */
async function serve(gateways: readonly GatewayProcess[], consumer: number, calls: number): Promise<number> {
  const answers = await Promise.all(Array.from({ length: calls }, (_, at) => call(gateways[at % gateways.length]!, consumer)))
  for (const { status, reason } of answers) expect([status, reason]).toEqual(status === 200 ? [200, undefined] : [429, 'rate'])
  return answers.filter(({ status }) => status === 200).length
}

async function scriptCalls(client: Redis): Promise<number> {
  const stats = await client.info('commandstats')
  return Array.from(stats.matchAll(/^cmdstat_eval(?:sha)?:calls=(\d+)/gm), ([, calls]) => Number(calls)).reduce((sum, calls) => sum + calls, 0)
}

describe('two gateways of two workers each', () => {
  test('serve exactly 50 of 400 calls at once on one Redis, for each of twenty consumers, with at most one script for each', async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.stop())
    const client = new Redis(redis.url)
    onTestFinished(() => client.disconnect())
    const gateways = await startGateways(redis.url, 'exact')
    const [before, startedAt] = [await scriptCalls(client), performance.now()]
    for (let consumer = 0; consumer < CONSUMERS; consumer++) expect(await serve(gateways, consumer, 400)).toBe(50)
    const beats = 4 * (1 + Math.ceil((performance.now() - startedAt) / 1000))
    expect((await scriptCalls(client)) - before).toBeLessThanOrEqual(400 * CONSUMERS + beats)
    // The month has counted what was served, and nothing else.
    expect((await call(gateways[0]!, 0)).monthUsed).toBe(50)
    expect(await client.get('tollgate:{c0}:limit-monthly-cu:c' + new Date().toISOString().slice(0, 8) + '01')).toMatch(/^\d+ 50000 /)
  })

  test.each([
    ['exact', 50],
    ['auto', 40], // each of the four processes may hold a slice of 5 % that the others would have served
  ] as const)('serve 50 of 400 calls at once on a cluster of three, and never more (%s: at least %i)', async (lease, least) => {
    const cluster = await startRedisCluster()
    onTestFinished(() => cluster.stop())
    const gateways = await startGateways(cluster.urls, lease)
    for (let consumer = 0; consumer < 3; consumer++) {
      const served = await serve(gateways, consumer, 400)
      expect(served).toBeGreaterThanOrEqual(least)
      expect(served).toBeLessThanOrEqual(50)
    }
  })

  test('have so many WebSockets open together as a consumer may, and not one more', async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.stop())
    const node = await startScriptedNode()
    onTestFinished(() => node.stop())
    const config = configOn(redis.url, 'auto', node.url, { 'limit-conn': { conn: 10, key: '$consumer_name' } })
    const gateways = await startAll(config)
    const tryOpen = async (count: number): Promise<readonly WebSocket[]> => {
      const tries = await Promise.allSettled(Array.from({ length: count }, (_, at) => open(gateways[at % 2]!, 0)))
      return tries.flatMap((tried) => (tried.status === 'fulfilled' ? [tried.value] : []))
    }
    const first = await tryOpen(40)
    expect(first).toHaveLength(10)
    expect(await tryOpen(10)).toEqual([])
    expect((await call(gateways[1]!, 0)).status).toBe(429)
    expect((await call(gateways[1]!, 1)).status).toBe(200)
    for (const socket of first.slice(0, 4)) socket.close()
    let more = 0
    await expect.poll(async () => (more += (await tryOpen(2)).length), SOON).toBe(4)
    expect(await tryOpen(10)).toEqual([])
    // A reload judges them anew, and they keep their places.
    await gateways[0]!.write('gateway.yaml', { ...config, drain_timeout: '10s' })
    await expect.poll(() => metric(gateways[0]!.adminUrl, 'tollgate_config_generation'), SOON).toBe(2)
    expect(await tryOpen(10)).toEqual([])
    expect(first.slice(4).filter((socket) => socket.readyState !== WebSocket.OPEN)).toEqual([])
  })

  test('refuse a consumer that the configuration of either disables, in every process, with its sockets; and see that they differ', async () => {
    const redis = await startRedis()
    onTestFinished(() => redis.stop())
    const node = await startScriptedNode()
    onTestFinished(() => node.stop())
    const config = configOn(redis.url, 'auto', node.url)
    const [one, other] = (await startAll(config)) as [GatewayProcess, GatewayProcess]
    const consumers = config['consumers'] as readonly Config[]
    const without = (...usernames: string[]): Config => ({
      ...config,
      consumers: consumers.map((consumer) => (usernames.includes(String(consumer['username'])) ? Object.assign({}, consumer, { disabled: true }) : consumer)),
    })
    const statuses = async (consumer: number): Promise<ReadonlySet<number>> =>
      new Set((await Promise.all(Array.from({ length: 12 }, () => call(other, consumer)))).map(({ status }) => status))
    const generation = (number: number): Promise<void> => expect.poll(() => metric(other.adminUrl, 'tollgate_config_generation'), SOON).toBe(number)
    const sockets = await Promise.all([0, 0, 0, 0, 0, 0, 1].map((consumer) => open(other, consumer)))
    const closed = Promise.all(sockets.slice(0, 6).map((socket) => new Promise<number>((resolve) => socket.once('close', resolve))))
    await expect.poll(() => metric(other.adminUrl, 'tollgate_gateways'), SOON).toBe(2)

    await one.write('gateway.yaml', without('c0'))
    expect(new Set(await closed)).toEqual(new Set([4401]))
    expect(await statuses(0)).toEqual(new Set([401]))
    expect(await statuses(1)).toEqual(new Set([200]))
    expect(sockets[6]!.readyState).toBe(WebSocket.OPEN)
    expect(await metric(other.adminUrl, 'tollgate_gateways_differing')).toBe(1)
    expect(await metric(other.adminUrl, 'tollgate_config_generation')).toBe(2)

    // Broken files on this machine are no reason to serve whom another one revokes, nor is a worker that starts anew.
    await other.write('gateway.yaml', 'listen: [broken')
    await other.logged('configuration refused, the last good one serves on')
    await one.write('gateway.yaml', without('c0', 'c2'))
    await generation(3)
    expect(await statuses(2)).toEqual(new Set([401]))
    expect(await metric(other.adminUrl, 'tollgate_config_last_reload_success')).toBe(0)
    const serving = (): number => other.log.filter(({ msg }) => msg === 'a worker serves').length
    process.kill(Number(other.log.find(({ msg }) => msg === 'a worker serves')!['pid']), 'SIGKILL')
    await expect.poll(serving, SOON).toBe(3)
    expect(await statuses(2)).toEqual(new Set([401]))

    await one.write('gateway.yaml', config)
    await generation(4)
    expect(await statuses(2)).toEqual(new Set([200]))
    await other.write('gateway.yaml', { ...config, drain_timeout: '10s' })
    await generation(5)
    expect(await metric(one.adminUrl, 'tollgate_gateways_differing')).toBe(1)
    await other.write('gateway.yaml', config)
    await expect.poll(() => metric(one.adminUrl, 'tollgate_gateways_differing'), SOON).toBe(0)
  })
})

async function open({ wsUrl }: GatewayProcess, consumer: number): Promise<WebSocket> {
  const socket = new WebSocket(`${wsUrl}/eth`, { headers: { apikey: `key-${consumer}` } })
  onTestFinished(() => socket.terminate())
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  return socket
}
