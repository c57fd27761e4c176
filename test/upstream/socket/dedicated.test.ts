/** A socket to a node for each client: what closes one side closes the other, and what comes on it is that client's. */
import { describe, expect, test } from 'vitest'
import { brief, call, nodeOf, settings } from '../fixture.ts'
import { silence } from '../../support/scripted-socket-node.ts'
import { socketNode, socketUpstream, until } from './fixture.ts'
import type { UpstreamChanges } from './fixture.ts'

const OPEN = 'tollgate_upstream_sockets{upstream="test",purpose="dedicated"}'

async function dedicated(changes: UpstreamChanges = {}) {
  const node = await socketNode()
  const made = socketUpstream([node], changes)
  return { node, ...made, client: (more = {}) => made.client({ mode: 'dedicated', ...more }) }
}

test('each client has one socket, opened by its first call and closed with it', async () => {
  const { node, client, metric } = await dedicated()
  const [one, other] = [client(), client()]
  expect(node.handshakes).toHaveLength(0)
  await Promise.all([one.ask('eth_call'), one.ask('eth_call'), other.ask('eth_call')])
  await one.send(call('eth_call'), call('net_version'))
  expect(node.handshakes).toHaveLength(2)
  expect(await metric(OPEN)).toBe(2)
  one.leave(1000, 'done')
  await node.until(() => node.closes.length === 1)
  expect(node.closes).toEqual([[1000, 'done']])
  expect(await metric(OPEN)).toBe(1)
})

test('ids are ours, params and results as they are', async () => {
  const { node, client } = await dedicated()
  expect(await client().ask('eth_call', '[ 1e3 ]')).toBe('result {"method":"eth_call","params":[1000]}')
  expect(node.calls[0]!.text).toBe('{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[ 1e3 ]}')
})

test.each([
  [1000, 1000],
  [1001, 1001],
  [1008, 1008],
  [1009, 1009],
  [1011, 1011],
  [1013, 1013],
  [4001, 4001],
  [3000, 3000],
  [1002, 1011],
  [1003, 1011],
  [1007, 1011],
  [1010, 1011],
  [1012, 1011],
  [1014, 1011],
])('a node that closes with %i closes the client with %i, and says why', async (code, passed) => {
  const { node, client } = await dedicated()
  const one = client()
  await one.ask('eth_call')
  for (const socket of node.sockets) socket.close(code, 'because')
  await until(() => one.closed !== undefined)
  expect(one.closed).toEqual([passed, 'because'])
})

test('a node that closes without a code closes the client normally, and one that is lost with an error', async () => {
  const { node, client } = await dedicated()
  const [one, other] = [client(), client()]
  await one.ask('eth_call')
  for (const socket of node.sockets) socket.close()
  await until(() => one.closed !== undefined)
  await other.ask('eth_call')
  node.cut()
  await until(() => other.closed !== undefined)
  expect([one.closed![0], other.closed![0]]).toEqual([1000, 1011])
})

test.each([
  [1000, 1000],
  [1001, 1001],
  [1008, 1008],
  [1013, 1013],
  [4999, 4999],
  [1002, 1001],
  [1006, 1001],
  [1015, 1001],
])('a client that closes with %i closes the node with %i', async (code, passed) => {
  const { node, client } = await dedicated()
  const one = client()
  await one.ask('eth_call')
  one.leave(code, 'bye')
  await node.until(() => node.closes.length === 1)
  expect(node.closes).toEqual([[passed, 'bye']])
})

test('an answer that is too large closes with 1009', async () => {
  const { node, client } = await dedicated({ maxAnswerBytes: 1000 })
  const one = client()
  await one.ask('eth_call')
  node.say('x'.repeat(1001))
  await until(() => one.closed !== undefined)
  expect(one.closed![0]).toBe(1009)
})

describe('subscriptions', () => {
  test('are one at the node for each client, under the id of the node, as the client wrote them', async () => {
    const { node, client, metric } = await dedicated()
    const [one, other] = [client(), client()]
    const ids = await Promise.all([one.subscribe('[ "newHeads" ]'), other.subscribe('["newHeads"]')])
    expect(ids.map((id) => JSON.parse(id) as string).toSorted()).toEqual([...node.subscriptions.keys()].toSorted())
    expect(node.callsTo('eth_subscribe').some(({ text }) => text.endsWith('"params":[ "newHeads" ]}'))).toBe(true)
    node.chain.mine(2)
    await until(() => one.heads(ids[0]).length === 2 && other.heads(ids[1]).length === 2)
    expect(one.notifications[0]).toMatchObject({ subscribeMethod: 'eth_subscribe', topic: 'newHeads' })
    expect(await metric('tollgate_upstream_subscriptions{upstream="test"}')).toBe(2)
    expect(await one.ask('eth_unsubscribe', `[${ids[0]}]`)).toBe('result true')
    expect(await one.ask('eth_unsubscribe', `[${ids[0]}]`)).toBe('result false')
    other.leave()
    expect(await metric('tollgate_upstream_subscriptions{upstream="test"}')).toBe(0)
    expect(await metric('tollgate_client_subscriptions{upstream="test"}')).toBe(0)
  })

  test('are answered before their first notification', async () => {
    const { node, client } = await dedicated()
    node.handlers.set('eth_subscribe', ({ id }) => {
      const push = (n: number): string => `{"method":"eth_subscription","params":{"subscription":"0x77","result":{"number":"0x${n}"}}}`
      return [push(1), `{"id":${id},"result":"0x77"}`, push(2)]
    })
    const one = client()
    await one.subscribe()
    await until(() => one.notifications.length === 2)
    expect(one.received[0]).toMatch(/^answer/)
    expect(one.heads()).toEqual([1, 2])
  })

  test('are bounded', async () => {
    const { client } = await dedicated()
    const one = client({ maxSubscriptions: 1 })
    await one.subscribe()
    expect(await one.ask('eth_subscribe', '["x"]')).toBe('limited too-many-subscriptions')
  })
})

