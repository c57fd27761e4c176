import { once } from 'node:events'
import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { SignJWT, exportJWK, exportSPKI, generateKeyPair } from 'jose'
import { consumer } from '#plugin'
import { plugins } from '../../plugins/index.ts'
import { askingSession } from '../support/asking-session.ts'
import { configure } from '../support/configured.ts'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { AddressInfo } from 'node:net'
import type { CryptoKey, JWTPayload } from 'jose'
import type { LiveSession } from '../../core/pipeline/session.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'
import type { TestGateway } from '../support/gateway.ts'

const SECRET = 'a secret of at least thirty-two bytes'
const utf8 = new TextEncoder()

/** Algorithms with a key pair, and their pairs. */
const ASYMMETRIC = ['RS256', 'ES256', 'EdDSA'] as const
const pairs = {} as Record<(typeof ASYMMETRIC)[number], { publicKey: CryptoKey; privateKey: CryptoKey; pem: string }>

beforeAll(async () => {
  for (const algorithm of ASYMMETRIC) {
    const pair = await generateKeyPair(algorithm, { extractable: true })
    pairs[algorithm] = { ...pair, pem: await exportSPKI(pair.publicKey) }
  }
})

/** A token; the clock of `configure` stands at 0, so `exp: 60` is a minute ahead. */
function sign(claims: JWTPayload, key: CryptoKey | Uint8Array = utf8.encode(SECRET), alg = 'HS256', kid?: string): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg, ...(kid !== undefined && { kid }) }).sign(key)
}

const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

const ann = `consumers: [{ username: ann, plugins: { jwt-auth: { key: ann-app, secret: "${SECRET}" } } }]`

async function opening(config = '{}', more = ann): Promise<(session: LiveSession) => unknown> {
  const plugin = (await configure(plugins, `{ jsonrpc-var: {}, jwt-auth: ${config} }`, {}, more)).plugin('jwt-auth')
  return (session) => plugin.open!(session)
}

const bearing = (token: string): LiveSession => askingSession({ headers: { authorization: `Bearer ${token}` } })
const who = (session: LiveSession): string | undefined => session.get(consumer)?.username
const refused = (why: string): object => expect.objectContaining({ kind: 'refusal', name: 'unauthorized', why }) as object

describe('where a token may stand', () => {
  test.each([
    ['Authorization: Bearer', '{}', (token: string) => ({ headers: { authorization: `bearer ${token}` } })],
    ['Authorization alone', '{}', (token: string) => ({ headers: { authorization: token } })],
    ['a header of another name', '{ header: X-Jwt }', (token: string) => ({ headers: { 'x-jwt': token } })],
    ['the query', '{}', (token: string) => ({ query: `jwt=${token}` })],
    ['the subprotocol of a WebSocket', '{}', (token: string) => ({ headers: { 'sec-websocket-protocol': `jsonrpc, bearer.${token}` } })],
  ])('%s', async (_place, config, partsOf) => {
    const open = await opening(config)
    const session = askingSession(partsOf(await sign({ key: 'ann-app', exp: 60 })))
    expect(await open(session)).toBeUndefined()
    expect(who(session)).toBe('ann')
    const left = ['authorization', 'x-jwt', 'sec-websocket-protocol'].map((name) => session.header(name))
    expect([...left, session.argument('jwt')]).toEqual(Array.from({ length: 4 }))
  })

  test('without a token the answer is at once, and says so', async () => {
    const open = await opening()
    expect(open(askingSession())).toEqual(refused('missing-token'))
    expect(open(bearing('some-api-key'))).toEqual(refused('missing-token'))
    expect(open(bearing('a.b.c.d.e'))).toEqual(refused('missing-token'))
  })

  test('where none is required another plugin may tell who calls, but a bad token is refused', async () => {
    const open = await opening('{ required: false }')
    const session = bearing('some-api-key')
    expect(open(session)).toBeUndefined()
    expect(session.header('authorization')).toBe('Bearer some-api-key')
    expect(await open(bearing('a.b.c'))).toEqual(refused('invalid-token'))
  })

  test('a token of more than 8 KiB is refused unread', async () => {
    const open = await opening()
    expect(open(bearing(await sign({ key: 'ann-app', exp: 60, padding: 'x'.repeat(8192) })))).toEqual(refused('token-too-long'))
  })
})

