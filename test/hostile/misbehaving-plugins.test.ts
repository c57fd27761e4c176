/**
 * Plugins that break the contract, in every phase and every way: what guards or bills refuses, what observes is passed over,
 * either is counted, no other check is skipped, and no exception gets out of a request.
 */
import { once } from 'node:events'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { consumer, cost, definePlugin, draw, refuse } from '#plugin'
import { plugins } from '../../plugins/index.ts'
import { RawHttp } from '../support/raw-http.ts'
import { RawWebSocket, OPCODE, frame } from '../support/raw-web-socket.ts'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import { startScriptedSocketNode } from '../support/scripted-socket-node.ts'
import type { AnyPlugin, Call, Draw, PluginInstance, Push, Session } from '#plugin'
import type { TestGateway } from '../support/gateway.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'
import type { ScriptedSocketNode } from '../support/scripted-socket-node.ts'

/** What the plugin under test does now. */
let hooks: PluginInstance = {}
/** Calls that the check behind it saw. */
let checked = 0

const PHASES = ['open', 'access', 'charge', 'reply', 'push', 'log', 'close'] as const

const nothing = (): void => undefined

/** A plugin whose hooks change with every test. */
function rogue(name: string, onFault: 'refuse' | 'pass'): AnyPlugin {
  return definePlugin({
    name,
    priority: 2000,
    summary: 'Breaks the contract.',
    config: {},
    examples: [{}],
    onFault,
    create: () =>
      Object.fromEntries(PHASES.map((phase) => [phase, (...asked: unknown[]): unknown => Reflect.apply(hooks[phase] ?? nothing, undefined, asked)])),
  })
}

const witness = definePlugin({
  name: 'witness',
  priority: 1999,
  summary: 'Notes what comes to it.',
  config: {},
  examples: [{}],
  onFault: 'refuse',
  create: () => ({ access: () => void checked++ }),
})

let node: ScriptedNode
let feed: ScriptedSocketNode
const gateways: Partial<Record<'refuse' | 'pass', TestGateway>> = {}
/** What got out of a request. */
const escaped: unknown[] = []
const note = (error: unknown): void => void escaped.push(error)

beforeAll(async () => {
  process.on('uncaughtException', note).on('unhandledRejection', note)
  node = await startScriptedNode()
  feed = await startScriptedSocketNode()
  for (const onFault of ['refuse', 'pass'] as const) {
    const config = basic({ nodeUrl: node.url, nodeWsUrl: feed.wsUrl, plugins: { rogue: {}, witness: {}, 'ws-jsonrpc-proxy': { mode: 'http' } } })
    gateways[onFault] = await startTestGateway(config, { files: basicFiles, catalogue: [...plugins, rogue('rogue', onFault), witness] })
  }
})
afterEach(() => {
  hooks = {}
  if (escaped.length > 0) throw new Error('an exception got out of a request', { cause: escaped.splice(0)[0] })
})
afterAll(async () => {
  for (const gateway of Object.values(gateways)) await gateway.stop()
  await Promise.all([node.stop(), feed.stop()])
  process.off('uncaughtException', note).off('unhandledRejection', note)
})

const CALL = '{"jsonrpc":"2.0","id":7,"method":"eth_blockNumber"}'
const KEY = { apikey: 'free-key' }
const faults = (gateway: TestGateway, phase: string): Promise<number> => gateway.metric('tollgate_plugin_faults_total', { plugin: 'rogue', phase })

const boom = (): never => {
  throw new Error('boom')
}
/** An object that throws when it is looked at. */
const trap = { get kind(): never { return boom() } } // prettier-ignore
/** An object that shows one thing to whoever checks it and another to whoever uses it. */
const twoFaced = (): unknown => {
  let looks = 0
  return new Proxy(refuse('blocked', 'x'), { get: (target, name) => (name === 'kind' && ++looks > 1 ? boom() : (Reflect.get(target, name) as unknown)) })
}

