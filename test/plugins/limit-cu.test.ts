import { describe, expect, test } from 'vitest'
import calculateCu from '../../plugins/calculate-cu.ts'
import jsonrpcVar from '../../plugins/jsonrpc-var.ts'
import limitCu from '../../plugins/limit-cu.ts'
import { configure, sessionOn } from '../support/configured.ts'
import { basic } from '../support/gateway.ts'
import { startMetered } from './metered.ts'
import type { Config } from '../support/gateway.ts'

/** Plans and consumers: `small` has 10 CU a second, and so on. */
const TOP = {
  plans: [
    { id: 'small', tier: 'free', seconds_quota: 10, monthly_quota: -1 },
    { id: 'none', tier: 'free', seconds_quota: 0, monthly_quota: -1 },
    { id: 'silent', tier: 'free', monthly_quota: -1 },
    { id: 'open', tier: 'free', seconds_quota: 'unlimited', monthly_quota: -1 },
  ],
  consumers: [
    { username: 'sam', plan: 'small', plugins: { 'key-auth': { key: 'small' } } },
    { username: 'own', plan: 'small', seconds_quota: '20', plugins: { 'key-auth': { key: 'own' } } },
    { username: 'nina', plan: 'none', plugins: { 'key-auth': { key: 'none' } } },
    { username: 'simon', plan: 'silent', plugins: { 'key-auth': { key: 'silent' } } },
    { username: 'olga', plan: 'open', plugins: { 'key-auth': { key: 'open' } } },
    { username: 'nobody', monthly_quota: -1, plugins: { 'key-auth': { key: 'planless' } } },
    { username: 'freelancer', seconds_quota: 5, monthly_quota: -1, plugins: { 'key-auth': { key: 'own-key' } } },
  ],
} satisfies Config

const rate = (headers: Headers): (string | null)[] => ['limit', 'remaining', 'reset'].map((name) => headers.get(`x-ratelimit-${name}`))

describe('limit-cu', () => {
  test('serves what the window has room for and says how it stands', async () => {
    const { ask } = await startMetered({ top: TOP })
    const first = await ask('eth_call', 'small')
    expect([first.status, ...rate(first.headers)]).toEqual([200, '10', '5', '2'])
    const second = await ask('eth_call', 'small')
    expect([second.status, ...rate(second.headers)]).toEqual([200, '10', '0', '2'])
  })

  test('refuses what it has no room for, says when it will have it, and means it', async () => {
    const { ask, clock, node } = await startMetered({ top: TOP })
    for (let at = 0; at < 2; at++) await ask('eth_call', 'small')
    const refused = await ask('eth_getBalance', 'small')
    expect([refused.status, ...rate(refused.headers), refused.headers.get('retry-after')]).toEqual([429, '10', '0', '2', '2'])
    expect(refused.error).toMatchObject({
      code: -32005,
      message: 'Rate limit exceeded: this call costs 2 CU, and 0 of 10 CU per second are left; try again in 1200 ms',
      data: { reason: 'rate', cu: 2, limit: 10, retry_after_ms: 1200 },
    })
    clock.ms += 1199
    expect((await ask('eth_getBalance', 'small')).outcomes).toEqual(['rate'])
    clock.ms += 1
    expect((await ask('eth_getBalance', 'small')).outcomes).toEqual(['ok'])
    expect(node.calls.map(({ method }) => method)).toEqual(['eth_call', 'eth_call', 'eth_getBalance'])
  })

  test('a call whose cost exceeds the whole limit is told so, and not to try again', async () => {
    const { ask } = await startMetered({ top: TOP })
    const { status, headers, error } = await ask('eth_getLogs', 'own-key')
    expect([status, headers.get('retry-after'), ...rate(headers)]).toEqual([429, null, '5', '5', '0'])
    expect(error).toMatchObject({
      message: 'This call costs 10 CU, more than the whole limit of 5 CU per second',
      data: { reason: 'cost-above-limit', cu: 10, limit: 5 },
    })
    expect(error!.data).not.toHaveProperty('retry_after_ms')
  })

  test('a batch is refused member by member, in its order', async () => {
    const { askAll } = await startMetered({ top: TOP })
    const { status, outcomes, headers } = await askAll(['eth_call', 'eth_chainId', 'eth_call', 'eth_getBalance', 'eth_getBalance', 'eth_getBalance'], 'small')
    expect([status, ...outcomes]).toEqual([200, 'ok', 'ok', 'rate', 'ok', 'ok', 'rate'])
    expect(rate(headers)).toEqual(['10', '0', '2'])
  })

  test('a batch that is refused as a whole costs nothing', async () => {
    const { ask, askAll } = await startMetered({ top: TOP, route: { on_batch_refusal: 'all' } })
    const { status, outcomes, error } = await askAll(['eth_call', 'eth_call', 'eth_getBalance'], 'small')
    expect([status, ...outcomes]).toEqual([200, 'batch-refused', 'batch-refused', 'cost-above-limit'])
    expect(error).toBeDefined()
    expect((await ask('eth_getLogs', 'small')).outcomes).toEqual(['ok'])
  })

  test('what the node never did costs nothing', async () => {
    const { ask, node } = await startMetered({ top: TOP })
    node.next((_request, socket) => socket.resetAndDestroy())
    expect((await ask('eth_getLogs', 'small')).status).toBe(502)
    expect((await ask('eth_getLogs', 'small')).status).toBe(200)
  })

  test('a refusal by a plugin that comes before costs nothing', async () => {
    const { ask } = await startMetered({ top: TOP })
    for (let at = 0; at < 20; at++) expect((await ask('eth_sign', 'small')).status).toBe(405)
    expect((await ask('eth_getLogs', 'small')).status).toBe(200)
  })

  test('of a thousand calls at once against 50 CU exactly 50 are served', async () => {
    const { askAll, node } = await startMetered({
      top: { ...TOP, plans: [{ id: 'small', tier: 'free', seconds_quota: 50, monthly_quota: -1 }], consumers: [TOP.consumers[0]] },
    })
    const asked = await Promise.all(Array.from({ length: 100 }, () => askAll(Array(10).fill('eth_blockNumber') as string[], 'small')))
    expect(asked.flatMap(({ outcomes }) => outcomes).filter((outcome) => outcome === 'ok')).toHaveLength(50)
    expect(node.calls).toHaveLength(50)
  })
})

