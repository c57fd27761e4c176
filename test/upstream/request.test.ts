/** What a node is sent, and over which connections. */
import { describe, expect, test } from 'vitest'
import { RpcRequest } from '../../core/jsonrpc/frame.ts'
import { nodeTest } from '../support/certificate.ts'
import { answer, drip, hang, http, raw } from '../support/scripted-node.ts'
import { ask, brief, call, context, nodes, oneNode, settings, turn, upstreamOf } from './fixture.ts'
import type { UpstreamRequest } from '../../core/plugin/session.ts'
import type { UpstreamSpec } from '../../core/upstream/spec.ts'
import type { NodeRequest, ScriptedNode } from '../support/scripted-node.ts'

/** What the node got for one call; `path` is put behind its URL. */
async function sent(node: ScriptedNode, path: string, rewrite: Partial<UpstreamRequest> = {}, changes: Partial<UpstreamSpec> = {}): Promise<NodeRequest> {
  const outcomes = await upstreamOf([node.url + path], changes).exchange([call()], context(rewrite))
  expect(brief(outcomes[0])).toMatch(/^result /)
  return node.requests.at(-1)!
}

describe('the body', () => {
  test('one call travels as an object, with an id of ours and the source text of its params', async () => {
    const node = await oneNode()
    const params = '[ {"a":1.0e+2,"a":-0}, "\\ud800", "\u00c3\u00a9", 12345678901234567890123456789012345678901 ]'
    await upstreamOf([node.url]).exchange([call('eth_call', params)], context())
    expect(node.requests[0]!.body).toBe(`{"jsonrpc":"2.0","id":1,"method":"eth_call","params":${params}}`)
  })

  test('a call without params is sent without params', async () => {
    const node = await oneNode()
    await upstreamOf([node.url]).exchange([new RpcRequest('1', 'net_version', '"net_version"', undefined)], context())
    expect(node.requests[0]!.body).toBe('{"jsonrpc":"2.0","id":1,"method":"net_version"}')
  })

  test('several calls travel as one batch, and no id comes twice', async () => {
    const node = await oneNode()
    const upstream = upstreamOf([node.url])
    await ask(upstream, 'eth_call', 'eth_getLogs')
    await ask(upstream, 'eth_call', 'eth_getLogs')
    expect(node.requests.map((request) => request.isBatch)).toEqual([true, true])
    expect(node.calls.map(({ id, method }) => [id, method])).toEqual([
      ['1', 'eth_call'],
      ['2', 'eth_getLogs'],
      ['3', 'eth_call'],
      ['4', 'eth_getLogs'],
    ])
  })

  test('no calls are answered without asking a node', async () => {
    const node = await oneNode()
    expect(await upstreamOf([node.url]).exchange([], context())).toEqual([])
    expect(node.requests).toEqual([])
  })
})

describe('the result', () => {
  test.each([
    ['a number of 40 digits', '1234567890123456789012345678901234567890'],
    ['minus zero and exponents', '[-0, 1e3, 1E+03, 0.10]'],
    ['half a surrogate pair', '"\\ud83d"'],
    ['escapes and white space', '{ "a" :\t"\\u0041\\/" }'],
    ['a member that stands twice', '{"a":1,"a":2,"__proto__":3}'],
    ['characters outside of ASCII', '"\u00c3\u00a9\u00e2\u0082\u00ac"'],
  ])('comes back byte for byte: %s', async (_what, result) => {
    const node = await oneNode()
    node.results.set('eth_call', result)
    expect(await ask(upstreamOf([node.url]), 'eth_call')).toEqual([`result ${result}`])
    expect(await ask(upstreamOf([node.url]), 'eth_call', 'eth_call')).toEqual([`result ${result}`, `result ${result}`])
  })

  test('stays bytes where it is large, in a batch too', async () => {
    const node = await oneNode()
    const large = `"${'0123456789abcdef'.repeat(20_000)}"`
    node.results.set('eth_getLogs', large)
    const outcomes = await upstreamOf([node.url]).exchange([call('eth_getLogs'), call('eth_call')], context())
    expect(outcomes[0]).toMatchObject({ kind: 'result', payload: expect.any(Uint8Array) })
    expect(brief(outcomes[0])).toBe(`result ${large}`)
    expect(outcomes[1]).toMatchObject({ kind: 'result', payload: expect.any(String) })
  })
})

