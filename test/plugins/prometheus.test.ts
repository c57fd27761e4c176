import { describe, expect, onTestFinished, test } from 'vitest'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { hang, reply, reset, startScriptedNode } from '../support/scripted-node.ts'
import type { BasicOptions, TestGateway } from '../support/gateway.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

const KEY = { apikey: 'paid-key' }

async function start(options: Omit<BasicOptions, 'nodeUrl'> = {}): Promise<{ node: ScriptedNode; gateway: TestGateway }> {
  const node = await startScriptedNode()
  onTestFinished(() => node.stop())
  const gateway = await startTestGateway(basic({ nodeUrl: node.url, ...options }), { files: basicFiles })
  onTestFinished(() => gateway.stop())
  return { node, gateway }
}

function call(method: string, id = 1): string {
  return JSON.stringify({ jsonrpc: '2.0', id, method, params: [] })
}

async function metricsOf(gateway: TestGateway): Promise<string> {
  return (await fetch(`${gateway.adminUrl}/metrics`)).text()
}

describe('calls', () => {
  test('a call is counted by network, method and what became of it', async () => {
    const { node, gateway } = await start()
    await gateway.post('/eth', call('eth_call'), KEY)
    await gateway.post('/eth', call('eth_call'), KEY)
    node.next(reply('{"jsonrpc":"2.0","id":{id},"error":{"code":3,"message":"execution reverted"}}'))
    await gateway.post('/eth', call('eth_call'), KEY)
    node.next(reset)
    await gateway.post('/eth', call('eth_call'), KEY)
    await gateway.post('/eth', call('eth_call'))
    const count = (outcome: string) => gateway.metric('tollgate_calls_total', { network: 'eth', method: 'eth_call', outcome })
    expect(await Promise.all(['ok', 'error', 'upstream_failed', 'refused', 'gateway_failed'].map(count))).toEqual([2, 1, 1, 1, 0])
  })

  test('CU are counted when they are charged, and when they are given back', async () => {
    const { node, gateway } = await start()
    await gateway.post('/eth', `[${call('eth_call')},${call('eth_getBalance', 2)},${call('eth_sign', 3)}]`, KEY)
    const labels = { network: 'eth', method: 'eth_call' }
    expect(await gateway.metric('tollgate_cu_charged_total')).toBe(7)
    expect(await gateway.metric('tollgate_cu_charged_total', labels)).toBe(5)
    expect(await gateway.metric('tollgate_cu_refunded_total')).toBe(0)
    node.next(reset)
    await gateway.post('/eth', call('eth_call'), KEY)
    expect(await gateway.metric('tollgate_cu_charged_total', labels)).toBe(5)
    expect(await gateway.metric('tollgate_cu_refunded_total', labels)).toBe(5)
  })

  test('a call that found its budget empty was given nothing back', async () => {
    const { gateway } = await start({
      top: {
        plans: [
          { id: 'pro', tier: 'paid', seconds_quota: 6, monthly_quota: 100 },
          { id: 'free', tier: 'free' },
        ],
      },
    })
    await gateway.post('/eth', call('eth_call'), KEY)
    await gateway.post('/eth', call('eth_call'), KEY)
    expect(await gateway.metric('tollgate_refusals_total', { plugin: 'limit-cu' })).toBe(1)
    expect(await gateway.metric('tollgate_cu_charged_total')).toBe(5)
    expect(await gateway.metric('tollgate_cu_refunded_total')).toBe(0)
  })

  test('a refusal is counted by the plugin that refused and why, or by the core', async () => {
    const { gateway } = await start()
    await gateway.post('/eth', call('eth_sign'), KEY)
    await gateway.post('/eth', call('eth_call'))
    await gateway.post('/eth', '{', KEY)
    expect(await gateway.metric('tollgate_refusals_total', { plugin: 'whitelist', why: 'not-offered' })).toBe(1)
    expect(await gateway.metric('tollgate_refusals_total', { plugin: 'key-auth' })).toBe(1)
    expect(await gateway.metric('tollgate_refusals_total', { plugin: 'core', why: 'not-json' })).toBe(1)
    expect(await gateway.metric('tollgate_refusals_total')).toBe(3)
  })
})

