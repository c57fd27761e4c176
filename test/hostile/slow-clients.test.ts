/** Clients that take their time, hold what they do not use, or leave: bounded, told where somebody is there to be told, and nothing left behind. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, onTestFinished, test } from 'vitest'
import { definePlugin } from '#plugin'
import { plugins } from '../../plugins/index.ts'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { RawHttp, exchange } from '../support/raw-http.ts'
import { RawWebSocket } from '../support/raw-web-socket.ts'
import { answer, reply, startScriptedNode } from '../support/scripted-node.ts'
import type { AnyPlugin } from '#plugin'
import type { BasicOptions, TestGateway } from '../support/gateway.ts'
import type { Script, ScriptedNode } from '../support/scripted-node.ts'

const CALL = '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}'
const HEAD = `POST /eth HTTP/1.1\r\nHost: x\r\nApikey: free-key\r\nContent-Length: ${CALL.length}\r\n`

let node: ScriptedNode
let gateway: TestGateway
afterEach(() => node.script(undefined))

async function start(limits: Record<string, unknown>, more: Partial<BasicOptions> = {}, catalogue: readonly AnyPlugin[] = plugins): Promise<number> {
  node = await startScriptedNode()
  gateway = await startTestGateway(basic({ nodeUrl: node.url, ...more, top: { limits, ...more.top } }), { files: basicFiles, catalogue })
  onTestFinished(async () => {
    await gateway.stop()
    await node.stop()
  })
  return gateway.gateway.address.port
}

const sessions = (): Promise<number> => gateway.metric('tollgate_sessions')
const refusals = (why: string): Promise<number> => gateway.metric('tollgate_http_refusals_total', { why })

/** Whoever opens a session waits here. */
function doorkeeper(): { plugin: AnyPlugin; waiting: (() => void)[] } {
  const waiting: (() => void)[] = []
  const plugin = definePlugin({
    name: 'doorkeeper',
    priority: 3000,
    summary: 'Lets sessions wait.',
    config: {},
    examples: [{}],
    onFault: 'refuse',
    create: () => ({ open: () => new Promise<undefined>((resolve) => waiting.push(() => resolve(undefined))) }),
  })
  return { plugin, waiting }
}

describe('a request that does not arrive in time is answered with 408, and its connection ended', () => {
  test.each([
    ['nothing at all', ''],
    ['half a request line', 'POST /e'],
    ['headers without an end', HEAD],
  ])('%s', async (_, text) => {
    const port = await start({ headers_timeout: '200ms', request_timeout: '30s' })
    const client = (await RawHttp.connect(port)).send(text)
    expect(await client.answers()).toMatchObject([{ status: 408, headers: { connection: 'close' } }])
    expect(await refusals('too-slow')).toBe(1)
  })

  test.each([
    ['no body', `${HEAD}\r\n`],
    ['half a body', `${HEAD}\r\n${CALL.slice(0, 20)}`],
    ['chunks without an end', `${HEAD.replace(/Content-Length.*\r\n/, '')}Transfer-Encoding: chunked\r\n\r\n5\r\n{"jso\r\n`],
  ])('%s', async (_, text) => {
    const port = await start({ headers_timeout: '200ms', request_timeout: '300ms' })
    const client = (await RawHttp.connect(port)).send(text)
    const [late] = await client.answers()
    expect(late).toMatchObject({ status: 408, headers: { connection: 'close' } })
    expect(JSON.parse(late!.body)).toMatchObject({ id: null, error: { code: -32600, data: { reason: 'too-slow' } } })
    expect(await sessions()).toBe(0)
    expect(node.requests).toEqual([])
  })

  test('a body that drips does not move the deadline', async () => {
    const port = await start({ headers_timeout: '200ms', request_timeout: '300ms' })
    const client = (await RawHttp.connect(port)).send(`${HEAD}\r\n`)
    const drip = setInterval(() => client.send(' '), 20)
    expect(await client.answer()).toMatchObject({ status: 408 })
    clearInterval(drip)
    client.end()
  })

  test('behind a call that is under way it waits for that answer', async () => {
    const port = await start({ headers_timeout: '100ms', request_timeout: '200ms' })
    let release = (): void => undefined
    node.next((request, socket, of) => (release = () => answer(request, socket, of)))
    const client = (await RawHttp.connect(port)).send(`${HEAD}\r\n${CALL}${HEAD}`)
    await expect.poll(() => refusals('too-slow')).toBe(1)
    release()
    expect((await client.answers()).map(({ status }) => status)).toEqual([200, 408])
  })

  test('behind a call whose session is still being opened too', async () => {
    const { plugin, waiting } = doorkeeper()
    const port = await start({ headers_timeout: '100ms', request_timeout: '300ms' }, { plugins: { doorkeeper: {} } }, [...plugins, plugin])
    const client = (await RawHttp.connect(port)).send(`${HEAD}\r\n${CALL}${HEAD}\r\n${CALL.slice(0, 20)}`)
    await expect.poll(() => waiting.length).toBe(2)
    for (const open of waiting.reverse()) {
      open()
      await delay(20)
    }
    expect((await client.answers()).map(({ status }) => status)).toEqual([200, 408])
    expect(await sessions()).toBe(0)
  })
})

