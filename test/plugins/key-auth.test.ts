import { createHash } from 'node:crypto'
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

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

const consumers = `
consumers:
  - { username: ann, plugins: { key-auth: { key: ann-key } } }
  - { username: bob, plugins: { key-auth: { key: [bob-old, bob-new] } } }
  - { username: cid, plugins: { key-auth: { key: "sha256:${sha256('cid-key')}" } } }
  - { username: dan, disabled: true, plugins: { key-auth: { key: dan-key } } }
`

/** The plugin's open hook under this configuration. */
async function opening(config = '{}'): Promise<(session: LiveSession) => unknown> {
  const plugin = (await configure(plugins, `{ jsonrpc-var: {}, key-auth: ${config} }`, {}, consumers)).plugin('key-auth')
  return (session) => plugin.open!(session)
}

const who = (session: LiveSession): string | undefined => session.get(consumer)?.username
const withKey = (key: string): LiveSession => askingSession({ headers: { apikey: key } })

const missing = { kind: 'refusal', name: 'unauthorized', why: 'missing-key', message: 'Missing API key found in request' }
const invalid = { kind: 'refusal', name: 'unauthorized', why: 'invalid-key', message: 'Invalid API key in request' }

describe('where a key may stand', () => {
  test.each([
    ['the header apikey', { headers: { apikey: 'ann-key' } }],
    ['the header x-api-key', { headers: { 'x-api-key': 'ann-key' } }],
    ['the query', { query: 'x=1&apikey=ann%2Dkey' }],
    ['the path', { path: '/eth/v1/ann-key', variables: { apikey: 'ann-key' } }],
    ['Authorization: Bearer', { headers: { authorization: 'Bearer ann-key' } }],
    ['Authorization in another case', { headers: { authorization: 'bearer  ann-key ' } }],
    ['the only subprotocol of a WebSocket', { headers: { 'sec-websocket-protocol': 'bearer.ann-key' } }],
    ['one of several subprotocols', { headers: { 'sec-websocket-protocol': 'jsonrpc, bearer.ann-key,other' } }],
  ])('%s', async (_place, parts) => {
    const open = await opening()
    const session = askingSession(parts)
    expect(open(session)).toBeUndefined()
    expect(who(session)).toBe('ann')
    expect(session.visiblePath).not.toContain('ann-key')
    const left = ['apikey', 'x-api-key', 'authorization', 'sec-websocket-protocol'].map((name) => session.header(name))
    expect([...left, session.argument('apikey'), session.pathVariable('apikey')]).toEqual(Array.from({ length: 6 }))
  })

  test('the first place that holds a key decides, in the order header, query, path, bearer, subprotocol', async () => {
    const open = await opening()
    const places = [
      (key: string) => ({ headers: { apikey: key } }),
      (key: string) => ({ headers: { 'x-api-key': key } }),
      (key: string) => ({ query: `apikey=${key}` }),
      (key: string) => ({ variables: { apikey: key } }),
      (key: string) => ({ headers: { authorization: `Bearer ${key}` } }),
      (key: string) => ({ headers: { 'sec-websocket-protocol': `bearer.${key}` } }),
    ]
    for (let at = 0; at + 1 < places.length; at++) {
      const [first, second] = [places[at]!('ann-key'), places[at + 1]!('wrong')]
      const session = askingSession({ ...second, ...first, headers: { ...headersOf(second), ...headersOf(first) } })
      expect(open(session), `place ${at}`).toBeUndefined()
      const [wrongFirst, rightSecond] = [places[at]!('wrong'), places[at + 1]!('ann-key')]
      const other = askingSession({ ...rightSecond, ...wrongFirst, headers: { ...headersOf(rightSecond), ...headersOf(wrongFirst) } })
      expect(open(other), `place ${at}`).toMatchObject(invalid)
    }
  })

  test('names are configurable, and a place can be closed', async () => {
    const open = await opening('{ header: X-Token, query: "", path_variable: token }')
    expect(open(askingSession({ headers: { 'x-token': 'ann-key' } }))).toBeUndefined()
    expect(open(askingSession({ variables: { token: 'ann-key' } }))).toBeUndefined()
    expect(open(askingSession({ headers: { apikey: 'ann-key' }, query: 'apikey=ann-key', variables: { apikey: 'ann-key' } }))).toMatchObject(missing)
  })

  test('other schemes and other subprotocols are no keys', async () => {
    const open = await opening()
    expect(open(askingSession({ headers: { authorization: 'Basic YTpi', 'sec-websocket-protocol': 'notbearer.ann-key, bearer.' } }))).toMatchObject(missing)
  })
})

