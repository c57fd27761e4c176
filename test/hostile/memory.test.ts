/**
 * A gateway with a small heap under attacks that would fill it: nothing ends it, whoever asks for its health is answered
 * throughout, what it cannot take it refuses as overloaded, and all memory comes back.
 */
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { basic, basicFiles } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { RawHttp } from '../support/raw-http.ts'
import { answer, endless, startScriptedNode } from '../support/scripted-node.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

const MIB = 1024 * 1024

let node: ScriptedNode
let gateway: GatewayProcess
let port: number
const watched = new AbortController()
/** Answers of /healthz that were none. */
let unwell = 0
let watching: Promise<void>

beforeAll(async () => {
  node = await startScriptedNode()
  const upstreams = [{ id: 'eth', nodes: [{ url: node.url }], timeout: { connect: '1s', read: '10s', total: '20s' }, retries: 0 }]
  const limits = { max_connections_per_address: 10_000, request_timeout: '2s', headers_timeout: '2s' }
  const consumers = [{ username: 'paula', plugins: { 'key-auth': { key: 'paid-key' } } }]
  const config = basic({
    nodeUrl: node.url,
    plugins: { 'access-log': undefined, 'limit-monthly-cu': undefined, 'limit-cu': undefined },
    top: { upstreams, limits, consumers, log: { level: 'warn' } },
  })
  gateway = await startGatewayProcess({ ...config, log: { level: 'info' } }, { files: basicFiles, command: ['--max-old-space-size=128', 'core/main.ts'] })
  port = Number(new URL(gateway.url).port)
  watching = watch()
})
afterEach(() => node.script(undefined))
afterAll(async () => {
  watched.abort()
  await watching
  await gateway.stop()
  await node.stop()
})

async function watch(): Promise<void> {
  while (!watched.signal.aborted) {
    const { status } = await fetch(`${gateway.adminUrl}/healthz`).catch(() => ({ status: 0 }))
    if (status !== 200) unwell++
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(text)?.[1])
}

const CALL = '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}'

/** What became of a call: `result`, or the reason of its refusal. */
async function call(body = CALL): Promise<string> {
  const headers = { apikey: 'paid-key', 'content-type': 'application/json' }
  const response = await fetch(`${gateway.url}/eth`, { method: 'POST', headers, body })
  const { error } = (await response.json()) as { error?: { data: { reason: string } } }
  return error?.data.reason ?? 'result'
}

/** What may become of calls where not all can be served. */
const LIMITS = new Set([
  'too-slow',
  'result',
  'no-room',
  'memory',
  'heap',
  'event-loop',
  'too-large',
  'connect-timeout',
  'read-timeout',
  'total-timeout',
  'no-connection',
])

const unexpected = (outcomes: Iterable<string>): string[] => [...new Set(outcomes)].filter((outcome) => !LIMITS.has(outcome))

async function expectNothingLeft(): Promise<void> {
  await expect.poll(() => metric('tollgate_held_bytes'), { timeout: 10_000 }).toBe(0)
  await expect.poll(() => call(), { timeout: 10_000 }).toBe('result')
  expect(unwell).toBe(0)
}

test('fifty answers without an end', async () => {
  node.script(endless('HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{"jsonrpc":"2.0","id":1,"result":"', Buffer.alloc(256 * 1024, 'x')))
  const outcomes = await Promise.all(Array.from({ length: 50 }, () => call()))
  node.script(undefined)
  expect(unexpected(outcomes)).toEqual([])
  expect(outcomes).toContain('too-large')
  await expectNothingLeft()
})

test('fifty answers that are small on the way and large when they are here', async () => {
  const bomb = gzipSync(Buffer.alloc(100 * MIB, 'x'))
  node.script((_request, socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n\r\n`)
    socket.write(bomb)
  })
  const outcomes = await Promise.all(Array.from({ length: 50 }, () => call()))
  node.script(undefined)
  expect(unexpected(outcomes)).toEqual([])
  await expectNothingLeft()
})

test('answers that come a byte at a time', async () => {
  node.script(endless('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', Buffer.from('1\r\n \r\n'.repeat(20_000))))
  expect(new Set(await Promise.all(Array.from({ length: 4 }, () => call())))).toEqual(new Set(['crumbled']))
  node.script(undefined)
  await expectNothingLeft()
})

test('requests that come a byte at a time', async () => {
  const head = 'POST /eth HTTP/1.1\r\nHost: x\r\nApikey: paid-key\r\nTransfer-Encoding: chunked\r\n\r\n'
  const client = (await RawHttp.connect(port)).send(head + '1\r\n \r\n'.repeat(10_000) + '0\r\n\r\n')
  expect(await client.answers()).toMatchObject([{ status: 400 }])
  await expectNothingLeft()
})

test('large requests that wait for a node that hangs', async () => {
  const waiting: (() => void)[] = []
  node.script((request, socket, of) => waiting.push(() => answer(request, socket, of)))
  const large = CALL.replace('}', `,"params":["0x${'ab'.repeat(400_000)}"]}`)
  const calls = Array.from({ length: 200 }, () => call(large))
  await expect.poll(() => metric('tollgate_http_refusals_total').catch(() => 0), { timeout: 15_000 }).toBeGreaterThan(0)
  node.script(undefined)
  for (const run of waiting) run()
  const outcomes = await Promise.all(calls)
  const served = outcomes.filter((outcome) => outcome === 'result').length
  expect(served).toBeGreaterThan(10)
  expect(unexpected(outcomes)).toEqual([])
  await expectNothingLeft()
})

test('a thousand requests that never end, each with half a body', async () => {
  const head = `POST /eth HTTP/1.1\r\nHost: x\r\nApikey: paid-key\r\nContent-Length: 1000000\r\n\r\n`
  const clients = await Promise.all(Array.from({ length: 1000 }, async () => (await RawHttp.connect(port)).send(head + ' '.repeat(100_000))))
  const statuses = await Promise.all(clients.map(async (client) => (await client.answer())?.status))
  for (const client of clients) client.end()
  expect([...new Set(statuses)].filter((status) => status !== 503 && status !== 408)).toEqual([])
  expect(statuses).toContain(503)
  await expectNothingLeft()
})

test('params that are dear to hold', async () => {
  const dear = CALL.replace('}', `,"params":[${'{},'.repeat(300_000)}0]}`)
  const outcomes = await Promise.all(Array.from({ length: 50 }, () => call(dear)))
  expect(unexpected(outcomes)).toEqual([])
  await expectNothingLeft()
})