describe('a connection that is idle', () => {
  test('is ended without a word, and not before its client was told', async () => {
    const port = await start({ keep_alive_timeout: '1s' })
    const client = (await RawHttp.connect(port)).send(`${HEAD}\r\n${CALL}`)
    expect(await client.answer()).toMatchObject({ status: 200, headers: { connection: 'keep-alive', 'keep-alive': 'timeout=1' } })
    const answeredAt = performance.now()
    expect(await client.answers()).toEqual([])
    expect(performance.now() - answeredAt).toBeGreaterThan(990)
  })

  test('is told nothing where the connection ends with the answer', async () => {
    const port = await start({})
    const client = (await RawHttp.connect(port)).send(`${HEAD.replace('HTTP/1.1', 'HTTP/1.0')}\r\n${CALL}`)
    const [last] = await client.answers()
    expect(last).toMatchObject({ status: 200, headers: { connection: 'close' } })
    expect(last!.headers).not.toHaveProperty('keep-alive')
  })

  test('is told nothing where only the end of the connection ends the answer: compressed, in HTTP/1.0', async () => {
    const port = await start({})
    node.next(reply(`{"jsonrpc":"2.0","id":{id},"result":"0x${'ab'.repeat(1000)}"}`))
    const { socket } = await RawHttp.connect(port)
    let heard = ''
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1')))
    socket.write(`${HEAD.replace('HTTP/1.1', 'HTTP/1.0')}Connection: keep-alive\r\nAccept-Encoding: gzip\r\n\r\n${CALL}`)
    await once(socket, 'end')
    expect(heard).toMatch(/^HTTP\/1.1 200 /)
    expect(heard).toContain('\r\nConnection: close\r\n')
    expect(heard).not.toContain('Keep-Alive')
  })

  test('may be idle for a year', async () => {
    const port = await start({ keep_alive_timeout: '9000h' })
    const client = await RawHttp.connect(port)
    for (let at = 0; at < 2; at++) {
      expect(await client.send(`${HEAD}\r\n${CALL}`).answer()).toMatchObject({ status: 200 })
      await delay(200)
    }
    client.end()
  })

  test('is not idle while a request is worked on, or the next one arrives', async () => {
    const port = await start({ keep_alive_timeout: '100ms' })
    node.next((request, socket, of) => setTimeout(() => answer(request, socket, of), 300))
    const client = (await RawHttp.connect(port)).send(`${HEAD}\r\n${CALL}`)
    expect(await client.answer()).toMatchObject({ status: 200 })
    const request = `${HEAD}\r\n${CALL}`
    for (let at = 0; at < request.length; at += 10) {
      client.send(request.slice(at, at + 10))
      await delay(20)
    }
    expect((await client.answers()).map(({ status }) => status)).toEqual([200])
  })
})