function headersOf(parts: object): Record<string, string> {
  return 'headers' in parts ? (parts.headers as Record<string, string>) : {}
}

describe('what a key is worth', () => {
  test('a missing key and a wrong key are told apart, each with a challenge', async () => {
    const open = await opening()
    expect(open(askingSession())).toMatchObject({ ...missing, headers: { 'WWW-Authenticate': 'Bearer realm="tollgate"' } })
    expect(open(withKey('wrong'))).toMatchObject({ ...invalid, headers: { 'WWW-Authenticate': 'Bearer realm="tollgate", error="invalid_token"' } })
  })

  test('an empty key is no key, and one that is too long is wrong', async () => {
    const open = await opening()
    expect(open(askingSession({ headers: { apikey: '' }, query: 'apikey=' }))).toMatchObject(missing)
    expect(open(withKey('k'.repeat(257)))).toMatchObject(invalid)
  })

  test('a wrong key is hidden like a right one', async () => {
    const open = await opening()
    const session = withKey('wrong')
    open(session)
    expect(session.header('apikey')).toBeUndefined()
  })

  test('each of several keys is good, and a key can be given by its hash', async () => {
    const open = await opening()
    for (const [key, owner] of [
      ['bob-old', 'bob'],
      ['bob-new', 'bob'],
      ['cid-key', 'cid'],
    ] as const) {
      const session = withKey(key)
      open(session)
      expect(who(session)).toBe(owner)
    }
  })

  test('a hash is no key', async () => {
    const open = await opening()
    for (const key of [sha256('cid-key'), `sha256:${sha256('cid-key')}`]) expect(open(withKey(key))).toMatchObject(invalid)
  })

  test("a disabled consumer's key is like one that never was", async () => {
    const open = await opening()
    expect(open(withKey('dan-key'))).toBe(open(withKey('wrong')))
  })

  test('whoever is known already is not asked', async () => {
    const open = await opening()
    const session = askingSession()
    session.set(consumer, { username: 'eve', plan: undefined, secondsQuota: undefined, monthlyQuota: undefined })
    expect(open(session)).toBeUndefined()
    expect(who(session)).toBe('eve')
  })

  test('where no key is required nobody is served as nobody, but a wrong key is still refused', async () => {
    const open = await opening('{ required: false }')
    const session = askingSession()
    expect(open(session)).toBeUndefined()
    expect(who(session)).toBeUndefined()
    expect(open(withKey('wrong'))).toMatchObject(invalid)
  })

  test('without a key one may be served as an anonymous consumer', async () => {
    const open = await opening('{ anonymous_consumer: bob }')
    const session = askingSession()
    expect(open(session)).toBeUndefined()
    expect(who(session)).toBe('bob')
    expect(open(withKey('wrong'))).toMatchObject(invalid)
  })

  test('a key is sent on to the node only when the configuration says so', async () => {
    const [hiding, forwarding] = [withKey('ann-key'), askingSession({ query: 'apikey=ann-key' })]
    ;(await opening())(hiding)
    ;(await opening('{ hide_credentials: false }'))(forwarding)
    expect(hiding.upstreamRequest.headers).toBeUndefined()
    expect(forwarding.upstreamRequest.headers).toEqual({ apikey: 'ann-key' })
  })
})

