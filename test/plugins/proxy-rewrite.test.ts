import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { consumer } from '#plugin'
import { plugins } from '../../plugins/index.ts'
import { askingSession } from '../support/asking-session.ts'
import { configure } from '../support/configured.ts'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { LiveSession } from '../../core/pipeline/session.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'
import type { TestGateway } from '../support/gateway.ts'

/** What the plugin answers, and what the session then asks of the node. */
async function rewritten(config: string, session: LiveSession): Promise<{ answer: unknown; path: unknown; host: unknown; headers: unknown }> {
  const plugin = (await configure(plugins, `{ jsonrpc-var: {}, proxy-rewrite: ${config} }`)).plugin('proxy-rewrite')
  return { answer: await plugin.open!(session), ...session.upstreamRequest }
}

function by(username: string, parts: Parameters<typeof askingSession>[0] = {}): LiveSession {
  const session = askingSession(parts)
  session.set(consumer, { username, plan: undefined, secondsQuota: undefined, monthlyQuota: undefined })
  return session
}

const badPath = { kind: 'refusal', name: 'internal', why: 'bad-path' }

describe('the path', () => {
  test('may be another, made of variables', async () => {
    expect(await rewritten('{ uri: "/rpc/$network/$consumer_name?v=1" }', by('ann'))).toMatchObject({ answer: undefined, path: '/rpc/eth/ann?v=1' })
  })

  test.each([
    ['a/b', '/x/a%2Fb'],
    ['a?b#c', '/x/a%3Fb%23c'],
    ['a b\r\nHost: evil', '/x/a%20b%0D%0AHost%3A%20evil'],
    ['%2e%2e', '/x/%252e%252e'],
    ['é\ud800', '/x/%C3%A9%EF%BF%BD'],
  ])("no variable's value leaves its segment: %j", async (value, path) => {
    expect(await rewritten('{ uri: "/x/$http_x_value" }', askingSession({ headers: { 'x-value': value } }))).toMatchObject({ answer: undefined, path })
  })

  test.each(['..', '.'])('a value that would climb is refused: %s', async (value) => {
    const { answer, path } = await rewritten('{ uri: "/x/$http_x_value/y" }', askingSession({ headers: { 'x-value': value } }))
    expect(answer).toMatchObject(badPath)
    expect(path).toBeUndefined()
  })

  test('a variable without a value is refused, for the path would be another', async () => {
    expect((await rewritten('{ uri: "/x/$consumer_name" }', askingSession())).answer).toMatchObject(badPath)
  })

  test.each([
    [['^/v1/(.*)$', '/$1'], '/v1/eth/main', '/eth/main'],
    [['^/([a-z]+)/([0-9]+)$', '/$2/$1?from=gateway'], '/eth/7', '/7/eth?from=gateway'],
    [['^/a', '/b', '^/c', '/d'], '/c/x', '/d/x'],
    [['^/v1/', ''], '/v1/eth', '/eth'],
    [['^/v1', ''], '/v1//evil.example/x', '/evil.example/x'],
    [['^/(.*)$', '/$1/$2'], '/eth', '/eth/'],
    [['/x/', '/'], '/a?b c/x/ü', '/a%3Fb%20c/%C3%BC'],
  ])('%j turns %s into %s', async (pairs, from, to) => {
    expect(await rewritten(`{ regex_uri: ${JSON.stringify(pairs)} }`, askingSession({ path: from }))).toMatchObject({ answer: undefined, path: to })
  })

  test('a path that no pattern fits is left to the node', async () => {
    expect((await rewritten('{ regex_uri: ["^/v1/", "/"] }', askingSession({ path: '/v2/x' }))).path).toBeUndefined()
  })

  test('uri goes before regex_uri', async () => {
    expect((await rewritten('{ uri: /fixed, regex_uri: ["^/", "/x"] }', askingSession())).path).toBe('/fixed')
  })

  test('a hidden key is not carried on', async () => {
    const session = askingSession({ path: '/eth/v1/secret-key', variables: { apikey: 'secret-key' } })
    session.hide('pathVariable', 'apikey')
    expect((await rewritten('{ regex_uri: ["^/(.*)$", "/node/$1"] }', session)).path).toBe('/node/eth/v1/***')
  })
})

describe('the Host', () => {
  test('may be another, made of variables', async () => {
    expect((await rewritten('{ host: "$network.nodes.internal:8545" }', askingSession())).host).toBe('eth.nodes.internal:8545')
  })

  test.each(['evil example', 'a\r\nX: y', 'a/b', '', 'user@host', 'é'])('what is no host is left out: %j', async (value) => {
    expect((await rewritten('{ host: "$http_x_value" }', askingSession({ headers: { 'x-value': value } }))).host).toBeUndefined()
  })
})

