/**
 * What compose.yaml starts, started by hand where there is no container engine: two gateways with the very configuration
 * that is mounted into them, one Redis with the same command, two chains.
 */
import { readFileSync } from 'node:fs'
import { CORE_SCHEMA, load, mergeTag } from 'js-yaml'
import { expect, onTestFinished, test } from 'vitest'
import { startAnvil } from '../support/anvil.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { metric } from '../support/metric.ts'
import { startRedis } from '../support/redis.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'

const compose = load(readFileSync('deploy/compose.yaml', 'utf8'), { schema: CORE_SCHEMA.withTags(mergeTag) }) as {
  services: { redis: { command: string[] } }
}

/** The configuration, with the names and ports that only exist among containers replaced. */
async function startGateways(): Promise<GatewayProcess[]> {
  const redis = await startRedis({ args: compose.services.redis.command.slice(1) })
  onTestFinished(() => redis.stop())
  const anvils = await Promise.all([startAnvil(), startAnvil()])
  for (const anvil of anvils) onTestFinished(() => anvil.stop())
  let text = readFileSync('deploy/gateway/gateway.yaml', 'utf8')
  const here: Readonly<Record<string, string>> = {
    '":9080"': '127.0.0.1:0',
    '":9180"': '"127.0.0.1:0"',
    'redis://redis:6379/0': redis.url,
    'http://anvil-1:8545': anvils[0].url,
    'ws://anvil-1:8545': anvils[0].wsUrl,
    'http://anvil-2:8545': anvils[1].url,
    'ws://anvil-2:8545': anvils[1].wsUrl,
    '/var/lib/tollgate': './data',
    '/opt/tollgate/conf': `${process.cwd()}/conf`,
  }
  for (const [there, its] of Object.entries(here)) {
    expect(text).toContain(there)
    text = text.replaceAll(there, its)
  }
  const gateways = await Promise.all([1, 2].map(() => startGatewayProcess(text)))
  for (const gateway of gateways) onTestFinished(() => gateway.stop())
  return gateways
}

interface Answered {
  readonly body: unknown
  readonly monthUsed: number
}

async function call({ url }: GatewayProcess): Promise<Answered> {
  const response = await fetch(`${url}/eth-local`, {
    method: 'POST',
    headers: { apikey: 'demo-key', 'content-type': 'application/json', connection: 'close' },
    body: '{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}',
  })
  return { body: await response.json(), monthUsed: Number(response.headers.get('x-monthly-used')) }
}

test('serves a chain at two gateways of two workers each, which draw on one budget', async () => {
  const gateways = await startGateways()
  const first = await call(gateways[0]!)
  expect(first).toEqual({ body: { jsonrpc: '2.0', id: 1, result: '0x7a69' }, monthUsed: expect.any(Number) as number })
  expect(first.monthUsed).toBeGreaterThan(0)
  let calls = 1
  for (; calls < 10; calls++) expect((await call(gateways[calls % 2]!)).body).toEqual(first.body)
  // Whoever is asked knows of all of them, once they were settled.
  for (const gateway of gateways) await expect.poll(async () => (await call(gateway)).monthUsed / ++calls, { timeout: 10_000 }).toBe(first.monthUsed)
  for (const { adminUrl } of gateways) {
    expect((await fetch(`${adminUrl}/readyz`)).status).toBe(200)
    expect(await metric(adminUrl, 'tollgate_workers')).toBe(2)
    await expect.poll(() => metric(adminUrl, 'tollgate_store_processes'), { timeout: 10_000 }).toBe(4)
    await expect.poll(() => metric(adminUrl, 'tollgate_gateways'), { timeout: 10_000 }).toBe(2)
    expect(await metric(adminUrl, 'tollgate_gateways_differing')).toBe(0)
  }
  for (const gateway of gateways) gateway.signal('SIGTERM')
  for (const { ended } of gateways) expect(await ended).toEqual({ code: 0, signal: undefined })
})
