/** A process at its limits refuses new work with 503 and -32012, answers for its health throughout, and takes work again by itself. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { basic, basicFiles } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { metric } from '../support/metric.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

/** Calls of eth_getLogs keep the event loop for a while; one of eth_getBalance fills the heap for a while. */
const greedy = `import { definePlugin } from '#plugin'
import { getHeapStatistics } from 'node:v8'
const limit = getHeapStatistics().heap_size_limit
const full = () => getHeapStatistics().used_heap_size > 0.92 * Math.max(limit - 96 * 2 ** 20, limit / 2)
let hoard = []
export default definePlugin({
  name: 'greedy', priority: 1, summary: 'Takes what there is.', config: {}, examples: [{}], onFault: 'pass',
  create: () => ({
    access: (call) => {
      const until = performance.now() + 400
      if (call.method === 'eth_getLogs') while (performance.now() < until);
      if (call.method !== 'eth_getBalance' || hoard.length > 0) return
      while (!full()) hoard.push(Array.from({ length: 100_000 }, (_, at) => at + 0.5))
      setTimeout(() => (hoard = []), 1000)
    },
  }),
})`

let node: ScriptedNode
let gateway: GatewayProcess
beforeAll(async () => {
  node = await startScriptedNode()
  const config = basic({
    nodeUrl: node.url,
    plugins: { greedy: {}, 'limit-cu': undefined, 'access-log': undefined },
    top: {
      plugins_dir: './own',
      log: { level: 'info' },
      // A process that is kept from its work is late for its nodes, too.
      upstreams: [{ id: 'eth', nodes: [{ url: node.url }], timeout: { connect: '60s', read: '60s', total: '60s' }, retries: 0, coalesce: false }],
    },
  })
  const files = { ...basicFiles, 'own/greedy.ts': greedy }
  gateway = await startGatewayProcess(config, { files, command: ['--max-old-space-size=256', 'core/main.ts'] })
})
afterAll(async () => {
  await gateway.stop()
  await node.stop()
})

interface Met {
  readonly status: number
  readonly retryAfter: string | null
  readonly body: { readonly id: unknown; readonly error?: { readonly code: number; readonly data: { readonly reason: string } } }
}

async function call(method = 'eth_blockNumber'): Promise<Met> {
  const response = await fetch(`${gateway.url}/eth`, {
    method: 'POST',
    headers: { apikey: 'paid-key', 'content-type': 'application/json' },
    body: `{"jsonrpc":"2.0","id":7,"method":"${method}"}`,
  })
  return { status: response.status, retryAfter: response.headers.get('retry-after'), body: (await response.json()) as Met['body'] }
}

/** Calls this method again and again until a call is refused for want of that. */
async function untilRefused(method: string, reason: string): Promise<Met> {
  for (;;) {
    const met = await call(method)
    if (met.body.error?.data.reason === reason) return met
    expect(met.status).toBe(200)
  }
}

test.each([
  ['event-loop', 'eth_getLogs', 7],
  ['heap', 'eth_getBalance', null], // no body is read while there is no memory for it
])('%s', async (by, method, id) => {
  expect(await untilRefused(method, by)).toMatchObject({ status: 503, retryAfter: '1', body: { id, error: { code: -32012 } } })
  const health = await fetch(`${gateway.adminUrl}/healthz`)
  expect(health.status).toBe(200)
  await expect.poll(async () => (await call()).status, { timeout: 30_000 }).toBe(200)
  await expect.poll(() => metric(gateway.adminUrl, 'tollgate_overloaded', { by })).toBe(0)
})