describe("limit-cu's quota", () => {
  test("is the consumer's own before its plan's", async () => {
    const { ask } = await startMetered({ top: TOP })
    expect(rate((await ask('eth_call', 'own')).headers)[0]).toBe('20')
    expect(rate((await ask('eth_call', 'own-key')).headers)[0]).toBe('5')
  })

  test('of 0 serves nothing and says so', async () => {
    const { ask } = await startMetered({ top: TOP })
    const { status, headers, error } = await ask('eth_chainId', 'none')
    expect([status, headers.get('retry-after'), headers.get('x-ratelimit-limit'), headers.get('x-ratelimit-remaining')]).toEqual([429, null, '0', '0'])
    expect(error).toMatchObject({ message: 'This account has no compute units to spend: its quota is 0', data: { reason: 'no-quota', limit: 0 } })
  })

  test('that a plan does not state is 0', async () => {
    const { ask } = await startMetered({ top: TOP })
    expect((await ask('eth_chainId', 'silent')).outcomes).toEqual(['no-quota'])
  })

  test('of a consumer without a plan is none, and that is not a matter of waiting', async () => {
    const { ask } = await startMetered({ top: TOP })
    const { status, error } = await ask('eth_chainId', 'planless')
    expect(status).toBe(403)
    expect(error).toMatchObject({ code: -32003, message: 'This account has no plan, and so no compute units to spend', data: { reason: 'no-plan' } })
  })

  test('without a limit refuses nothing and shows none', async () => {
    const { ask } = await startMetered({ top: TOP })
    for (let at = 0; at < 5; at++) expect((await ask('eth_getLogs', 'open')).status).toBe(200)
    expect(rate((await ask('eth_call', 'open')).headers)).toEqual([null, null, null])
  })

  test('that is changed while the gateway runs counts at once, with what was spent before', async () => {
    const { ask, gateway, node } = await startMetered({ top: TOP })
    await ask('eth_call', 'small')
    await gateway.write(
      'gateway.yaml',
      basic({ nodeUrl: node.url, top: { ...TOP, plans: [{ id: 'small', tier: 'free', seconds_quota: 6, monthly_quota: -1 }], consumers: [TOP.consumers[0]] } }),
    )
    expect(await gateway.reload()).toBe(true)
    expect((await ask('eth_getBalance', 'small')).outcomes).toEqual(['rate'])
    expect((await ask('eth_chainId', 'small')).outcomes).toEqual(['ok'])
  })
})

