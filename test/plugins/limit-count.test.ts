import { describe, expect, test } from 'vitest'
import jsonrpcVar from '../../plugins/jsonrpc-var.ts'
import limitCount from '../../plugins/limit-count.ts'
import { configure } from '../support/configured.ts'
import { basic } from '../support/gateway.ts'
import { startMetered } from './metered.ts'
import type { Config } from '../support/gateway.ts'

/** Without the plugins that count CU. */
const counting = (config: Config): { plugins: Record<string, Config | undefined> } => ({
  plugins: { 'limit-cu': undefined, 'limit-monthly-cu': undefined, 'limit-count': config },
})

const standing = (headers: Headers): (string | null)[] => ['limit', 'remaining', 'reset'].map((name) => headers.get(`x-ratelimit-${name}`))

describe('limit-count', () => {
  test('serves so many calls per window and says how it stands', async () => {
    const { ask, clock } = await startMetered(counting({ count: 2, time_window: 60 }))
    clock.ms += 15_000
    expect(standing((await ask('eth_call')).headers)).toEqual(['2', '1', '45'])
    expect(standing((await ask('eth_call')).headers)).toEqual(['2', '0', '45'])
    const refused = await ask('eth_call')
    expect([refused.status, refused.headers.get('retry-after'), ...standing(refused.headers)]).toEqual([429, '45', '2', '0', '45'])
    expect(refused.error).toMatchObject({
      code: -32005,
      message: 'Limit exceeded: 2 calls per 60 seconds',
      data: { reason: 'count', limit: 2, retry_after_ms: 45_000 },
    })
    clock.ms += 44_999
    expect((await ask('eth_call')).status).toBe(429)
    clock.ms += 1
    expect((await ask('eth_call')).status).toBe(200)
  })

  test('counts each member of a batch', async () => {
    const { askAll } = await startMetered(counting({ count: 2, time_window: 60 }))
    expect((await askAll(['eth_call', 'eth_call', 'eth_call'])).outcomes).toEqual(['ok', 'ok', 'count'])
  })

  test('does not count what the node never did', async () => {
    const { ask, node } = await startMetered(counting({ count: 1, time_window: 60 }))
    node.next((_request, socket) => socket.resetAndDestroy())
    expect((await ask('eth_call')).status).toBe(502)
    expect((await ask('eth_call')).status).toBe(200)
  })

  test('counts apart what its key tells apart', async () => {
    const { ask } = await startMetered(counting({ count: 1, time_window: 60, key: '$consumer_name $rpc_method' }))
    expect((await ask('eth_call')).status).toBe(200)
    expect((await ask('eth_call', 'paid-key')).status).toBe(200)
    expect((await ask('eth_chainId')).status).toBe(200)
    expect((await ask('eth_call')).status).toBe(429)
  })

  test('refuses with the status and the words that it was given', async () => {
    const { ask } = await startMetered(counting({ count: 1, time_window: 60, rejected_code: 503, rejected_msg: 'Slow down' }))
    await ask('eth_call')
    const { status, error } = await ask('eth_call')
    expect([status, error!.code, error!.message]).toEqual([503, -32005, 'Slow down'])
  })

  test('shows no headers where it is told not to', async () => {
    const { ask } = await startMetered(counting({ count: 1, time_window: 60, show_limit_quota_header: false }))
    expect(standing((await ask('eth_call')).headers)).toEqual([null, null, null])
  })

  test('leaves the headers to limit-cu where both are on a route', async () => {
    const { askAll } = await startMetered({ plugins: { 'limit-count': { count: 7, time_window: 60 } } })
    expect(standing((await askAll(['eth_call', 'eth_call'])).headers)).toEqual(['300', '290', '2'])
  })

  test('counts calls, not what they cost', async () => {
    const { ask } = await startMetered({ plugins: { 'limit-cu': undefined, 'limit-count': { count: 2, time_window: 60 } } })
    expect([(await ask('eth_getLogs')).status, (await ask('eth_getLogs')).status, (await ask('eth_chainId')).status]).toEqual([200, 200, 429])
  })

  test('counts for each route apart, unless routes are in one group', async () => {
    const { gateway, node } = await startMetered()
    const config = basic({ nodeUrl: node.url, ...counting({}) })
    const [route] = config['routes'] as Config[]
    const on = (id: string, limits: Config): Config => ({
      ...route,
      id,
      uris: [`/${id}/{network}`],
      plugins: { ...(route!['plugins'] as Config), 'limit-count': { count: 1, time_window: 60, ...limits } },
    })
    await gateway.write('gateway.yaml', { ...config, routes: [on('a', {}), on('b', {}), on('c', { group: 'public' }), on('d', { group: 'public' })] })
    expect(await gateway.reload()).toBe(true)
    const ask = (id: string) => gateway.post(`/${id}/eth`, '{"jsonrpc":"2.0","id":1,"method":"eth_call"}', { apikey: 'free-key' }).then(({ status }) => status)
    expect([await ask('a'), await ask('b'), await ask('c'), await ask('d'), await ask('a')]).toEqual([200, 200, 200, 429, 429])
  })

  test.each([
    ['{ time_window: 60 }', 'count'],
    ['{ count: 1 }', 'time_window'],
    ['{ count: 0, time_window: 60 }', 'count: must be >= 1'],
    ['{ count: 1, time_window: 60, key: remote_addr }', 'key: is the same for every caller: write $remote_addr'],
    ['{ count: 1, time_window: 60, key: $nobody }', 'key: there is no variable $nobody'],
    ['{ count: 1, time_window: 60, group: "$host" }', 'group'],
  ])('a configuration %s is refused', async (yaml, problem) => {
    const { problems } = await configure([jsonrpcVar, limitCount], `{ jsonrpc-var: {}, limit-count: ${yaml} }`)
    expect(problems).toEqual([expect.stringContaining(problem)])
  })
})