describe('the head', () => {
  test('has what a JSON-RPC request needs, and nothing else', async () => {
    const node = await oneNode()
    const { httpMethod, path, headers, headerNames, body } = await sent(node, '')
    expect([httpMethod, path]).toEqual(['POST', '/'])
    expect(headerNames.toSorted()).toEqual(['accept', 'accept-encoding', 'connection', 'content-length', 'content-type', 'host', 'user-agent'])
    expect(headers).toEqual({
      host: `127.0.0.1:${node.port}`,
      connection: 'keep-alive',
      'content-type': 'application/json',
      accept: 'application/json',
      'user-agent': 'tollgate/1.2.3',
      'accept-encoding': 'gzip',
      'content-length': String(body.length),
    })
  })

  test('counts bytes, not characters', async () => {
    const node = await oneNode()
    await upstreamOf([node.url]).exchange([call('eth_call', '["\u00c3\u00a9"]')], context())
    const { body, headers } = node.requests[0]!
    expect(headers['content-length']).toBe(String(body.length))
    expect(body).toContain('"\u00c3\u00a9"')
  })

  test('asks for gzip only where the upstream may', async () => {
    const node = await oneNode()
    expect((await sent(node, '', {}, { gzip: false })).headers).not.toHaveProperty('accept-encoding')
  })

  test("has the path, the query and the credentials of the node's URL", async () => {
    const node = await oneNode()
    const url = node.url.replace('//', '//us%40er:p%3Ass%@')
    await upstreamOf([`${url}/v1/mainnet?token=secret`]).exchange([call()], context())
    const { path, headers } = node.requests[0]!
    expect(path).toBe('/v1/mainnet?token=secret')
    expect(Buffer.from(headers['authorization']!.replace('Basic ', ''), 'base64').toString()).toBe('us@er:p:ss%'.replace('p:ss%', 'p%3Ass%'))
  })

  test('follows a rewrite', async () => {
    const node = await oneNode()
    const rewritten = await sent(node, '/own?q=1', { path: '/other?x=2', host: 'node.example', headers: { 'x-tier': 'paid', 'user-agent': 'mine' } })
    expect(rewritten.path).toBe('/other?x=2')
    expect(rewritten.headers).toMatchObject({ host: 'node.example', 'x-tier': 'paid', 'user-agent': 'mine', accept: 'application/json' })
    expect((await sent(node, '/own?q=1')).headers).not.toHaveProperty('x-tier')
  })

  test.each(['accept-encoding', 'connection', 'content-length', 'expect', 'host', 'transfer-encoding', 'upgrade'])(
    'keeps %s, whatever a rewrite says',
    async (name) => {
      const node = await oneNode()
      const plain = await sent(node, '')
      const rewritten = await sent(node, '', { headers: { [name]: '17' } })
      expect(rewritten.headers[name]).toBe(plain.headers[name])
    },
  )

  test.each<[string, Partial<UpstreamRequest>]>([
    ['a line break in a header', { headers: { 'x-a': 'b\r\nx-c: d' } }],
    ['a header name that is none', { headers: { 'x a': 'b' } }],
    ['a line break in the host', { host: 'a\r\nb' }],
    ['a line break in the path', { path: '/a\r\nx-c: d' }],
    ['another server in the path', { path: 'http://127.0.0.1/' }],
    ['a path without a slash', { path: 'a' }],
  ])('is not written with %s', async (_what, rewrite) => {
    const node = await oneNode()
    const outcomes = await upstreamOf([node.url]).exchange([call()], context(rewrite))
    expect(brief(outcomes[0])).toBe('internal bad-rewrite')
    expect(node.requests).toEqual([])
  })
})