describe('what a token is worth', () => {
  test.each(ASYMMETRIC)('%s with the public key of the credential', async (algorithm) => {
    const credential = { key: 'app', algorithm, public_key: pairs[algorithm].pem }
    const open = await opening('{}', `consumers: ${JSON.stringify([{ username: 'ann', plugins: { 'jwt-auth': credential } }])}`)
    const session = bearing(await sign({ key: 'app', exp: 60 }, pairs[algorithm].privateKey, algorithm))
    expect(await open(session)).toBeUndefined()
    expect(who(session)).toBe('ann')
    expect(session.expiresAt).toBe(60_000)
  })

  test('alg none, in any case, is refused', async () => {
    const open = await opening()
    for (const alg of ['none', 'None', 'NONE', '']) {
      expect(await open(bearing(`${base64url({ alg, typ: 'JWT' })}.${base64url({ key: 'ann-app', exp: 60 })}.`))).toEqual(refused('invalid-token'))
    }
  })

  test('a public key is never taken for a shared secret', async () => {
    const { pem } = pairs.RS256
    const more = `consumers: ${JSON.stringify([{ username: 'ann', plugins: { 'jwt-auth': { key: 'app', algorithm: 'RS256', public_key: pem } } }])}`
    const open = await opening('{}', more)
    for (const secret of [pem, pem.trim(), `${pem}\n`]) {
      expect(await open(bearing(await sign({ key: 'app', exp: 60 }, utf8.encode(secret), 'HS256')))).toEqual(refused('invalid-token'))
    }
  })

  test('only the algorithm of the credential counts, whatever the token says', async () => {
    const open = await opening()
    for (const algorithm of ASYMMETRIC) {
      expect(await open(bearing(await sign({ key: 'ann-app', exp: 60 }, pairs[algorithm].privateKey, algorithm)))).toEqual(refused('invalid-token'))
    }
    expect(await open(bearing(await sign({ key: 'ann-app', exp: 60 }, utf8.encode(SECRET.repeat(2)), 'HS512')))).toEqual(refused('invalid-token'))
  })

  test('a key that the token itself brings is not used', async () => {
    const { publicKey, privateKey } = pairs.ES256
    const token = await new SignJWT({ key: 'ann-app', exp: 60 }).setProtectedHeader({ alg: 'ES256', jwk: await exportJWK(publicKey) }).sign(privateKey)
    expect(await (await opening())(bearing(token))).toEqual(refused('invalid-token'))
  })

  test('an unknown credential, a wrong secret and a changed claim are told alike', async () => {
    const open = await opening()
    const [head, , signature] = (await sign({ key: 'ann-app', exp: 60 })).split('.')
    const answers = [
      await open(bearing(await sign({ key: 'nobody', exp: 60 }))),
      await open(bearing(await sign({ key: 7, exp: 60 }))),
      await open(bearing(await sign({ exp: 60 }))),
      await open(bearing(await sign({ key: 'ann-app', exp: 60 }, utf8.encode(SECRET.replace('a', 'b'))))),
      await open(bearing(`${head}.${base64url({ key: 'ann-app', exp: 6000 })}.${signature}`)),
      await open(bearing('e30.e30.e30')),
      await open(bearing('not.a.token')),
    ]
    expect(answers).toEqual(answers.map(() => refused('invalid-token')))
    expect(new Set(answers).size).toBe(1)
  })

  test('a token counts from its nbf until just before its exp, and has to have an end', async () => {
    const open = await opening()
    expect(await open(bearing(await sign({ key: 'ann-app', exp: 0 })))).toEqual(refused('expired-token'))
    expect(await open(bearing(await sign({ key: 'ann-app', exp: 1 })))).toBeUndefined()
    expect(await open(bearing(await sign({ key: 'ann-app', exp: 60, nbf: 0 })))).toBeUndefined()
    expect(await open(bearing(await sign({ key: 'ann-app', exp: 60, nbf: 1 })))).toEqual(refused('early-token'))
    expect(await open(bearing(await sign({ key: 'ann-app' })))).toEqual(refused('endless-token'))
    expect(await open(bearing(await sign({ key: 'ann-app', exp: '60' as unknown as number })))).toEqual(refused('invalid-token'))
  })

  test('clocks may differ by the tolerance, and the session ends that much later', async () => {
    const open = await opening('{ clock_tolerance: 5s }')
    const session = bearing(await sign({ key: 'ann-app', exp: -4, nbf: 5 }))
    expect(await open(session)).toBeUndefined()
    expect(session.expiresAt).toBe(1000)
    expect(await open(bearing(await sign({ key: 'ann-app', exp: -5 })))).toEqual(refused('expired-token'))
  })

  test('a token without an end is taken only where the configuration says so', async () => {
    const session = bearing(await sign({ key: 'ann-app' }))
    expect(await (await opening('{ require_exp: false }'))(session)).toBeUndefined()
    expect(session.expiresAt).toBe(Infinity)
  })

  test('issuer and audience are held against the configuration', async () => {
    const open = await opening('{ issuer: us, audience: rpc }')
    expect(await open(bearing(await sign({ key: 'ann-app', exp: 60, iss: 'us', aud: ['web', 'rpc'] })))).toBeUndefined()
    for (const claims of [{ iss: 'them', aud: 'rpc' }, { iss: 'us', aud: 'web' }, { iss: 'us' }, { aud: 'rpc' }]) {
      expect(await open(bearing(await sign({ key: 'ann-app', exp: 60, ...claims })))).toEqual(refused('foreign-token'))
    }
  })

  test('the claim that names the credential is configurable', async () => {
    const session = bearing(await sign({ iss: 'ann-app', exp: 60 }))
    expect(await (await opening('{ key_claim_name: iss }'))(session)).toBeUndefined()
    expect(who(session)).toBe('ann')
  })

  test('a refusal says nothing of what the token holds', async () => {
    const open = await opening()
    const token = await sign({ key: 'ann-app', exp: 0, note: 'private' })
    expect(JSON.stringify(await open(bearing(token)))).not.toMatch(/private|ann/)
  })
})