describe('problems', () => {
  const problemsOf = async (config: string, more: string): Promise<readonly string[]> =>
    (await configure(plugins, `{ jsonrpc-var: {}, key-auth: ${config} }`, {}, more)).problems

  test('two consumers with one key, however it is written', async () => {
    const more = `consumers:
  - { username: ann, plugins: { key-auth: { key: same } } }
  - { username: bob, plugins: { key-auth: { key: "sha256:${sha256('same').toUpperCase()}" } } }`
    const problems = await problemsOf('{}', more)
    expect(problems).toEqual([expect.stringMatching(/consumers\[1\]\.plugins\.key-auth.*another consumer/)])
    expect(problems.join()).not.toContain('same"')
  })

  test.each(['sha256:123', 'has space', '""', '[]', '"ümlaut"'])('the key %s', async (key) => {
    expect(await problemsOf('{}', `consumers: [{ username: ann, plugins: { key-auth: { key: ${key} } } }]`)).toHaveLength(1)
  })

  test('an anonymous consumer that is not there', async () => {
    expect(await problemsOf('{ anonymous_consumer: nobody }', '')).toEqual([expect.stringContaining('key-auth.anonymous_consumer: no such consumer')])
  })
})

test('thousands of keys are indexed, each to its consumer, also where their hashes are nearly the same', async () => {
  const keyOf = (at: number): string => (at % 3 === 0 ? `key-${at}` : `sha256:${'ab'.repeat(30)}${at.toString(16).padStart(4, '0')}`)
  const many = Array.from({ length: 15_000 }, (_, at) => ({ username: `c${at}`, plugins: { 'key-auth': { key: keyOf(at) } } }))
  const plugin = (await configure(plugins, '{ jsonrpc-var: {}, key-auth: {} }', {}, `consumers: ${JSON.stringify(many)}`)).plugin('key-auth')
  for (const _round of [1, 2]) {
    for (let at = 0; at < many.length; at += 3) {
      const session = withKey(`key-${at}`)
      expect(plugin.open!(session)).toBeUndefined()
      expect(who(session)).toBe(`c${at}`)
    }
  }
})

describe('in a gateway', () => {
  let node: ScriptedNode
  let gateway: TestGateway
  const call = '{"jsonrpc":"2.0","id":7,"method":"eth_chainId"}'
  const plan = [{ id: 'free', tier: 'free', seconds_quota: 300, monthly_quota: 1_000_000 }]

  beforeAll(async () => {
    node = await startScriptedNode()
    gateway = await startTestGateway(basic({ nodeUrl: node.url }), { files: basicFiles })
  })
  afterAll(async () => {
    await gateway.stop()
    await node.stop()
  })

  test('who has no key or a wrong one is told so under the id of the call, with 401', async () => {
    const [none, wrong] = [await gateway.post('/eth', call), await gateway.post('/eth', call, { apikey: 'wrong' })]
    expect([none.status, wrong.status]).toEqual([401, 401])
    expect(none.json).toMatchObject({ id: 7, error: { code: -32002, message: 'Missing API key found in request', data: { reason: 'missing-key' } } })
    expect(wrong.json).toMatchObject({ id: 7, error: { code: -32002, message: 'Invalid API key in request', data: { reason: 'invalid-key' } } })
    expect(none.headers.get('www-authenticate')).toBe('Bearer realm="tollgate"')
    expect(node.calls).toEqual([])
  })

  test('a key reaches neither the node nor the log, wherever it stood', async () => {
    expect((await gateway.post('/eth', call, { apikey: 'free-key' })).status).toBe(200)
    expect((await gateway.post('/eth?apikey=free-key', call)).status).toBe(200)
    expect((await gateway.post('/eth/v1/free-key', call)).status).toBe(200)
    expect((await gateway.post('/eth', call, { authorization: 'Bearer free-key' })).status).toBe(200)
    expect((await gateway.post('/eth/v1/wrong-key', call)).status).toBe(401)
    expect(JSON.stringify(node.requests)).not.toContain('free-key')
    expect(JSON.stringify(await gateway.logged())).not.toMatch(/free-key|wrong-key/)
  })

  test('a key that was taken out of the configuration is refused from the next request on', async () => {
    const before = basic({ nodeUrl: node.url })
    await gateway.write('gateway.yaml', {
      ...before,
      consumers: [{ username: 'frank', plan: 'free', plugins: { 'key-auth': { key: 'new-key' } } }],
      plans: plan,
    })
    expect(await gateway.reload()).toBe(true)
    expect((await gateway.post('/eth', call, { apikey: 'free-key' })).status).toBe(401)
    expect((await gateway.post('/eth', call, { apikey: 'new-key' })).status).toBe(200)
  })
})