describe('a session without a consumer', () => {
  const open = { 'key-auth': { required: false }, 'limit-monthly-cu': undefined }

  test('has nothing to spend, unless the operator says so', async () => {
    const { ask } = await startMetered({ plugins: open })
    const { status, error } = await ask('eth_chainId', '')
    expect([status, error!.data['reason'], error!.message]).toEqual([429, 'no-quota', 'There are no compute units to spend here without an API key'])
  })

  test('draws on the budget of its address', async () => {
    const { ask, gateway } = await startMetered({
      top: { trusted_proxies: ['127.0.0.1/32'] },
      plugins: { ...open, 'real-ip': {}, 'limit-cu': { anonymous_quota: 10 } },
    })
    const from = (address: string) =>
      gateway.post('/eth', '{"jsonrpc":"2.0","id":1,"method":"eth_getLogs"}', { 'x-forwarded-for': address }).then(({ status }) => status)
    expect([await from('198.51.100.1'), await from('198.51.100.1'), await from('198.51.100.2')]).toEqual([200, 429, 200])
    expect((await ask('eth_getLogs')).status).toBe(200)
  })

  test('has no limit where the operator says so', async () => {
    const { ask } = await startMetered({ plugins: { ...open, 'limit-cu': { anonymous_quota: -1 } } })
    for (let at = 0; at < 5; at++) expect((await ask('eth_getLogs', '')).status).toBe(200)
  })
})

describe("limit-cu's budget", () => {
  test('is one over all routes, and one for each value of another key', async () => {
    const { gateway, node } = await startMetered()
    const config = basic({ nodeUrl: node.url, top: TOP })
    const [route] = config['routes'] as Config[]
    const plugins = route!['plugins'] as Config
    const routes = [
      { ...route, id: 'a', uris: ['/a/{network}'] },
      { ...route, id: 'b', uris: ['/b/{network}'] },
      { ...route, id: 'c', uris: ['/c/{network}'], plugins: { ...plugins, 'limit-cu': { key: '$consumer_name on $host' } } },
    ]
    await gateway.write('gateway.yaml', { ...config, routes })
    expect(await gateway.reload()).toBe(true)
    const ask = (path: string, method: string) =>
      gateway.post(path, JSON.stringify({ jsonrpc: '2.0', id: 1, method }), { apikey: 'small' }).then(({ status }) => status)
    expect([await ask('/a/eth', 'eth_getLogs'), await ask('/b/eth', 'eth_chainId'), await ask('/c/eth', 'eth_getLogs')]).toEqual([200, 429, 200])
  })

  test('of a window of a minute is forgotten over two', async () => {
    const { ask, clock } = await startMetered({ top: TOP, plugins: { 'limit-cu': { time_window: 60 } } })
    const spent = await ask('eth_getLogs', 'small')
    expect(rate(spent.headers)).toEqual(['10', '0', '120'])
    clock.ms += 90_000
    const later = await ask('eth_call', 'small')
    expect([later.status, ...rate(later.headers)]).toEqual([200, '10', '0', '90'])
    expect((await ask('eth_chainId', 'small')).error!.message).toContain('0 of 10 CU per 60 seconds are left')
  })
})

describe('a configuration of limit-cu', () => {
  const build = (yaml: string, plugins = 'jsonrpc-var: {}, calculate-cu: { config_path: prices.yaml }') =>
    configure([jsonrpcVar, calculateCu, limitCu], `{ ${plugins}, limit-cu: ${yaml} }`, { 'prices.yaml': 'default: 1' })

  test.each([
    ['{ key: $consumer }', 'routes[0].plugins.limit-cu.key: there is no variable $consumer'],
    ['{ key: $rpc_method }', 'routes[0].plugins.limit-cu.key: there is no variable $rpc_method'],
    ['{ key: remote_addr }', 'routes[0].plugins.limit-cu.key: is the same for every caller: write $remote_addr'],
    ['{ time_window: 0 }', 'routes[0].plugins.limit-cu.time_window: must be >= 1'],
  ])('%s is refused', async (yaml, problem) => {
    expect((await build(yaml)).problems).toEqual([expect.stringContaining(problem)])
  })

  test('without a plugin that prices is refused', async () => {
    expect((await build('{}', 'jsonrpc-var: {}')).problems).toEqual([expect.stringContaining('limit-cu reads "cost", which no plugin of this route fills')])
  })

  test('meters notifications that have a price', async () => {
    const bounded = (await build('{ anonymous_quota: 5 }')).plugin('limit-cu')
    const session = sessionOn('eth', { scheme: 'ws' })
    const notification = { session, method: 'eth_subscribe', topic: 'newHeads', bytes: 500 }
    expect(bounded.push!({ ...notification, cost: 0 })).toBe(undefined)
    expect(bounded.push!({ ...notification, cost: 2 })).toMatchObject({ budget: 'limit-cu', cost: 2, limit: 5 })
    const strict = (await build('{}')).plugin('limit-cu')
    expect(strict.push!({ ...notification, cost: 2 })).toBe('drop')
  })
})