const wrongAnswers: Record<string, unknown> = {
  'a number': 5,
  null: null,
  true: true,
  'a text': 'refuse',
  'a function': () => undefined,
  'an empty object': {},
  'an object that throws when it is read': trap,
  'an outcome of no kind': { kind: 'maybe' },
  'a refusal of no name': { kind: 'refusal', name: 'nonsense', why: 'x' },
  'a refusal named by a prototype': { kind: 'refusal', name: 'constructor', why: 'x' },
  'a refusal without a word': { kind: 'refusal', name: 'blocked' },
  'a refusal with status 99': refuse('blocked', 'x', { status: 99 }),
  'a refusal with a header that cannot be sent': refuse('blocked', 'x', { headers: { 'X-Y': 'a\r\nb' } }),
  'a refusal with a header that frames its answer': refuse('blocked', 'x', { headers: { 'content-length': '1' } }),
  'a refusal whose headers are null': refuse('blocked', 'x', { headers: null as never }),
  'a refusal with a header of no name': refuse('blocked', 'x', { headers: { '': 'a' } }),
  'a refusal whose message is an object': { kind: 'refusal', name: 'blocked', why: 'x', message: { toString: boom } },
  'a refusal whose price is no number': { kind: 'refusal', name: 'blocked', why: 'x', cu: 1n },
  'a result without a text': { kind: 'result' },
  'a result that is a value': { kind: 'result', payload: { block: 1 } },
  'an error of another library': new Error('no'),
  // oxlint-disable-next-line unicorn/no-thenable -- that is what is tested
  'a promise of another library': { then: (resolve: (value: unknown) => void) => resolve(undefined) },
  'a symbol': Symbol('x'),
}

/** Sends a call over HTTP, where the plugin guards and where it observes. */
async function judged(): Promise<{ guarded: unknown; observed: unknown }> {
  const [guarded, observed] = await Promise.all(['refuse' as const, 'pass' as const].map((onFault) => gateways[onFault]!.post('/eth', CALL, KEY)))
  return { guarded: guarded!.json, observed: observed!.json }
}

const SERVED = { jsonrpc: '2.0', id: 7, result: { method: 'eth_blockNumber' } }
const DENIED = { jsonrpc: '2.0', id: 7, error: { code: -32603, data: { reason: 'plugin-fault' } } }

describe.each(['open', 'access', 'charge', 'reply'] as const)('in %s', (phase) => {
  const cases: Record<string, () => unknown> = Object.fromEntries([
    ...Object.entries(wrongAnswers).map(([name, value]) => [name, () => value] as const),
    ['a throw', boom],
    ['a throw of undefined', () => { throw undefined }], // prettier-ignore
    ['a rejection', () => Promise.reject(new Error('boom'))],
    ['later a number', () => Promise.resolve(5)],
    ['later an object that throws when it is read', () => Promise.resolve({ trap }).then((box) => box.trap)],
    ['later a refusal of no name', () => Promise.resolve(wrongAnswers['a refusal of no name'])],
  ])
  test.each(Object.entries(cases))('%s is a fault: a guard refuses, an observer is passed over', async (_, answer) => {
    hooks = { [phase]: answer }
    const before = [await faults(gateways.refuse!, phase), await faults(gateways.pass!, phase)]
    const checkedBefore = checked
    const { guarded, observed } = await judged()
    expect(guarded).toMatchObject(DENIED)
    expect(observed).toMatchObject(SERVED)
    expect([await faults(gateways.refuse!, phase), await faults(gateways.pass!, phase)]).toEqual(before.map((count) => count + 1))
    // The check that follows ran where the call went on.
    expect(checked - checkedBefore).toBe(phase === 'open' || phase === 'access' ? 1 : 2)
  })

  test('what shows two faces gets no call through and no exception out', async () => {
    hooks = { [phase]: twoFaced }
    const { guarded } = await judged()
    expect(guarded).toHaveProperty('error')
  })
})

describe.each(['log', 'close'] as const)('in %s, when all is answered', (phase) => {
  test.each([
    ['a throw', boom],
    ['a rejection', () => Promise.reject(new Error('boom'))],
  ])('%s is counted', async (_, answer) => {
    hooks = { [phase]: answer }
    const before = await faults(gateways.refuse!, phase)
    const { guarded, observed } = await judged()
    expect([guarded, observed]).toMatchObject([SERVED, SERVED])
    await expect.poll(() => faults(gateways.refuse!, phase)).toBe(before + 1)
  })
})