describe('connections', () => {
  test('are kept and used again', async () => {
    const node = await oneNode()
    const upstream = upstreamOf([node.url])
    for (let i = 0; i < 5; i++) {
      await ask(upstream, 'eth_call')
      await turn()
    }
    expect(node.connections).toBe(1)
    expect(node.requests).toHaveLength(5)
  })

  test('are as many as there are calls at once, up to the limit', async () => {
    const node = await oneNode()
    const upstream = upstreamOf([node.url], { maxConnections: 3 })
    node.script((request, socket) => void setTimeout(() => answer(request, socket, node), 20))
    const outcomes = await Promise.all(Array.from({ length: 12 }, () => ask(upstream, 'eth_call')))
    expect(outcomes.flat().every((outcome) => outcome.startsWith('result'))).toBe(true)
    expect(node.connections).toBe(3)
  })

  test('a call that waits in vain for a free one is told so', async () => {
    const node = await oneNode()
    const upstream = upstreamOf([node.url], { maxConnections: 1, readTimeoutMs: 200, totalTimeoutMs: 5000 })
    node.script(drip('HTTP/1.1 200 OK\r\n\r\n', ' ', 10))
    const holder = context()
    const held = upstream.exchange([call()], holder)
    await node.arrived(1)
    expect(await ask(upstream, 'eth_call')).toEqual(['upstreamTimeout no-connection'])
    holder.running?.cancel()
    await held
    await node.deserted()
    expect(node.requests).toHaveLength(1)
  })

  test('an answer to nobody spoils its connection and no call', async () => {
    const node = await oneNode()
    const upstream = upstreamOf([node.url])
    const stray = http('{"jsonrpc":"2.0","id":2,"result":"stray"}')
    node.next(raw(http('{"jsonrpc":"2.0","id":1,"result":1}') + stray))
    expect(await ask(upstream, 'eth_call')).toEqual(['result 1'])
    expect(await ask(upstream, 'eth_call')).toEqual(['result {"method":"eth_call","params":[]}'])
    expect(node.connections).toBe(2)
  })

  test('an answer that comes before its call is nobody’s', async () => {
    const node = await oneNode()
    const upstream = upstreamOf([node.url])
    node.next((request, socket) => {
      answer(request, socket, node)
      setTimeout(() => socket.write(http('{"jsonrpc":"2.0","id":2,"result":"early"}')), 30)
    })
    expect(await ask(upstream, 'eth_call')).toEqual(['result {"method":"eth_call","params":[]}'])
    await node.deserted()
    expect(await ask(upstream, 'eth_call')).toEqual(['result {"method":"eth_call","params":[]}'])
  })

  test('one that the node closes after its answer is not used again', async () => {
    const node = await oneNode()
    const upstream = upstreamOf([node.url])
    node.next((request, socket) => void socket.end(http(`{"id":${request.calls[0]!.id},"result":1}`, 200, { connection: 'close' })))
    expect(await ask(upstream, 'eth_call')).toEqual(['result 1'])
    expect(await ask(upstream, 'eth_call')).toEqual(['result {"method":"eth_call","params":[]}'])
    expect(node.connections).toBe(2)
  })

  test('one that cannot be made is told at once', async () => {
    const node = await oneNode()
    await node.stop()
    expect(await ask(upstreamOf([node.url]), 'eth_call', 'eth_getLogs')).toEqual(['upstreamUnavailable connect-failed', 'upstreamUnavailable connect-failed'])
    expect(await ask(upstreamOf(['http://no-such-host.invalid']), 'eth_call')).toEqual(['upstreamUnavailable connect-failed'])
  })

  test('one that takes too long is given up', async () => {
    const node = await oneNode()
    const upstream = upstreamOf([node.url.replace('http', 'https')], { connectTimeoutMs: 150 })
    expect(await ask(upstream, 'eth_call')).toEqual(['upstreamTimeout connect-timeout'])
    await node.deserted()
  })

  test('reach says whether one can be made', async () => {
    const [up, down] = await nodes(2)
    await down!.stop()
    expect(await upstreamOf([down!.url]).reach(settings())).toBe(false)
    expect(await upstreamOf([down!.url, up!.url]).reach(settings())).toBe(true)
  })

  test('messages tell neither the URL of a node nor its credentials', async () => {
    const [silent, closed] = await nodes(2)
    silent!.script(hang)
    await closed!.stop()
    for (const { url } of [silent!, closed!]) {
      const upstream = upstreamOf([`${url.replace('//', '//user:hunter2@')}/secret-path`], { readTimeoutMs: 100 })
      const text = JSON.stringify(await upstream.exchange([call()], context()))
      for (const secret of ['127.0.0.1', 'hunter2', 'secret-path', new URL(url).port]) expect(text).not.toContain(secret)
    }
  })
})

describe('https', () => {
  const options = { tls: nodeTest }

  test('a node with a certificate that is trusted is asked', async () => {
    const node = await oneNode(options)
    const upstream = upstreamOf([node.url], { tls: { ca: nodeTest.cert, servername: 'node.test', verify: true } })
    expect(await ask(upstream, 'eth_call')).toEqual(['result {"method":"eth_call","params":[]}'])
  })

  test('a rewritten host does not change whose certificate is taken', async () => {
    const node = await oneNode(options)
    const upstream = upstreamOf([node.url], { tls: { ca: nodeTest.cert, servername: 'node.test', verify: true } })
    for (const host of ['a.example', 'b.example']) {
      expect(brief((await upstream.exchange([call()], context({ host })))[0])).toMatch(/^result /)
      await turn()
    }
    expect(node.connections).toBe(1)
  })

  test.each<[string, UpstreamSpec['tls']]>([
    ['nobody vouches for', undefined],
    ['carries another name', { ca: nodeTest.cert, servername: 'other.test', verify: true }],
  ])('a certificate that %s is refused', async (_what, tls) => {
    const node = await oneNode(options)
    expect(await ask(upstreamOf([node.url], { tls }), 'eth_call')).toEqual(['upstreamUnavailable connect-failed'])
    expect(node.requests).toEqual([])
  })

  test('any certificate is taken where the upstream says so', async () => {
    const node = await oneNode(options)
    expect(await ask(upstreamOf([node.url], { tls: { ca: undefined, servername: undefined, verify: false } }), 'eth_call')).toEqual([
      'result {"method":"eth_call","params":[]}',
    ])
  })
})