describe('problems', () => {
  const problemsOf = async (credentials: readonly object[], config = '{}'): Promise<readonly string[]> => {
    const consumers = credentials.map((credential, at) => ({ username: `c${at}`, plugins: { 'jwt-auth': credential } }))
    return (await configure(plugins, `{ jsonrpc-var: {}, jwt-auth: ${config} }`, {}, `consumers: ${JSON.stringify(consumers)}`)).problems
  }

  test('credentials whose key and algorithm do not go together', async () => {
    const short = (await generateKeyPair('ES384', { extractable: true })).publicKey
    const wrong = [
      { key: 'a' },
      { key: 'a', secret: 'too short' },
      { key: 'a', secret: SECRET, public_key: pairs.RS256.pem },
      { key: 'a', algorithm: 'RS256', secret: SECRET },
      { key: 'a', algorithm: 'RS256', public_key: pairs.ES256.pem },
      { key: 'a', algorithm: 'ES256', public_key: await exportSPKI(short) },
      { key: 'a', algorithm: 'EdDSA', public_key: 'nonsense' },
      { key: 'a', algorithm: 'none', secret: SECRET },
    ]
    for (const credential of wrong) {
      const problems = await problemsOf([credential])
      expect(problems).toEqual([expect.stringContaining('consumers[0].plugins.jwt-auth')])
      expect(problems.join()).not.toContain(SECRET)
    }
  })

  test('two credentials of one name', async () => {
    expect(
      await problemsOf([
        { key: 'a', secret: SECRET },
        { key: 'a', secret: SECRET },
      ]),
    ).toEqual([expect.stringContaining('consumers[1].plugins.jwt-auth')])
  })

  test('a secret may be written in base64', async () => {
    expect(await problemsOf([{ key: 'a', secret: Buffer.alloc(32).toString('base64'), base64_secret: true }])).toEqual([])
    expect(await problemsOf([{ key: 'a', secret: Buffer.alloc(31).toString('base64'), base64_secret: true }])).toHaveLength(1)
  })

  test.each(['http://id.example.org/jwks', 'ftp://id.example.org/jwks', 'https://user:secret@id.example.org/jwks', 'nonsense'])(
    'the key set %s',
    async (url) => {
      expect(await problemsOf([], `{ jwks_url: "${url}", issuer: us, audience: rpc }`)).toEqual([expect.stringContaining('jwt-auth.jwks_url')])
    },
  )

  test('a key set without an issuer is a problem, without an audience a warning', async () => {
    const { problems, warnings } = await configure(plugins, '{ jsonrpc-var: {}, jwt-auth: { jwks_url: "https://id.example.org/jwks" } }')
    expect(problems).toEqual([expect.stringContaining('jwt-auth.issuer')])
    expect(warnings).toEqual([expect.stringContaining('jwt-auth.audience')])
  })
})

