import { expect, test } from 'vitest'
import { plugins } from '../../plugins/index.ts'
import { askingSession, headersOf } from '../support/asking-session.ts'
import { configure } from '../support/configured.ts'
import type { LiveSession } from '../../core/pipeline/session.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

async function opened(headers: Record<string, string>, config = '{}'): Promise<LiveSession> {
  const plugin = (await configure(plugins, `{ jsonrpc-var: {}, request-id: ${config} }`)).plugin('request-id')
  const session = askingSession({ headers })
  expect(plugin.open!(session)).toBeUndefined()
  return session
}

test('a request without a name is given a UUID of its own, and is told', async () => {
  const [one, two] = [await opened({}), await opened({})]
  expect(one.requestId).toMatch(UUID)
  expect(one.requestId).not.toBe(two.requestId)
  expect(headersOf(one)).toEqual({ 'X-Request-Id': one.requestId })
})

test.each(['a', 'trace:1.2_3-4', 'x'.repeat(64)])("a client's plain name is taken over: %s", async (name) => {
  const session = await opened({ 'x-request-id': name })
  expect(session.requestId).toBe(name)
  expect(headersOf(session)).toEqual({ 'X-Request-Id': name })
})

test.each(['', 'x'.repeat(65), 'a b', 'a\u0000', 'ä', '{"a":1}', '$(id)', 'a, b', 'a\n'])('a name that is not plain is not: %j', async (name) => {
  expect((await opened({ 'x-request-id': name })).requestId).toMatch(UUID)
})

test('the header may be another, and may be kept from the client', async () => {
  const session = await opened({ 'x-correlation-id': 'abc' }, '{ header_name: X-Correlation-Id, include_in_response: false }')
  expect(session.requestId).toBe('abc')
  expect(headersOf(session)).toEqual({})
})

test("the gateway's own number may stay the name", async () => {
  const session = await opened({}, '{ algorithm: counter }')
  expect(session.requestId).toBe('request')
  expect(headersOf(session)).toEqual({ 'X-Request-Id': 'request' })
})

test('a WebSocket that is judged anew keeps its name', async () => {
  const plugin = (await configure(plugins, '{ jsonrpc-var: {}, request-id: {} }')).plugin('request-id')
  const session = askingSession({ scheme: 'ws' })
  void plugin.open!(session)
  const name = session.requestId
  session.reset(session.destination)
  void plugin.open!(session)
  expect(session.requestId).toBe(name)
})

test.each(['Date', 'connection', 'Content-Length'])("a header that is the gateway's own to say is a fault of the configuration: %s", async (name) => {
  const { problems } = await configure(plugins, `{ jsonrpc-var: {}, request-id: { header_name: ${name} } }`)
  expect(problems).toEqual([expect.stringContaining("is the gateway's own to say")])
  expect((await configure(plugins, `{ jsonrpc-var: {}, request-id: { header_name: ${name}, include_in_response: false } }`)).problems).toEqual([])
})
