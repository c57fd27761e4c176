/** Answers that several calls have in common, through a whole gateway: each call is charged, has its own id, and the same bytes. */
import { Agent, request } from 'undici'
import { expect, onTestFinished, test } from 'vitest'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { answer, startScriptedNode } from '../support/scripted-node.ts'
import type { Config, TestGateway } from '../support/gateway.ts'
import type { Script, ScriptedNode } from '../support/scripted-node.ts'

/** Of an eth_call, as `basicFiles` has it. */
const PRICE = 5

const body = (id: unknown): string => JSON.stringify({ jsonrpc: '2.0', id, method: 'eth_call', params: [{ to: '0x0' }, 'latest'] })
const headers = { apikey: 'paid-key', 'content-type': 'application/json' }

async function start(plugins: Record<string, Config | undefined> = {}): Promise<{ node: ScriptedNode; gateway: TestGateway }> {
  const node = await startScriptedNode()
  const top = { upstreams: [{ id: 'eth', nodes: [{ url: node.url }] }], limits: { max_connections_per_address: 5000, max_event_loop_lag: '30s' } }
  const gateway = await startTestGateway(basic({ nodeUrl: node.url, plugins: { 'limit-cu': undefined, ...plugins }, top }), {
    files: basicFiles,
  })
  onTestFinished(async () => {
    await gateway.stop()
    await node.stop()
  })
  return { node, gateway }
}

/** Answers every eth_call once `release` is called, and all else at once. */
function held(): { script: Script; release: () => void } {
  const waiting: (() => void)[] = []
  const script: Script = (...asked) => {
    if (asked[0].calls[0]?.method === 'eth_call') waiting.push(() => answer(...asked))
    else answer(...asked)
  }
  const release = (): void => {
    for (const run of waiting) run()
  }
  return { script, release }
}

/** How often the node was asked for what clients ask for: it is asked for its head too. */
function asked(node: ScriptedNode): number {
  return node.calls.filter(({ method }) => method === 'eth_call').length
}

/** What the consumer has used, one more call included. */
async function used(gateway: TestGateway): Promise<number> {
  return Number((await gateway.post('/eth', body(0), headers)).headers.get('x-monthly-used'))
}

test('a thousand calls that are the same are one request to the node, and a thousand charges', async () => {
  const { node, gateway } = await start()
  const gate = held()
  node.script(gate.script)
  const dispatcher = new Agent()
  const ids = Array.from({ length: 1000 }, (_, n) => (n % 2 === 0 ? n : `id-${n}`))
  const asking = ids.map(async (id) => {
    const { statusCode, body: text } = await request(`${gateway.url}/eth`, { method: 'POST', headers, body: body(id), dispatcher })
    return { status: statusCode, text: await text.text() }
  })
  await expect.poll(() => gateway.metric('tollgate_frames_in_flight'), { timeout: 20_000 }).toBe(1000)
  node.script(undefined)
  gate.release()
  const answers = await Promise.all(asking)
  await dispatcher.close()
  expect(asked(node)).toBe(1)
  const result = '{"method":"eth_call","params":[{"to":"0x0"},"latest"]}'
  expect(answers).toEqual(ids.map((id) => ({ status: 200, text: `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}` })))
  expect(await gateway.metric('tollgate_upstream_coalesced_total')).toBe(999)
  expect(await used(gateway)).toBe(1001 * PRICE)
})

test('a client that goes does not take with it those who wait for the same answer, and only they are charged', async () => {
  const { node, gateway } = await start()
  const gate = held()
  node.script(gate.script)
  const leader = new AbortController()
  const leading = fetch(`${gateway.url}/eth`, { method: 'POST', headers, body: body('leader'), signal: leader.signal }).catch((error: unknown) => String(error))
  await expect.poll(() => asked(node)).toBe(1)
  const following = Array.from({ length: 10 }, (_, n) => gateway.post('/eth', body(n), headers))
  await expect.poll(() => gateway.metric('tollgate_frames_in_flight')).toBe(11)
  leader.abort()
  expect(await leading).toContain('AbortError')
  await expect.poll(() => gateway.metric('tollgate_frames_in_flight')).toBe(10)
  node.script(undefined)
  gate.release()
  for (const [n, { status, json }] of (await Promise.all(following)).entries()) {
    expect({ status, json }).toMatchObject({ status: 200, json: { id: n, result: { method: 'eth_call' } } })
  }
  expect(asked(node)).toBe(1)
  expect(await used(gateway)).toBe(11 * PRICE)
})

test.each([
  ['small', '{"n": 1234567890123456789012345678901234567890, "e":1e400,"s":"\\u00e9\\/\u00c3\u00a9", "z":-0 ,"a":[ ]}'],
  ['large', `{"code":"0x${'ab'.repeat(100_000)}" ,"s":"\u00c3\u00a9\\u0041"}`],
])('a %s answer from the cache is the node’s, byte for byte but for the id', async (_size, result) => {
  const { node, gateway } = await start({ 'response-cache': { rules: { eth_call: 'forever' } } })
  node.results.set('eth_call', result)
  const answers = []
  for (const id of [1, 'a \\ "quoted" id', 2]) {
    const response = await fetch(`${gateway.url}/eth`, { method: 'POST', headers, body: body(id) })
    const text = Buffer.from(await response.arrayBuffer()).toString('latin1')
    answers.push({ cache: response.headers.get('x-cache'), text: text.replace(`"id":${JSON.stringify(id)},`, '') })
  }
  const text = `{"jsonrpc":"2.0","result":${result}}`
  expect(answers).toEqual(['MISS', 'HIT', 'HIT'].map((cache) => ({ cache, text })))
  expect(asked(node)).toBe(1)
})