describe('frames', () => {
  test('a frame is counted once, by route, scheme and status, however many calls it has', async () => {
    const { gateway } = await start()
    const body = `[${call('eth_call')},${call('eth_sign', 2)}]`
    const { text } = await gateway.post('/eth', body, KEY)
    await gateway.post('/eth', call('eth_call'))
    const frames = (status: string) => gateway.metric('tollgate_frames_total', { route: 'rpc', scheme: 'http', status })
    expect([await frames('200'), await frames('401')]).toEqual([1, 1])
    expect(await gateway.metric('tollgate_request_bytes_total', { route: 'rpc' })).toBe(body.length + call('eth_call').length)
    expect(await gateway.metric('tollgate_response_bytes_total', { route: 'rpc' })).toBeGreaterThan(text.length)
  })

  test('its duration is split into what the upstream took and what the gateway took', async () => {
    const { node, gateway } = await start()
    node.next((request, socket, itself) => void setTimeout(() => reply('{"jsonrpc":"2.0","id":{id},"result":1}')(request, socket, itself), 60))
    await gateway.post('/eth', call('eth_call'), KEY)
    await gateway.post('/eth', call('eth_sign'), KEY)
    const metric = (name: string) => gateway.metric(`tollgate_frame_${name}`, { route: 'rpc', scheme: 'http' })
    expect([await metric('duration_seconds_count'), await metric('gateway_seconds_count'), await metric('upstream_seconds_count')]).toEqual([2, 2, 1])
    expect(await metric('upstream_seconds_sum')).toBeGreaterThanOrEqual(0.055)
    const parts = (await metric('upstream_seconds_sum')) + (await metric('gateway_seconds_sum'))
    expect(parts).toBeCloseTo(await metric('duration_seconds_sum'), 9)
  })

  test('a frame whose client has gone is still counted', async () => {
    const { node, gateway } = await start()
    node.script(hang)
    const client = new AbortController()
    const answer = fetch(`${gateway.url}/eth`, {
      method: 'POST',
      body: call('eth_call'),
      headers: { 'content-type': 'application/json', ...KEY },
      signal: client.signal,
    })
    await node.arrived(1)
    client.abort()
    await expect(answer).rejects.toThrow('abort')
    await expect.poll(() => gateway.metric('tollgate_frames_total')).toBe(1)
  })
})

describe('labels', () => {
  test('a method that nobody named in full is "other"', async () => {
    const { gateway } = await start()
    for (const method of ['debug_traceCall', 'eth_invented', 'eth_invented"} 1', '']) await gateway.post('/eth', call(method), KEY)
    expect(await gateway.metric('tollgate_calls_total', { method: 'other' })).toBe(4)
    expect(await metricsOf(gateway)).not.toMatch(/invented|debug_trace/)
  })

  test('a method that the configuration names is a label', async () => {
    const { gateway } = await start({ plugins: { prometheus: { methods: ['debug_traceCall'] } } })
    await gateway.post('/eth', call('debug_traceCall'), KEY)
    expect(await gateway.metric('tollgate_calls_total', { network: 'eth', method: 'debug_traceCall' })).toBe(1)
  })

  test('a network that a client wrote is "other", unless the whitelist or the configuration knows it', async () => {
    const plugins = { whitelist: undefined, prometheus: { networks: ['polygon'] } }
    const { gateway } = await start({ plugins, route: { upstream_id: 'eth' } })
    for (const network of ['invented', 'polygon', 'eth']) await gateway.post(`/${network}`, call('eth_call'), KEY)
    const count = (network: string) => gateway.metric('tollgate_calls_total', { network, method: 'other' })
    expect([await count('other'), await count('polygon'), await count('eth')]).toEqual([2, 1, 0])
    expect(await metricsOf(gateway)).not.toContain('invented')
  })

  test('a network that the route names is a label', async () => {
    const { gateway } = await start({ plugins: { whitelist: undefined }, route: { uris: ['/rpc'], upstream_id: 'eth' } })
    await gateway.post('/rpc', call('eth_call'), KEY)
    expect(await gateway.metric('tollgate_calls_total', { network: 'eth', method: 'other' })).toBe(1)
  })

  test('no consumer, key, address or request id is ever a label', async () => {
    const { gateway } = await start()
    await gateway.post('/eth', call('eth_call'), { ...KEY, 'x-request-id': 'my-request' })
    await gateway.post('/eth/v1/free-key', call('eth_call'))
    await gateway.post('/eth', call('eth_call'), { apikey: 'wrong-key' })
    expect(await metricsOf(gateway)).not.toMatch(/paid-key|free-key|wrong-key|paula|frank|my-request|127\.0\.0\.1/)
  })
})

test('counts go on after a reload', async () => {
  const { gateway } = await start()
  await gateway.post('/eth', call('eth_call'), KEY)
  expect(await gateway.reload()).toBe(true)
  await gateway.post('/eth', call('eth_call'), KEY)
  expect(await gateway.metric('tollgate_calls_total', { method: 'eth_call', outcome: 'ok' })).toBe(2)
})
