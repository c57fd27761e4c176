/** Frames through the gateway process: what comes back, and what the node was asked. */
import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { goRead } from '../support/go-json.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import { post, shippedFiles, startStage, systemConfig } from './stage.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'
import type { Stage } from './stage.ts'

describe('in front of a real chain', () => {
  let stage: Stage
  beforeAll(async () => {
    stage = await startStage()
  })
  afterAll(() => stage.stop())

  test('a mixed batch is answered member by member, in order', async () => {
    const { status, text } = await post(
      stage.url,
      `[{"jsonrpc":"2.0","id":1,"method":"eth_chainId"},{"jsonrpc":"2.0","id":2,"method":"debug_setHead","params":["0x0"]},
        {"jsonrpc":"2.0","id":3,"method":"no_such"},{"jsonrpc":"2.0","method":"eth_blockNumber"},{"garbage":1}]`,
    )
    expect(status).toBe(200)
    expect(JSON.parse(text)).toMatchObject([
      { id: 1, result: '0x7a69' },
      { id: 2, error: { code: -32601 } },
      { id: 3, error: { code: -32601 } },
      { id: null, error: { code: -32600 } },
    ])
  })

  test.each(['123456789012345678901234567890', '-0', '1e3', '"\\ud800"', 'null'])('the id %s comes back character for character', async (id) => {
    expect((await post(stage.url, `{"jsonrpc":"2.0","id":${id},"method":"eth_chainId"}`)).text).toBe(`{"jsonrpc":"2.0","id":${id},"result":"0x7a69"}`)
  })

  test('what the chain says of a call passes unchanged', async () => {
    const body = '{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x00"]}'
    const direct = await (await fetch(stage.anvil.url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })).text()
    expect((await post(stage.url, body)).text).toBe(direct)
  })
})

describe('in front of a node that records', () => {
  let node: ScriptedNode
  let gateway: GatewayProcess
  let url: string
  beforeAll(async () => {
    node = await startScriptedNode()
    gateway = await startGatewayProcess(systemConfig(node.url), { files: shippedFiles })
    url = `${gateway.url}/eth-local`
  })
  afterAll(async () => {
    await gateway.stop()
    await node.stop()
  })

  const call = '{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[]}'
  test.each([
    ['a case variant', '{"jsonrpc":"2.0","id":1,"method":"eth_call","Method":"debug_traceCall"}'],
    ['only a case variant', '{"jsonrpc":"2.0","id":1,"Method":"debug_traceCall"}'],
    ['a folded variant', '{"jsonrpc":"2.0","id":1,"method":"eth_call","paramſ":["x"]}'],
    ['a duplicate', '{"jsonrpc":"2.0","id":1,"method":"eth_call","method":"debug_traceCall"}'],
    ['an escaped name', '{"jsonrpc":"2.0","id":1,"\\u006dethod":"eth_call"}'],
    ['an escaped duplicate', '{"jsonrpc":"2.0","id":1,"method":"eth_call","\\u006dethod":"debug_traceCall"}'],
    ['a second document', `${call}{"jsonrpc":"2.0","id":2,"method":"debug_traceCall"}`],
    ['UTF-16', Buffer.from(call, 'utf16le')],
    ['a byte order mark', `\ufeff${call}`],
    ['an empty body', ''],
    ['a method that is not offered', '{"jsonrpc":"2.0","id":1,"method":"personal_unlockAccount"}'],
  ])('%s never reaches it', async (_, body) => {
    const { text } = await post(url, body)
    expect(JSON.parse(text)).toHaveProperty('error.code')
    expect(node.requests).toEqual([])
  })

  test.each([
    ['PUT', 'PUT', {}],
    ['POST with Upgrade', 'POST', { connection: 'upgrade', upgrade: 'h2c' }],
    ['POST with Upgrade: websocket', 'POST', { connection: 'upgrade', upgrade: 'websocket' }],
  ])('%s never reaches it', async (_, method, headers) => {
    const status = await new Promise((resolve, reject) => {
      const sent = request(url, { method, agent: false, headers: { apikey: 'demo-key', 'content-type': 'application/json', ...headers } }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode))
      })
      sent.on('error', reject).end(call)
    })
    expect([400, 405]).toContain(status)
    expect(node.requests).toEqual([])
  })

  test('params and results pass character for character, and mean to a Go node what we judged', async () => {
    const params = '[ "\\ud800\\u0041é😀" ,-0, 1e400,1234567890123456789012345678901234567890, {"b":1,"a":2,"a":3} ]'
    const { text } = await post(url, `{"jsonrpc":"2.0","id":1,"method":"eth_call","params":${params}}`)
    expect(text).toBe(`{"jsonrpc":"2.0","id":1,"result":{"method":"eth_call","params":${params}}}`)
    const sent = Buffer.from(node.requests.at(-1)!.body, 'latin1')
    expect(goRead(sent)).toEqual([{ id: expect.stringMatching(/^\d+$/) as unknown, method: 'eth_call', params }])
  })

  test('the key reaches neither the node nor the log', async () => {
    for (const path of ['/eth-local/v1/demo-key', '/eth-local?apikey=demo-key']) expect((await post(gateway.url + path, call)).status).toBe(200)
    const seen = JSON.stringify(node.requests) + gateway.output
    expect(seen).toContain('eth_call')
    expect(seen).not.toContain('demo-key')
  })
})