describe('headers', () => {
  test('are added, set and removed, in this order', async () => {
    const session = by('ann')
    session.upstreamRequest.headers = { 'x-a': '1', 'x-b': '1', apikey: 'k' }
    const config = '{ headers: { remove: [APIKEY], set: { X-B: "$consumer_name@$remote_addr", X-D: "4" }, add: { X-A: "2", X-B: "2", X-C: "3" } } }'
    expect((await rewritten(config, session)).headers).toEqual({ 'x-a': '1, 2', 'x-b': 'ann@192.0.2.1', 'x-c': '3', 'x-d': '4' })
  })

  test.each(['a\r\nX-Evil: 1', 'a\nb', 'a\0b', 'a\x7fb', '名'])('a value that no header can carry is not sent: %j', async (value) => {
    const { answer, headers } = await rewritten(
      '{ headers: { set: { X-A: "v=$http_x_value" }, add: { X-B: "$http_x_value" } } }',
      askingSession({ headers: { 'x-value': value } }),
    )
    expect(answer).toBeUndefined()
    expect(headers).toEqual({})
  })

  test('a variable without a value sends no header', async () => {
    expect((await rewritten('{ headers: { set: { X-Consumer: "$consumer_name" } } }', askingSession())).headers).toEqual({})
  })

  test('nothing is changed where nothing is asked for', async () => {
    expect(await rewritten('{}', askingSession())).toEqual({ answer: undefined, path: undefined, host: undefined, headers: undefined })
  })
})

const OWN = [
  'Host',
  'Content-Length',
  'content-type',
  'Content-Encoding',
  'Transfer-Encoding',
  'Connection',
  'Keep-Alive',
  'TE',
  'Trailer',
  'Upgrade',
  'Expect',
  'Proxy-Authorization',
  'Accept-Encoding',
  'Sec-WebSocket-Key',
]

test.each([
  ...OWN.map((name) => [`{ headers: { set: { "${name}": x } } }`, `headers.set.${name}: is a header that the gateway writes itself`]),
  ['{ headers: { add: { "X A": x } } }', 'is not the name of a header'],
  ['{ headers: { set: { "__proto__": x } } }', 'is not the name of a header'],
  ['{ headers: { set: { X-A: "a\\r\\nX-Evil: 1" } } }', 'headers.set.X-A: has characters that a header cannot carry'],
  ['{ headers: { X-A: x } }', 'headers'],
  ['{ headers: { set: { X-A: "$nothing" } } }', 'headers.set.X-A: unknown variable $nothing'],
  ['{ headers: { set: { X-A: "$rpc_method" } } }', 'headers.set.X-A: unknown variable $rpc_method'],
  ['{ uri: "/$nothing" }', 'uri: unknown variable $nothing'],
  ['{ uri: "/$constructor" }', 'uri: unknown variable $constructor'],
  ['{ uri: "http://evil.example/" }', 'uri'],
  ['{ host: "$nothing" }', 'host: unknown variable $nothing'],
  ['{ regex_uri: ["^/a"] }', 'regex_uri'],
  ['{ regex_uri: ["^/a", "/b", "^/c"] }', 'regex_uri: must be pairs'],
  ['{ regex_uri: ["(", "/b"] }', 'regex_uri[0]: is not a regular expression'],
  ['{ method: GET }', 'method'],
])('%s is a problem', async (config, problem) => {
  const { problems } = await configure(plugins, `{ jsonrpc-var: {}, proxy-rewrite: ${config} }`)
  expect(problems).toEqual([expect.stringContaining(problem)])
})

describe('in a gateway', () => {
  let node: ScriptedNode
  let gateway: TestGateway
  beforeAll(async () => {
    node = await startScriptedNode()
    const rewrite = {
      regex_uri: ['^/(.*)$', '/to/$1'],
      host: 'node.internal',
      headers: { set: { 'X-Consumer': '$consumer_name', 'X-Agent': '$http_user_agent' } },
    }
    gateway = await startTestGateway(basic({ nodeUrl: node.url, plugins: { 'proxy-rewrite': rewrite } }), { files: basicFiles })
  })
  afterAll(async () => {
    await gateway.stop()
    await node.stop()
  })

  test('the node is asked as the route says, and sees no key', async () => {
    const { status } = await gateway.post('/eth/v1/free-key', '{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}', { 'user-agent': 'test/1' })
    expect(status).toBe(200)
    const [request] = node.requests
    expect(request).toMatchObject({ httpMethod: 'POST', path: '/to/eth/v1/***' })
    expect(request!.headers).toMatchObject({ host: 'node.internal', 'x-consumer': 'frank', 'x-agent': 'test/1' })
    expect(JSON.stringify(node.requests)).not.toContain('free-key')
  })
})