describe('a budget', () => {
  const sound = draw('rogue', 'frank', 100, { kind: 'fixed', ms: 1000 }, 1, () => refuse('limited', 'x'))
  const wrong: Record<string, Partial<Record<keyof Draw, unknown>>> = {
    'whose cost is no number': { cost: NaN },
    'whose cost is less than nothing': { cost: -5 },
    'whose cost is without end': { cost: Infinity },
    'whose limit is no number': { limit: NaN },
    'without a key': { key: undefined },
    'without a window': { window: undefined },
    'that cannot refuse': { refused: undefined },
  }
  test.each(Object.entries(wrong))('%s is a fault', async (_, change) => {
    hooks = { charge: () => ({ ...sound, ...change }) as Draw }
    expect((await judged()).guarded).toMatchObject(DENIED)
  })

  test.each([
    ['throws', boom],
    ['answers garbage', () => 5],
  ])('that is exhausted refuses also when its refusal %s', async (_, refused) => {
    hooks = { charge: () => draw('rogue', 'nobody', 0, { kind: 'fixed', ms: 1000 }, 1, refused as never) }
    const { guarded, observed } = await judged()
    expect([guarded, observed]).toMatchObject([DENIED, DENIED])
  })

  test('whose price is settled at nonsense is a fault, and what was drawn stays drawn', async () => {
    for (const price of [NaN, -1, Infinity, 'ten']) {
      hooks = { reply: (call: Call) => call.settle(price as number) }
      expect((await judged()).observed).toMatchObject(SERVED)
    }
  })

  test('of a price that is no number is a fault of whoever draws by it, and nothing is served for free', async () => {
    hooks = { charge: (call: Call) => call.set(cost, NaN) }
    const { guarded } = await judged()
    expect(guarded).toMatchObject({ error: { code: -32603 } })
  })
})

describe('a plugin that reaches too far', () => {
  test.each<[string, (session: Session) => void]>([
    ['a header that ends another', (session) => session.setHeader('X-Y', 'a\r\nSet-Cookie: b')],
    ['a header beyond latin-1', (session) => session.setHeader('X-Y', '€')],
    ['a header that ends the connection', (session) => session.setHeader('Connection', 'close')],
    ['a header of no name', (session) => session.setHeader('X Y', 'a')],
    ['an end at no moment', (session) => session.expireAt(NaN)],
    ['a caller that is nobody', (session) => session.set(consumer, undefined as never)],
  ])('by setting %s is at fault', async (_, reach) => {
    hooks = { open: (session) => reach(session) }
    const before = await faults(gateways.refuse!, 'open')
    await judged()
    expect(await faults(gateways.refuse!, 'open')).toBe(before + 1)
  })

  test.each<[string, (call: Call) => unknown]>([
    ['what the caller sent', (call) => ((call.params as unknown[])[0] = 'other')],
    ['deep in what the caller sent', (call) => ((call.params as { to: string }[])[0]!.to = 'other')],
    ["the caller's plan", (call) => ((call.session.get(consumer)!.plan as { secondsQuota: number }).secondsQuota = Infinity)],
    ['the caller', (call) => ((call.session.get(consumer) as { username: string }).username = 'paula')],
  ])('by changing %s is at fault', async (_, reach) => {
    hooks = { access: (call) => void reach(call) }
    const call = CALL.replace('}', ',"params":[{"to":"0x1"}]}')
    const before = await faults(gateways.pass!, 'access')
    const answered = await gateways.pass!.post('/eth', call, KEY)
    expect(answered.json).toMatchObject({ result: { params: [{ to: '0x1' }] } })
    expect(await faults(gateways.pass!, 'access')).toBe(before + 1)
  })
})

