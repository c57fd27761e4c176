import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { plugins } from '../../plugins/index.ts'
import { askingSession, headersOf } from '../support/asking-session.ts'
import { configure } from '../support/configured.ts'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'
import type { TestGateway } from '../support/gateway.ts'

const PAGE = 'https://app.example.org'

interface Opened {
  /** What ended the session, if anything did. */
  readonly answer: unknown
  /** Headers that any answer to it carries. */
  readonly headers: Readonly<Record<string, string | number>>
}

async function opened(config: string, headers: Record<string, string>, httpMethod = 'POST'): Promise<Opened> {
  const plugin = (await configure(plugins, `{ jsonrpc-var: {}, cors: ${config} }`)).plugin('cors')
  const session = askingSession({ httpMethod, headers })
  return { answer: plugin.open!(session), headers: headersOf(session) }
}

const from = (origin: string): Record<string, string> => ({ origin })
const preflight = (config: string, origin: string): Promise<Opened> =>
  opened(config, { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' }, 'OPTIONS')

describe('an answer', () => {
  test('may be read by every page when nothing else is said', async () => {
    const { answer, headers } = await opened('{}', from(PAGE))
    expect(answer).toBeUndefined()
    expect(headers).toMatchObject({ 'Access-Control-Allow-Origin': '*' })
    expect(headers['Access-Control-Expose-Headers']).toContain('X-RateLimit-Remaining')
    expect(headers).not.toHaveProperty('Vary')
  })

  test('to whoever is no page is as ever', async () => {
    expect(await opened('{}', {})).toEqual({ answer: undefined, headers: {} })
  })

  test('names the page where origins are listed, and varies by it also for others', async () => {
    const config = `{ allow_origins: [${PAGE}, "http://localhost:5173"] }`
    expect((await opened(config, from(PAGE))).headers).toMatchObject({ 'Access-Control-Allow-Origin': PAGE, Vary: 'Origin' })
    for (const other of ['https://app.example.org.evil.io', 'http://app.example.org', 'https://app.example.org:8443', 'null']) {
      expect(await opened(config, from(other))).toEqual({ answer: undefined, headers: { Vary: 'Origin' } })
    }
    expect((await opened(config, {})).headers).toEqual({ Vary: 'Origin' })
  })

  test('a list may be written with commas', async () => {
    const config = `{ allow_origins: "https://a.example, ${PAGE}" }`
    expect((await opened(config, from(PAGE))).headers).toHaveProperty('Access-Control-Allow-Origin', PAGE)
  })

  test('a pattern has to fit the whole origin', async () => {
    const config = String.raw`{ allow_origins: [], allow_origins_by_regex: ['https://[a-z]+\.example\.org'] }`
    expect((await opened(config, from(PAGE))).headers).toHaveProperty('Access-Control-Allow-Origin', PAGE)
    for (const other of [`${PAGE}.evil.io`, `https://evil.io/${PAGE}`, `x${PAGE}`]) {
      expect((await opened(config, from(other))).headers).not.toHaveProperty('Access-Control-Allow-Origin')
    }
  })

  test('allows cookies only when told to', async () => {
    expect((await opened(`{ allow_origins: [${PAGE}] }`, from(PAGE))).headers).not.toHaveProperty('Access-Control-Allow-Credentials')
    expect((await opened(`{ allow_origins: [${PAGE}], allow_credential: true }`, from(PAGE))).headers).toHaveProperty(
      'Access-Control-Allow-Credentials',
      'true',
    )
  })
})

describe('a preflight', () => {
  test('is answered with what is allowed', async () => {
    expect((await preflight('{ max_age: 60, allow_headers: [Content-Type, apikey] }', PAGE)).answer).toEqual({
      kind: 'http',
      status: 204,
      headers: {
        'Access-Control-Allow-Origin': '*',
        'Access-Control-Allow-Methods': 'POST',
        'Access-Control-Allow-Headers': 'Content-Type, apikey',
        'Access-Control-Max-Age': '60',
      },
    })
  })

  test('of a page that is not allowed is answered with nothing allowed', async () => {
    expect((await preflight(`{ allow_origins: [${PAGE}] }`, 'https://evil.io')).answer).toEqual({ kind: 'http', status: 204, headers: { Vary: 'Origin' } })
  })

  test('is told from an OPTIONS that asks nothing', async () => {
    expect((await opened('{}', from(PAGE), 'OPTIONS')).answer).toBeUndefined()
    expect((await opened('{}', { 'access-control-request-method': 'POST' }, 'OPTIONS')).answer).toBeUndefined()
  })
})

test.each([
  ['{ allow_credential: true }', ['cors.allow_origins: may not be *']],
  [`{ allow_credential: true, allow_origins: [${PAGE}], allow_headers: ["*"], allow_methods: ["*"] }`, ['cors.allow_methods', 'cors.allow_headers']],
  ['{ allow_origins: ["https://a.example/", "https://b.example"] }', ['cors.allow_origins[0]: must be']],
  ['{ allow_origins: example.org }', ['cors.allow_origins: must be']],
  ['{ allow_origins_by_regex: ["("] }', ['cors.allow_origins_by_regex[0]: is not a regular expression']],
  ['{ expose_headers: ["X-A\\r\\nSet-Cookie: a=b"] }', ['cors.expose_headers[0]']],
])('%s is a problem', async (config, expected) => {
  const { problems } = await configure(plugins, `{ jsonrpc-var: {}, cors: ${config} }`)
  expect(problems).toHaveLength(expected.length)
  for (const [at, text] of expected.entries()) expect(problems[at]).toContain(text)
})

describe('in a gateway', () => {
  let node: ScriptedNode
  let gateway: TestGateway
  beforeAll(async () => {
    node = await startScriptedNode()
    gateway = await startTestGateway(basic({ nodeUrl: node.url, plugins: { cors: { allow_origins: [PAGE] } } }), { files: basicFiles })
  })
  afterAll(async () => {
    await gateway.stop()
    await node.stop()
  })

  test('a preflight needs no key', async () => {
    const headers = { origin: PAGE, 'access-control-request-method': 'POST', 'access-control-request-headers': 'apikey,content-type' }
    const response = await fetch(`${gateway.url}/eth`, { method: 'OPTIONS', headers })
    expect(response.status).toBe(204)
    expect(await response.text()).toBe('')
    expect(response.headers.get('access-control-allow-origin')).toBe(PAGE)
    expect(response.headers.get('access-control-allow-headers')).toMatch(/\bapikey\b/)
  })

  test('a page can read a refusal', async () => {
    const { status, headers } = await gateway.post('/eth', '{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}', { origin: PAGE })
    expect(status).toBe(401)
    expect(headers.get('access-control-allow-origin')).toBe(PAGE)
    expect(headers.get('vary')).toMatch(/^Origin\b/)
  })
})