describe('tokens of an identity provider', () => {
  let url: string
  let status = 200
  const server = createServer((_request, response) => {
    void jwks().then((document) => response.writeHead(status).end(document))
  })

  async function jwks(): Promise<string> {
    const keys = await Promise.all(ASYMMETRIC.map(async (alg) => ({ ...(await exportJWK(pairs[alg].publicKey)), kid: `${alg}-1`, alg, use: 'sig' })))
    return JSON.stringify({ keys })
  }

  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(() => {
    server.close()
  })

  const known = 'consumers: [{ username: ann }, { username: bob, disabled: true }]'
  const provider = (path: string, more = ''): string => `{ jwks_url: "${url}/${path}", issuer: idp, audience: rpc ${more} }`
  const claims = { iss: 'idp', aud: 'rpc', sub: 'ann', exp: 60 }

  test.each(ASYMMETRIC)('%s with the key that the token names', async (alg) => {
    const open = await opening(provider('any'), known)
    const session = bearing(await sign(claims, pairs[alg].privateKey, alg, `${alg}-1`))
    expect(await open(session)).toBeUndefined()
    expect(who(session)).toBe('ann')
    expect(session.expiresAt).toBe(60_000)
  })

  test('a token that names a key of another kind, an unknown key, or uses an algorithm that is not accepted', async () => {
    const open = await opening(provider('any', ', algorithms: [RS256, ES256]'), known)
    const answers = [
      await open(bearing(await sign(claims, pairs.RS256.privateKey, 'RS256', 'ES256-1'))),
      await open(bearing(await sign(claims, pairs.RS256.privateKey, 'RS256', 'RS256-2'))),
      await open(bearing(await sign(claims, pairs.EdDSA.privateKey, 'EdDSA', 'EdDSA-1'))),
      await open(bearing(await sign(claims, utf8.encode(pairs.RS256.pem), 'HS256', 'RS256-1'))),
    ]
    expect(answers).toEqual(answers.map(() => refused('invalid-token')))
  })

  test('nobody, a disabled consumer and a claim that is no name are told alike', async () => {
    const open = await opening(provider('any'), known)
    for (const sub of ['nobody', 'bob', '__proto__', 7 as unknown as string]) {
      expect(await open(bearing(await sign({ ...claims, sub }, pairs.ES256.privateKey, 'ES256', 'ES256-1')))).toEqual(refused('unknown-consumer'))
    }
  })

  test('the claim with the name is configurable', async () => {
    const open = await opening(provider('any', ', consumer_claim: azp'), known)
    const session = bearing(await sign({ ...claims, sub: 'x', azp: 'ann' }, pairs.ES256.privateKey, 'ES256', 'ES256-1'))
    expect(await open(session)).toBeUndefined()
    expect(who(session)).toBe('ann')
  })

  test('while no key can be had, the answer is to try again, not that the token is bad', async () => {
    status = 500
    onTestFinished(() => {
      status = 200
    })
    const open = await opening(provider('down'), known)
    const answer = await open(bearing(await sign(claims, pairs.ES256.privateKey, 'ES256', 'ES256-1')))
    expect(answer).toMatchObject({ name: 'internal', status: 503, why: 'keys-unavailable', retryAfterMs: 1000 })
  })
})