describe('params that are dear to look at', () => {
  const looking = (params: string): string => CALL.replace('}', `,"params":${params}}`)
  const look = (): void => void (hooks = { access: (call) => void call.params })
  const TOO_MANY = { error: { code: -32602, data: { reason: 'too-many-values', limit: 20_000 } } }

  test.each([
    ['a list', `[${'0,'.repeat(30_000)}0]`],
    ['objects', `[${'{},'.repeat(30_000)}0]`],
    ['many keys', `{${Array.from({ length: 30_000 }, (_, at) => `"${at}":0`).join(',')}}`],
    ['lists in lists', `[${`${'['.repeat(60)}${']'.repeat(60)},`.repeat(1000)}0]`],
  ])('%s of too many values are refused by a guard that looks, and the caller is at fault', async (_, params) => {
    look()
    const before = await faults(gateways.refuse!, 'access')
    expect((await gateways.refuse!.post('/eth', looking(params), KEY)).json).toMatchObject(TOO_MANY)
    expect(await faults(gateways.refuse!, 'access')).toBe(before)
  })

  test('pass where only an observer looks, and where nobody does', async () => {
    const params = `[${'0,'.repeat(30_000)}0]`
    expect((await gateways.refuse!.post('/eth', looking(params), KEY)).json).toHaveProperty('result')
    look()
    expect((await gateways.pass!.post('/eth', looking(params), KEY)).json).toHaveProperty('result')
  })

  test('are bounded for all calls of a batch together', async () => {
    look()
    const call = looking(`[${'0,'.repeat(3000)}0]`)
    const { json } = await gateways.refuse!.post('/eth', `[${Array.from({ length: 10 }, () => call).join(',')}]`, KEY)
    expect(json).toMatchObject([...Array.from({ length: 6 }, () => ({ result: {} })), ...Array.from({ length: 4 }, () => TOO_MANY)])
  })

  test('one long text is not', async () => {
    look()
    expect((await gateways.refuse!.post('/eth', looking(`["0x${'ab'.repeat(200_000)}"]`), KEY)).json).toHaveProperty('result')
  })
})

test('on a WebSocket a fault is an answer like any other, and the socket stays open', async () => {
  const { client } = await RawWebSocket.handshake(gateways.refuse!.gateway.address.port, '/eth', KEY)
  for (const answer of [boom, () => 5, () => Promise.reject(new Error('boom'))]) {
    hooks = { access: answer as never }
    client.send(frame(OPCODE.text, CALL))
    expect(JSON.parse((await client.next())!.payload.toString())).toMatchObject(DENIED)
  }
  hooks = {}
  client.send(frame(OPCODE.text, CALL))
  expect(JSON.parse((await client.next())!.payload.toString())).toMatchObject(SERVED)
  client.end()
})

describe('in push', () => {
  /** What a subscriber got of a notification while the hook was as it is, and of one that came once it was sound again. */
  async function pushed(onFault: 'refuse' | 'pass'): Promise<unknown[]> {
    const { client } = await RawWebSocket.handshake(gateways[onFault]!.gateway.address.port, '/eth', KEY)
    const read = async (): Promise<Record<string, unknown>> => JSON.parse((await client.next())!.payload.toString()) as Record<string, unknown>
    client.send(frame(OPCODE.text, CALL.replace('eth_blockNumber"', 'eth_subscribe","params":["newPendingTransactions"]')))
    await read()
    const got: unknown[] = []
    const before = await faults(gateways[onFault]!, 'push')
    const [id] = feed.subscriptions.keys()
    feed.notify(id!, '"while"')
    await expect.poll(() => faults(gateways[onFault]!, 'push')).toBe(before + 1)
    hooks = {}
    feed.notify(id!, '"after"')
    while (got.at(-1) !== 'after') got.push(((await read())['params'] as { result: unknown }).result)
    client.end()
    await expect.poll(() => feed.subscriptions.size).toBe(0)
    return got
  }

  const pushes: Record<string, (push: Push) => unknown> = {
    ...Object.fromEntries(Object.entries(wrongAnswers).map(([name, value]) => [name, () => value])),
    'a refusal': () => refuse('blocked', 'x'),
    'another word': () => 'keep',
    'a throw': boom,
    'a rejection': () => Promise.reject(new Error('boom')),
    'a promise, which nobody waits for': () => Promise.resolve('drop'),
    'a promise that is never kept': () => new Promise(() => undefined),
    'a budget whose cost is no number': ({ cost: price }) => draw('rogue', 'k', 1, { kind: 'fixed', ms: 1000 }, price - NaN, () => refuse('limited', 'x')),
    'changing what is pushed': (push) => Object.assign(push, { session: undefined }),
  }
  test.each(Object.entries(pushes))('%s is a fault: a guard drops the notification, an observer lets it pass', async (_, push) => {
    hooks = { push: push as never }
    expect(await pushed('refuse')).toEqual(['after'])
    hooks = { push: push as never }
    expect(await pushed('pass')).toEqual(['while', 'after'])
  })

  test('what shows two faces is not passed on for free, and no exception gets out', async () => {
    let looks = 0
    const claim = draw('rogue', 'k', 10, { kind: 'fixed', ms: 1000 }, 1, () => refuse('limited', 'x'))
    hooks = { push: () => new Proxy(claim, { get: (target, name) => (++looks > 8 ? boom() : (Reflect.get(target, name) as unknown)) }) }
    const { client } = await RawWebSocket.handshake(gateways.refuse!.gateway.address.port, '/eth', KEY)
    client.send(frame(OPCODE.text, CALL.replace('eth_blockNumber"', 'eth_subscribe","params":["newPendingTransactions"]')))
    await client.next()
    const dropped = await gateways.refuse!.metric('tollgate_pushes_total', { outcome: 'dropped' })
    feed.notify([...feed.subscriptions.keys()][0]!, '1')
    await expect.poll(() => gateways.refuse!.metric('tollgate_pushes_total', { outcome: 'dropped' })).toBe(dropped + 1)
    client.end()
  })
})