describe('a call', () => {
  test('in flight on a lost socket fails', async () => {
    const { node, client } = await dedicated({ retries: 1 })
    node.handlers.set('eth_call', silence)
    const one = client()
    const asked = one.ask('eth_call')
    await node.until(() => node.calls.length === 1)
    node.cut()
    expect(await asked).toMatch(/connection-lost|client-gone/)
  })

  test('is given up after its time', async () => {
    const { node, client } = await dedicated({ readTimeoutMs: 50 })
    node.handlers.set('eth_call', silence)
    expect(await client().ask('eth_call')).toBe('upstreamTimeout read-timeout')
  })

  test('of a client that has gone is dropped', async () => {
    const { node, client, metric } = await dedicated()
    node.handlers.set('eth_call', silence)
    const one = client()
    const asked = one.ask('eth_call')
    await node.until(() => node.calls.length === 1)
    one.leave()
    expect(await asked).toBe('upstreamUnavailable client-gone')
    expect(await metric('tollgate_upstream_in_flight{upstream="test"}')).toBe(0)
  })

  test('tries another node where the first cannot be reached, and fails where none can', async () => {
    const [down, up] = [await socketNode(), await socketNode()]
    await down.die()
    const { client } = socketUpstream([down, up])
    for (let i = 0; i < 4; i++) expect(await client({ mode: 'dedicated' }).ask('eth_call')).toContain('result')
    await up.die()
    const one = client({ mode: 'dedicated' })
    expect(await one.ask('eth_call')).toBe('upstreamUnavailable connect-failed')
    expect(one.closed).toBeUndefined()
    await up.start()
    expect(await one.ask('eth_call')).toContain('result')
  })

  test('that a client leaves behind while the socket is opened is not sent', async () => {
    const { node, client } = await dedicated()
    const one = client()
    const asked = one.ask('eth_call')
    one.leave()
    expect(await asked).toMatch(/client-gone|connection-lost/)
    expect(node.calls).toEqual([])
  })
})

test('without a WebSocket address of any node calls go over HTTP', async () => {
  const node = await socketNode()
  const { client, upstream } = socketUpstream([node], { nodes: [nodeOf(node.url)] })
  expect(await upstream.reach(settings({ mode: 'dedicated' }))).toBe(true)
  expect(await client({ mode: 'dedicated' }).ask('eth_call')).toContain('result')
})

describe('a session that asks for a path or headers of its own', () => {
  test('has a socket of its own for its subscriptions', async () => {
    const { node, upstream, parts } = await dedicated()
    expect(parts.version).toBe('1.2.3')
    const shared = socketUpstream([node]).client()
    shared.upstream = upstream
    shared.rewrite = { path: '/own?key=1', host: 'node.example', headers: { 'x-tenant': 'a', upgrade: 'no', 'sec-websocket-key': 'no' } }
    const id = await shared.subscribe()
    const { url, headers } = node.handshakes[0]!
    expect([url, headers.host, headers['x-tenant'], headers.upgrade, headers['user-agent']]).toEqual([
      '/own?key=1',
      'node.example',
      'a',
      'websocket',
      'tollgate/1.2.3',
    ])
    node.chain.mine(1)
    await until(() => shared.heads(id).length === 1)
    const outcomes = await shared.send(call('eth_unsubscribe', `[${id}]`), call('eth_call'))
    expect(outcomes.map(brief)).toEqual(['result true', 'result {"method":"eth_call","params":[]}'])
    expect(node.callsTo('eth_call')[0]!.socket).toBeUndefined()
  })

  test('that cannot be sent is refused', async () => {
    const { client } = await dedicated()
    const one = client()
    one.rewrite = { path: undefined, host: undefined, headers: { 'x-bad': 'a\nb' } }
    expect(await one.ask('eth_call')).toBe('internal bad-rewrite')
  })

  test('does not reach another host by its path', async () => {
    const { node, client } = await dedicated()
    const one = client()
    one.rewrite = { path: '//elsewhere.example/x', host: undefined, headers: undefined }
    expect(await one.ask('eth_call')).toContain('result')
    expect(node.handshakes[0]!.url).toBe('//elsewhere.example/x')
  })
})