describe('in a gateway', () => {
  let node: ScriptedNode
  let gateway: TestGateway
  const call = '{"jsonrpc":"2.0","id":7,"method":"eth_chainId"}'
  const soon = (seconds: number): number => Math.floor(Date.now() / 1000) + seconds

  /** ann signs tokens, kim has a key; the route takes either. */
  const config = (consumers: readonly object[]) => ({
    ...basic({ nodeUrl: node.url, plugins: { 'jwt-auth': { required: false }, 'ws-jsonrpc-proxy': { mode: 'http' } } }),
    consumers,
  })
  const annEntry = { username: 'ann', plan: 'free', plugins: { 'jwt-auth': { key: 'ann-app', secret: SECRET } } }
  const kimEntry = { username: 'kim', plan: 'free', plugins: { 'key-auth': { key: 'kim-key' } } }

  beforeAll(async () => {
    node = await startScriptedNode()
    gateway = await startTestGateway(config([annEntry, kimEntry]), { files: basicFiles })
  })
  afterAll(async () => {
    await gateway.stop()
    await node.stop()
  })

  async function connected(token: string): Promise<WebSocket> {
    const socket = new WebSocket(`${gateway.wsUrl}/eth`, ['jsonrpc', `bearer.${token}`])
    onTestFinished(() => socket.terminate())
    await once(socket, 'open')
    return socket
  }

  test('a route may take tokens and keys, and says what it misses when it gets neither', async () => {
    const token = await sign({ key: 'ann-app', exp: soon(60) })
    expect((await gateway.post('/eth', call, { authorization: `Bearer ${token}` })).status).toBe(200)
    expect((await gateway.post('/eth', call, { authorization: 'Bearer kim-key' })).status).toBe(200)
    const refusals = [await gateway.post('/eth', call), await gateway.post('/eth', call, { authorization: 'Bearer e30.e30.e30', apikey: 'kim-key' })]
    expect(refusals.map(({ status }) => status)).toEqual([401, 401])
    expect(refusals.map(({ json }) => json)).toMatchObject([
      { id: 7, error: { code: -32002, message: 'Missing API key found in request' } },
      { id: 7, error: { code: -32002, data: { reason: 'invalid-token' } } },
    ])
  })

  test('a token reaches neither the node nor the log', async () => {
    const token = await sign({ key: 'ann-app', exp: soon(60) })
    await gateway.post(`/eth?jwt=${token}`, call)
    const seen = JSON.stringify([node.requests, await gateway.logged()])
    for (const part of token.split('.')) expect(seen).not.toContain(part)
  })

  test('a WebSocket ends with 4401 when its token does', async () => {
    const socket = await connected(await sign({ key: 'ann-app', exp: soon(2) }))
    expect(socket.protocol).toBe('jsonrpc')
    socket.send(call)
    const [answer] = (await once(socket, 'message')) as [Buffer]
    expect(JSON.parse(answer.toString())).toMatchObject({ id: 7, result: { method: 'eth_chainId' } })
    const [code] = (await once(socket, 'close')) as [number]
    expect(code).toBe(4401)
  })

  test('a WebSocket ends with 4401 as soon as its credential is withdrawn', async () => {
    const socket = await connected(await sign({ key: 'ann-app', exp: soon(60) }))
    const closed = once(socket, 'close') as Promise<[number, Buffer]>
    await gateway.write('gateway.yaml', config([kimEntry]))
    expect(await gateway.reload()).toBe(true)
    const [code, reason] = await closed
    expect([code, reason.toString()]).toEqual([4401, 'invalid-token'])
  })
})