/** A result that is as good as random: compressed, too, it does not fit into the buffers on the way. */
const noise = `"${randomBytes(8_000_000).toString('base64')}"`

/** A client that asks for the noise and reads nothing. */
async function askAndStall(port: number, header = ''): Promise<RawHttp> {
  node.next(reply(`{"jsonrpc":"2.0","id":{id},"result":${noise}}`))
  const client = await RawHttp.connect(port)
  client.socket.pause()
  return client.send(`${HEAD}${header}\r\n${CALL}`)
}

describe('a client that does not take its answer is cut off', () => {
  test.each([
    ['in one piece', ''],
    ['compressed', 'Accept-Encoding: gzip\r\n'],
  ])('%s', async (_, header) => {
    const port = await start({ write_timeout: '100ms' })
    const client = await askAndStall(port, header)
    await expect.poll(() => refusals('not-read'), { timeout: 10_000 }).toBe(1)
    expect(await sessions()).toBe(0)
    client.end()
  })

  test('in the second of two answers', async () => {
    const port = await start({ write_timeout: '300ms' })
    for (let at = 0; at < 2; at++) node.next(reply(`{"jsonrpc":"2.0","id":{id},"result":${noise}}`))
    const client = (await RawHttp.connect(port)).send(`${HEAD}\r\n${CALL}`.repeat(2))
    expect(await client.answer()).toMatchObject({ status: 200 })
    client.socket.pause()
    await expect.poll(() => refusals('not-read'), { timeout: 10_000 }).toBe(1)
    client.end()
  })

  test('but not one that takes it slowly', async () => {
    const port = await start({ write_timeout: '1s' })
    const client = await askAndStall(port)
    const sips = setInterval(() => {
      client.socket.resume()
      setImmediate(() => client.socket.pause())
    }, 1)
    expect(await client.answer()).toMatchObject({ status: 200 })
    clearInterval(sips)
    expect(await refusals('not-read')).toBe(0)
    client.end()
  })

  test('nor one whose call takes longer than it may leave an answer unread', async () => {
    const port = await start({ write_timeout: '50ms', keep_alive_timeout: '100ms' })
    const client = await RawHttp.connect(port)
    const late: Script = (request, socket, of) => setTimeout(() => answer(request, socket, of), 300)
    node.script(late)
    for (let at = 0; at < 2; at++) expect(await client.send(`${HEAD}\r\n${CALL}`).answer()).toMatchObject({ status: 200 })
    client.end()
  })
})

test('connections on which nothing comes do not keep a gateway from stopping', async () => {
  const port = await start({ headers_timeout: '300ms' }, { top: { drain_timeout: '1h' } })
  const clients = await Promise.all(['', 'POST /e', HEAD].map(async (text) => (await RawHttp.connect(port)).send(text)))
  node.next((request, socket, of) => setTimeout(() => answer(request, socket, of), 600))
  const served = (await RawHttp.connect(port)).send(`${HEAD}\r\n${CALL}`)
  await node.arrived(1)
  await gateway.gateway.stop()
  expect(await served.answers()).toMatchObject([{ status: 200, headers: { connection: 'close' } }])
  for (const client of clients) expect(await client.answers()).toEqual([])
})