/** A connection of one's own to the gateway whose plugin guards. */
const connectRaw = (): Promise<RawHttp> => RawHttp.connect(Number(new URL(gateways.refuse!.url).port))

const post = (more = ''): string => `POST /eth HTTP/1.1\r\nHost: a\r\napikey: free-key\r\n${more}Content-Length: ${CALL.length}\r\n\r\n${CALL}`

test.each([204, 304])('a refusal with status %i, which has no body, leaves the connection in step', async (status) => {
  const client = await connectRaw()
  const heard: string[] = []
  client.socket.on('data', (bytes: Buffer) => heard.push(bytes.toString('latin1')))
  hooks = { access: () => refuse('blocked', 'x', { status }) }
  client.send(post())
  await once(client.socket, 'data')
  hooks = {}
  client.send(post())
  await once(client.socket, 'data')
  client.socket.destroy()
  expect(heard.map((text) => /^HTTP\/1\.1 (\d+) [^{]*/.exec(text)![0].endsWith('\r\n\r\n') && text.slice(9, 12))).toEqual([String(status), '200'])
  expect(heard[0]).not.toContain('{')
})

const CRLF = 'a\r\nSet-Cookie: b'
/** Headers that are others when they are used than when they were looked at. */
const shifty: Record<string, () => object> = {
  'that are inherited': () => Object.create({ 'X-Y': CRLF }) as object,
  'that are inherited and frame the answer': () => Object.create({ 'Transfer-Encoding': 'chunked' }) as object,
  'of a getter': () => {
    let looks = 0
    return Object.defineProperty({}, 'X-Y', { enumerable: true, get: () => (++looks > 1 ? CRLF : 'a') })
  },
  'that are changed afterwards': () => {
    const headers = { 'X-Y': 'a' }
    queueMicrotask(() => (headers['X-Y'] = CRLF))
    return headers
  },
}

test.each(Object.entries(shifty))('headers %s are sent as they were looked at, or not at all', async (_, make) => {
  const client = await connectRaw()
  for (const more of ['', 'Connection: close\r\n']) {
    hooks = { access: () => refuse('blocked', 'x', { headers: make() as Record<string, string> }) }
    const answered = await client.send(post(more)).answer()
    expect(answered).toMatchObject({ status: 403 })
    expect(answered!.headers).not.toHaveProperty('set-cookie')
    expect(answered!.headers).not.toHaveProperty('transfer-encoding')
  }
  client.socket.destroy()
})

test('a status that is another one when it is used is sent as it was looked at', async () => {
  let looks = 0
  const status = { get: () => (++looks > 1 ? ('200 OK\r\nX: y' as unknown as number) : 403) }
  hooks = { access: () => Object.defineProperty(refuse('blocked', 'x'), 'status', { enumerable: true, ...status }) }
  const { status: seen } = await gateways.refuse!.post('/eth', CALL, KEY)
  expect(seen).toBe(403)
})
