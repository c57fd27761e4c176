/**
 * One reading, through the whole gateway: whatever bytes a client sends, over HTTP or a WebSocket, what reaches the node means to a
 * Go node what was judged, and just that was charged; else nothing reaches it, and nothing was.
 */
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { mutatedBytes } from '../jsonrpc/arbitraries.ts'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { goRead } from '../support/go-json.ts'
import { OPCODE, RawWebSocket, frame } from '../support/raw-web-socket.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { TestGateway } from '../support/gateway.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

const PRICES: Readonly<Record<string, number>> = basicFiles['cu-pricing.yaml'].methods
const offered = new Set<string>(basicFiles['whitelist.yaml'].networks.eth.free)
const HTTP_RUNS = 300
const SOCKET_RUNS = 150

let node: ScriptedNode
let gateway: TestGateway
beforeAll(async () => {
  node = await startScriptedNode()
  const unlimited = {
    plans: [{ id: 'free', tier: 'free', seconds_quota: -1, monthly_quota: -1 }],
    consumers: [{ username: 'frank', plan: 'free', plugins: { 'key-auth': { key: 'free-key' } } }],
  }
  const plugins = { 'ws-jsonrpc-proxy': { mode: 'http', max_errors: 100_000 }, 'access-log': undefined }
  gateway = await startTestGateway(basic({ nodeUrl: node.url, plugins, top: unlimited }), { files: basicFiles })
})
afterAll(async () => {
  await gateway.stop()
  await node.stop()
})

/** What an attacker is after: methods that are offered, changed into ones that are not. */
const documents = mutatedBytes.map((bytes) => {
  const text = bytes.toString('latin1')
  return Buffer.from(Math.random() < 0.5 ? text.replaceAll('"m"', '"eth_call"') : text, 'latin1')
})

/** All that reached the node since, as Go reads it; and what that costs. */
function reached(from: number): { methods: string[]; cu: number } {
  const methods = node.requests
    .slice(from)
    .flatMap(({ body }) => goRead(Buffer.from(body, 'latin1'))?.map(({ method }) => method) ?? ['nothing that Go can read'])
  return { methods, cu: methods.reduce((sum, method) => sum + (PRICES[method] ?? 1), 0) }
}

async function expectOneReading(send: (bytes: Buffer) => Promise<unknown>, runs: number): Promise<void> {
  const from = node.requests.length
  const before = await gateway.metric('tollgate_cu_charged_total')
  await fc.assert(
    fc.asyncProperty(documents, async (bytes) => void (await send(bytes))),
    { numRuns: runs },
  )
  const { methods, cu } = reached(from)
  expect(methods.filter((method) => !offered.has(method))).toEqual([])
  await expect.poll(async () => (await gateway.metric('tollgate_cu_charged_total')) - before).toBe(cu)
}

test('over HTTP', async () => {
  await expectOneReading((bytes) => gateway.post('/eth', bytes, { apikey: 'free-key' }), HTTP_RUNS)
  expect(node.requests.length).toBeGreaterThan(0)
})

test('over a WebSocket', async () => {
  const { client } = await RawWebSocket.handshake(gateway.gateway.address.port, '/eth', { apikey: 'free-key' })
  const probe = '{"jsonrpc":"2.0","id":"probe","method":"eth_chainId"}'
  await expectOneReading(async (bytes) => {
    client.send(frame(OPCODE.binary, bytes), frame(OPCODE.text, probe)) // a notification is met with silence, the probe is not
    for (;;) {
      const received = await client.next()
      if (received === undefined || received.payload.includes('"id":"probe"')) return
    }
  }, SOCKET_RUNS)
  client.end()
})