describe('connections', () => {
  test('from one address are capped', async () => {
    const port = await start({ max_connections_per_address: 3 })
    const clients = await Promise.all([1, 2, 3].map(() => RawHttp.connect(port)))
    const [refused] = await (await RawHttp.connect(port)).answers()
    expect(refused).toMatchObject({ status: 429, headers: { connection: 'close', 'retry-after': '1' } })
    expect(JSON.parse(refused!.body)).toMatchObject({ id: null, error: { code: -32005, data: { reason: 'too-many-connections' } } })
    for (const client of clients) expect(await client.send(`${HEAD}\r\n${CALL}`).answer()).toMatchObject({ status: 200 })
    clients[0]!.end()
    await expect.poll(async () => (await (await RawHttp.connect(port)).send(`${HEAD}Connection: close\r\n\r\n${CALL}`).answers())[0]?.status).toBe(200)
    for (const client of clients) client.end()
  })

  test('of trusted proxies are not', async () => {
    const port = await start({ max_connections_per_address: 1 }, { top: { trusted_proxies: ['127.0.0.0/8'] } })
    const clients = await Promise.all([1, 2, 3].map(() => RawHttp.connect(port)))
    for (const client of clients) expect(await client.send(`${HEAD}\r\n${CALL}`).answer()).toMatchObject({ status: 200 })
    for (const client of clients) client.end()
  })

  test('in all are capped, WebSockets among them', async () => {
    const port = await start({ max_connections: 2 }, { plugins: { 'ws-jsonrpc-proxy': { mode: 'http' } } })
    const { client: socket, status } = await RawWebSocket.handshake(port, '/eth', { apikey: 'free-key' })
    expect(status).toBe(101)
    const client = await RawHttp.connect(port)
    expect(await client.send(`${HEAD}\r\n${CALL}`).answer()).toMatchObject({ status: 200 })
    expect(await (await RawHttp.connect(port)).answers()).toEqual([])
    expect(await refusals('too-many-sockets')).toBe(1)
    client.end()
    socket.end()
  })
})

describe('a client that leaves', () => {
  test.each([
    ['over HTTP', `${HEAD}\r\n${CALL}`],
    [
      'by a handshake',
      'GET /eth HTTP/1.1\r\nHost: x\r\nApikey: free-key\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    ],
  ])('while its session is opened %s leaves no session behind', async (_, text) => {
    const { plugin, waiting } = doorkeeper()
    const port = await start({}, { plugins: { doorkeeper: {}, 'ws-jsonrpc-proxy': { mode: 'http' } } }, [...plugins, plugin])
    const client = (await RawHttp.connect(port)).send(text)
    await expect.poll(() => waiting.length).toBe(1)
    expect(await sessions()).toBe(1)
    client.end()
    await exchange(port, 'garbage\r\n\r\n') // that the first has gone is known before this is answered
    waiting[0]!()
    await expect.poll(sessions).toBe(0)
    expect(node.requests).toEqual([])
  })

  test('while its WebSocket is judged anew leaves no session behind', async () => {
    const { plugin, waiting } = doorkeeper()
    const port = await start({}, { plugins: { doorkeeper: {}, 'ws-jsonrpc-proxy': { mode: 'http' } } }, [...plugins, plugin])
    const opening = RawWebSocket.handshake(port, '/eth', { apikey: 'free-key' })
    await expect.poll(() => waiting.length).toBe(1)
    waiting[0]!()
    const { client } = await opening
    await gateway.reload()
    await expect.poll(() => waiting.length).toBe(2)
    client.end()
    await exchange(port, 'garbage\r\n\r\n')
    waiting[1]!()
    await expect.poll(sessions).toBe(0)
  })

  test.each(['Sec-WebSocket-Protocol', 'Sec-WebSocket-Extensions'])('with a handshake whose %s is malformed leaves no session behind', async (name) => {
    const port = await start({}, { plugins: { 'limit-conn': { conn: 1 }, 'ws-jsonrpc-proxy': { mode: 'http', compression: true } } })
    for (let at = 0; at < 3; at++) {
      const { client, status } = await RawWebSocket.handshake(port, '/eth', { apikey: 'free-key', [name]: 'a;;,,=' })
      expect(status).toBe(400)
      client.end()
      await expect.poll(sessions).toBe(0)
    }
  })
})
