/**
 * A gateway with a small heap under attacks that would fill it: nothing ends it, whoever asks for its health is answered
 * throughout, what it cannot take it refuses as overloaded, and all memory comes back.
 */
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { basic, basicFiles } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { RawHttp } from '../support/raw-http.ts'
import { OPCODE, RawWebSocket, frame } from '../support/raw-web-socket.ts'
import { endless, reply, startScriptedNode } from '../support/scripted-node.ts'
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
  const upstreams = [{ id: 'eth', nodes: [{ url: node.url }], timeout: { connect: '10s', read: '60s', total: '120s' }, retries: 0 }]
  const limits = { max_connections_per_address: 20_000, request_timeout: '2s', headers_timeout: '2s' }
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
  for (const name of ['tollgate_held_bytes', 'tollgate_backlog_bytes']) await expect.poll(() => metric(name), { timeout: 10_000 }).toBe(0)
  await expect.poll(() => call(), { timeout: 10_000 }).toBe('result')
  expect(unwell).toBe(0)
}

const BEGINNING = '{"jsonrpc":"2.0","id":1,"result":"'

test.each([
  ['that have announced it', `Content-Length: 99999999999\r\n\r\n${BEGINNING}`, Buffer.alloc(256 * 1024, 'x'), 'too-large'],
  ['until the connection ends', `\r\n${BEGINNING}`, Buffer.alloc(256 * 1024, 'x'), 'no-room'],
  ['in chunks', `Transfer-Encoding: chunked\r\n\r\n22\r\n${BEGINNING}\r\n`, Buffer.from(`40000\r\n${'x'.repeat(0x40000)}\r\n`), 'no-room'],
])('fifty answers without an end, %s', async (_, head, piece, met) => {
  node.script(endless(`HTTP/1.1 200 OK\r\n${head}`, piece))
  const outcomes = await Promise.all(Array.from({ length: 50 }, () => call()))
  node.script(undefined)
  expect(unexpected(outcomes)).toEqual([])
  expect(outcomes).toContain(met)
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
  const served = reply('{"jsonrpc":"2.0","id":{id},"result":1}')
  node.script((request, socket, of) => waiting.push(() => served(request, socket, of)))
  const large = CALL.replace('}', `,"params":["0x${'ab'.repeat(400_000)}"]}`)
  const calls: Promise<string>[] = []
  const refused: string[] = []
  // One after the other, each as soon as the one before it waits at the node or has been refused.
  while (refused.length === 0 && calls.length < 200) {
    const sent = call(large)
    calls.push(sent)
    const became = await Promise.race([sent, node.arrived(node.requests.length + 1)])
    if (became !== undefined && became !== 'result') refused.push(became)
  }
  expect(refused).toEqual(['no-room'])
  expect(waiting.length).toBeGreaterThan(5)
  node.script(undefined)
  for (const run of waiting) run()
  const outcomes = await Promise.all(calls)
  expect(outcomes.filter((outcome) => outcome === 'result').length).toBe(waiting.length)
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

test('a thousand WebSocket messages that never end, each with half of one', async () => {
  const half = frame(OPCODE.text, ' '.repeat(100_000), { fin: false })
  const codes = await Promise.all(
    Array.from({ length: 1000 }, async () => {
      const { client, status } = await RawWebSocket.handshake(port, '/eth', { apikey: 'paid-key' })
      if (status !== 101) return status
      client.send(half)
      const code = await client.closeCode()
      client.end()
      return code
    }),
  )
  // Of those that there is no room for some have sent more than they can be told to stop: they are cut.
  expect([...new Set(codes)].filter((code) => ![1008, 1013, 503, undefined].includes(code))).toEqual([])
  expect(codes).toContain(1008)
  await expectNothingLeft()
})

/** As many as the system lets this process have, at most. */
const SLOW_SOCKETS = Math.min(10_000, Number(/^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 4096) - 1000)

test('ten thousand sockets that say too little', async () => {
  const statuses = new Map<number | undefined, number>()
  const hold = async (): Promise<void> => {
    const client = (await RawHttp.connect(port)).send('POST /eth HTTP/1.1\r\nHost: x\r\n')
    const status = (await client.answer())?.status
    statuses.set(status, (statuses.get(status) ?? 0) + 1)
    client.end()
  }
  const held: Promise<void>[] = []
  for (let at = 0; at < SLOW_SOCKETS; at++) {
    held.push(hold())
    if (at % 100 === 0) await new Promise(setImmediate)
  }
  expect(await call()).toBe('result')
  await Promise.all(held)
  expect(statuses).toEqual(new Map([[408, SLOW_SOCKETS]]))
  await expectNothingLeft()
})

test('params that are dear to hold', async () => {
  const dear = CALL.replace('}', `,"params":[${'{},'.repeat(99_000)}0]}`)
  const outcomes = await Promise.all(Array.from({ length: 50 }, () => call(dear)))
  expect(unexpected(outcomes)).toEqual([])
  await expectNothingLeft()
})
