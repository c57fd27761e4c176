/** Subscriptions that clients share: one at the node, an id for each client, released exactly once. */
import { describe, expect, test } from 'vitest'
import { brief, call } from '../fixture.ts'
import { refusal, result, silence } from '../../support/scripted-socket-node.ts'
import { range, socketNode, socketUpstream, TestClient, until } from './fixture.ts'

const GAUGES = { up: 'tollgate_upstream_subscriptions{upstream="test"}', down: 'tollgate_client_subscriptions{upstream="test"}' }

test('500 clients are one subscription at the node; each gets each block once and in order, under an id of its own', async () => {
  const node = await socketNode()
  const { client, metric } = socketUpstream([node])
  const clients = Array.from({ length: 500 }, () => client())
  const ids = await Promise.all(clients.map((each) => each.subscribe()))
  expect(new Set(ids).size).toBe(500)
  expect(ids.every((id) => /^"0x[0-9a-f]{32}"$/.test(id))).toBe(true)
  expect(node.callsTo('eth_subscribe')).toHaveLength(1)
  expect([await metric(GAUGES.up), await metric(GAUGES.down)]).toEqual([1, 500])
  node.chain.mine(20)
  await until(() => clients.every((each) => each.notifications.length === 20))
  for (const [at, each] of clients.entries()) expect(each.heads(ids[at])).toEqual(range(1, 20))

  for (const each of clients.slice(0, 250)) each.leave(1006)
  expect(await metric(GAUGES.down)).toBe(250)
  node.chain.mine(1)
  await until(() => clients.slice(250).every((each) => each.notifications.length === 21))
  expect(clients.slice(0, 250).every((each) => each.notifications.length === 20)).toBe(true)
  expect(node.subscriptions.size).toBe(1)

  for (const each of clients.slice(250)) each.leave()
  await node.until(() => node.subscriptions.size === 0)
  expect(node.callsTo('eth_unsubscribe')).toHaveLength(1)
  expect([await metric(GAUGES.up), await metric(GAUGES.down)]).toEqual([0, 0])
})

test('an event is passed on byte for byte, in an envelope of ours', async () => {
  const node = await socketNode()
  const { client } = socketUpstream([node])
  const one = client()
  const id = await one.subscribe('["newPendingTransactions",true]')
  const event = '{ "value" : 123456789012345678901234567890,  "note":"\\u00e9 ä€" , "f":1.50 }'
  const [subscription] = node.subscriptions.keys()
  node.say(`{"params": {"result": ${event} ,"more":1,"subscription": "${subscription}"} ,"method":"eth_subscription","jsonrpc":"2.0"}`)
  await until(() => one.notifications.length === 1)
  expect(one.received.at(-1)).toBe(`{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":${id},"result":${event}}}`)
  expect(one.notifications[0]).toMatchObject({ subscribeMethod: 'eth_subscribe', topic: 'newPendingTransactions' })
})

test('a large event is the same bytes for all', async () => {
  const node = await socketNode()
  const { client } = socketUpstream([node])
  const [one, other] = [client(), client()]
  await Promise.all([one.subscribe('["logs",{}]'), other.subscribe('["logs",{}]')])
  node.chain.mine(1, [{ address: '0xa', data: 'x'.repeat(50_000) }])
  await until(() => one.notifications.length + other.notifications.length === 2)
  expect(one.notifications[0]!.message[1]).toBe(other.notifications[0]!.message[1])
  expect(one.logs()).toEqual(['x'.repeat(50_000)])
})

describe('two subscriptions are the same', () => {
  test.each([
    ['with white space', '["newHeads"]', '[ "newHeads" ]'],
    ['with keys in another order', '["logs",{"address":"0xa","topics":[null,{"a":1,"b":2}]}]', '["logs",{"topics":[null,{"b":2,"a":1}],"address":"0xa"}]'],
    ['with escapes', '["newHeads"]', '["new\\u0048eads"]'],
    ['with a number written otherwise', '["x",100]', '["x",1e2]'],
  ])('%s', async (_how, one, other) => {
    const node = await socketNode()
    const { client } = socketUpstream([node])
    await Promise.all([client().subscribe(one), client().subscribe(other), client().subscribe(one)])
    expect(node.callsTo('eth_subscribe')).toHaveLength(1)
  })

  test.each([
    ['of another topic', '["newHeads"]', '["newPendingTransactions"]'],
    ['with another filter', '["logs",{"address":"0xa"}]', '["logs",{"address":"0xb"}]'],
    ['with a key in another case', '["logs",{"address":"0xa"}]', '["logs",{"Address":"0xa"}]'],
    ['with a number that a double does not tell from it', '["x",9007199254740993]', '["x",9007199254740992]'],
    ['with topics in another order', '["logs",{"topics":["0x1","0x2"]}]', '["logs",{"topics":["0x2","0x1"]}]'],
    ['with a flag', '["newPendingTransactions"]', '["newPendingTransactions",true]'],
    ['with an own property called __proto__', '["x",{}]', '["x",{"__proto__":{"a":1}}]'],
  ])('and are not %s', async (_how, one, other) => {
    const node = await socketNode()
    const { client } = socketUpstream([node])
    await Promise.all([client().subscribe(one), client().subscribe(other)])
    expect(node.callsTo('eth_subscribe')).toHaveLength(2)
  })

  test('what goes to the node is what was compared: a member that stands twice goes once', async () => {
    const node = await socketNode()
    await socketUpstream([node]).client().subscribe('["logs",{"topics":[],"address":"0xa","address":"0xb"}]')
    expect(node.callsTo('eth_subscribe')[0]!.text).toBe('{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["logs",{"address":"0xb","topics":[]}]}')
  })
})

describe('the answer to a subscribe call', () => {
  test('precedes the first notification, also when a batch keeps it waiting', async () => {
    const node = await socketNode()
    const { client } = socketUpstream([node])
    const [early, one] = [client(), client()]
    await early.subscribe()
    const gate = Promise.withResolvers<undefined>()
    node.handlers.set('eth_call', () => gate.promise)
    const sent = one.send(call('eth_subscribe', '["newHeads"]'), call('eth_call'))
    await node.until(() => node.callsTo('eth_call').length === 1)
    node.chain.mine(3)
    await until(() => early.notifications.length === 3)
    expect(one.received).toEqual([])
    gate.resolve(undefined)
    await sent
    expect(one.received[0]).toMatch(/^answer result "0x/)
    expect(one.heads()).toEqual([1, 2, 3])
  })

  test('precedes what the node sends before it has answered', async () => {
    const node = await socketNode()
    node.handlers.set('eth_subscribe', (asked) => {
      const push = (n: number): string => `{"method":"eth_subscription","params":{"subscription":"0x77","result":{"number":"0x${n}"}}}`
      return [push(1), push(2), `{"id":${asked.id},"result":"0x77"}`, push(3)]
    })
    const { client, metric } = socketUpstream([node])
    const one = client()
    await one.subscribe()
    await until(() => one.notifications.length === 3)
    expect(one.received[0]).toMatch(/^answer/)
    expect(one.heads()).toEqual([1, 2, 3])
    expect(await metric('tollgate_upstream_stray_messages_total{upstream="test"}')).toBe(0)
  })

  test('a client whose notifications wait too long is closed', async () => {
    const node = await socketNode()
    const { client } = socketUpstream([node])
    const one = client({ maxBufferedBytes: 1000 })
    node.handlers.set('eth_call', silence)
    void one.send(call('eth_subscribe', '["newHeads"]'), call('eth_call'))
    await node.until(() => node.subscriptions.size === 1)
    node.chain.mine(20)
    await until(() => one.closed !== undefined)
    expect(one.closed![0]).toBe(1013)
    await node.until(() => node.subscriptions.size === 0)
  })
})

describe('unsubscribe', () => {
  test('answers true once, and false ever after; nothing is pushed any more', async () => {
    const node = await socketNode()
    const { client } = socketUpstream([node])
    const [one, other] = [client(), client()]
    const [id] = await Promise.all([one.subscribe(), other.subscribe()])
    expect(await one.ask('eth_unsubscribe', `[${id}]`)).toBe('result true')
    expect(await one.ask('eth_unsubscribe', `[${id}]`)).toBe('result false')
    node.chain.mine(2)
    await until(() => other.notifications.length === 2)
    expect(one.notifications).toEqual([])
    expect(node.callsTo('eth_unsubscribe')).toEqual([])
  })

  test("ends only the client's own", async () => {
    const node = await socketNode()
    const { client } = socketUpstream([node])
    const [one, other] = [client(), client()]
    const id = await one.subscribe()
    await other.subscribe()
    const [nodeId] = node.subscriptions.keys()
    expect(await other.ask('eth_unsubscribe', `[${id}]`)).toBe('result false')
    expect(await other.ask('eth_unsubscribe', `["${nodeId}"]`)).toBe('result false')
    expect(await one.ask('parity_unsubscribe', `[${id}]`)).toBe('result false')
    node.chain.mine(1)
    await until(() => one.notifications.length === 1)
  })

  test.each(['[]', '[null]', '{}', '[{}]', '[["0x1"]]'])('with params %s is refused', async (params) => {
    const node = await socketNode()
    expect(await socketUpstream([node]).client().ask('eth_unsubscribe', params)).toBe('invalidParams bad-subscription-id')
  })

  test('the last one out ends it at the node, and the next one in makes it anew', async () => {
    const node = await socketNode()
    const { client } = socketUpstream([node])
    const one = client()
    for (let round = 0; round < 3; round++) {
      const id = await one.subscribe()
      await one.ask('eth_unsubscribe', `[${id}]`)
    }
    await node.until(() => node.callsTo('eth_unsubscribe').length === 3)
    expect(node.callsTo('eth_subscribe')).toHaveLength(3)
    expect(node.subscriptions.size).toBe(0)
  })

  test('what the node still sends until it has heard of it is of nobody, and no stray', async () => {
    const node = await socketNode()
    const { client, metric } = socketUpstream([node])
    const one = client()
    node.handlers.set('eth_unsubscribe', ({ id, params }) => {
      node.notify(params[0] as string, '{}')
      node.subscriptions.delete(params[0] as string)
      return `{"id":${id},"result":true}`
    })
    const id = await one.subscribe()
    await one.ask('eth_unsubscribe', `[${id}]`)
    await node.until(() => node.subscriptions.size === 0)
    await one.ask('eth_call')
    expect(one.notifications).toEqual([])
    expect(await metric('tollgate_upstream_stray_messages_total{upstream="test"}')).toBe(0)
  })
})

describe('races', () => {
  test('all who subscribe while the first call is under way share it', async () => {
    const node = await socketNode()
    const grant = Promise.withResolvers<undefined>()
    node.handlers.set('eth_subscribe', () => grant.promise)
    const { client } = socketUpstream([node])
    const clients = [client(), client(), client()]
    const ids = clients.map((each) => each.subscribe())
    await node.until(() => node.callsTo('eth_subscribe').length === 1)
    clients[1]!.leave()
    await expect(ids[1]).rejects.toThrow('upstreamUnavailable client-gone')
    grant.resolve(undefined)
    expect(new Set([await ids[0], await ids[2]]).size).toBe(2)
    node.chain.mine(1)
    await until(() => clients[0]!.notifications.length === 1 && clients[2]!.notifications.length === 1)
    expect(clients[1]!.notifications).toEqual([])
  })

  test('a node that grants what nobody wants any more is told so', async () => {
    const node = await socketNode()
    const grant = Promise.withResolvers<undefined>()
    node.handlers.set('eth_subscribe', () => grant.promise)
    const { client, metric } = socketUpstream([node])
    const one = client()
    one.subscribe().catch(() => undefined)
    await node.until(() => node.callsTo('eth_subscribe').length === 1)
    one.leave()
    grant.resolve(undefined)
    await node.until(() => node.callsTo('eth_unsubscribe').length === 1)
    expect([await metric(GAUGES.up), await metric(GAUGES.down)]).toEqual([0, 0])
  })

  test('who comes after all others have gone, while the call is still under way, takes their place', async () => {
    const node = await socketNode()
    const grant = Promise.withResolvers<undefined>()
    node.handlers.set('eth_subscribe', () => grant.promise)
    const { client } = socketUpstream([node])
    const [one, other] = [client(), client()]
    one.subscribe().catch(() => undefined)
    await node.until(() => node.callsTo('eth_subscribe').length === 1)
    one.leave()
    const id = other.subscribe()
    grant.resolve(undefined)
    expect(await id).toMatch(/^"0x/)
    expect(node.callsTo('eth_subscribe')).toHaveLength(1)
    expect(node.callsTo('eth_unsubscribe')).toHaveLength(0)
  })

  test('a subscription granted after its time is ended at the node', async () => {
    const node = await socketNode()
    const grant = Promise.withResolvers<undefined>()
    node.handlers.set('eth_subscribe', () => grant.promise)
    const { client, metric } = socketUpstream([node], { readTimeoutMs: 50 })
    while (node.callsTo('eth_subscribe').length < 2) expect(await client().ask('eth_subscribe', '["newHeads"]')).toBe('upstreamTimeout read-timeout')
    grant.resolve(undefined)
    await node.until(() => node.callsTo('eth_unsubscribe').length === 2)
    expect([await metric(GAUGES.up), await metric(GAUGES.down)]).toEqual([0, 0])
  })

  test.each(['shared', 'dedicated'] as const)('who has gone before the nodes are known to be on the right chain is not subscribed (%s)', async (mode) => {
    const node = await socketNode()
    let tell = (): void => undefined
    node.handlers.set('eth_chainId', ({ id }) => new Promise((resolve) => (tell = () => resolve(`{"jsonrpc":"2.0","id":${id},"result":"0x1"}`))))
    const active = { intervalMs: 10_000, timeoutMs: 5000, chainId: 1, maxLag: 2, successes: 1, failures: 3 }
    const { client, metric } = socketUpstream([node], { active })
    await node.until(() => node.callsTo('eth_chainId').length === 1)
    const [gone, here] = [client({ mode }), client({ mode })]
    const refused = gone.ask('eth_subscribe', '["logs"]')
    const subscribed = here.subscribe('["logs"]')
    gone.leave()
    tell()
    expect(await refused).toBe('upstreamUnavailable client-gone')
    await subscribed
    expect(await metric('tollgate_client_subscriptions{upstream="test"}')).toBe(1)
    expect(node.callsTo('eth_subscribe').filter(({ params }) => params[0] === 'logs')).toHaveLength(1)
  })

  test('a socket that is lost while the call is under way is replaced, and the call made again', async () => {
    const node = await socketNode()
    node.handlers.set('eth_subscribe', () => {
      node.handlers.delete('eth_subscribe')
      node.cut()
      return []
    })
    expect(await socketUpstream([node], { retries: 1 }).client().subscribe()).toMatch(/^"0x/)
  })

  test('a socket that is lost each time fails the call', async () => {
    const node = await socketNode()
    node.handlers.set('eth_subscribe', () => {
      node.cut()
      return []
    })
    expect(await socketUpstream([node], { retries: 1 }).client().ask('eth_subscribe', '["newHeads"]')).toBe('upstreamUnavailable connection-lost')
    expect(node.callsTo('eth_subscribe')).toHaveLength(2)
  })
})

describe('what the node does not grant', () => {
  test('is refused in its own words, to all who wait, and asked anew by the next one', async () => {
    const node = await socketNode()
    node.handlers.set('eth_subscribe', refusal('no such topic'))
    const { client } = socketUpstream([node])
    const error = 'error {"code":-32000,"message":"no such topic"}'
    expect(await Promise.all([client().ask('eth_subscribe', '["x"]'), client().ask('eth_subscribe', '["x"]')])).toEqual([error, error])
    node.handlers.delete('eth_subscribe')
    expect(await client().subscribe('["x"]')).toMatch(/^"0x/)
  })

  test.each(['true', 'null', '{}', '[]'])('an id that is %s is none', async (id) => {
    const node = await socketNode()
    node.handlers.set('eth_subscribe', result(id))
    expect(await socketUpstream([node]).client().ask('eth_subscribe', '["newHeads"]')).toBe('upstreamUnavailable bad-answer')
  })

  test('an id that is already of somebody else is none', async () => {
    const node = await socketNode()
    node.handlers.set('eth_subscribe', result('"0x1"'))
    const { client } = socketUpstream([node])
    const one = client()
    const id = await one.subscribe('["x"]')
    expect(await client().ask('eth_subscribe', '["y"]')).toBe('upstreamUnavailable bad-answer')
    node.say('{"method":"eth_subscription","params":{"subscription":"0x1","result":{"mine":1}}}')
    await until(() => one.notifications.length === 1)
    expect(one.events(id)).toEqual([{ mine: 1 }])
  })

  test('no node: refused', async () => {
    const node = await socketNode()
    const { client } = socketUpstream([node], { retries: 1 })
    await node.die()
    expect(await client().ask('eth_subscribe', '["newHeads"]')).toBe('upstreamUnavailable connect-failed')
  })

  test('one subscription more than a client may have is refused, and its place is free again once another ends', async () => {
    const node = await socketNode()
    const { client } = socketUpstream([node])
    const one = client({ maxSubscriptions: 2 })
    const outcomes = await one.send(call('eth_subscribe', '["newHeads"]'), call('eth_subscribe', '["newHeads"]'), call('eth_subscribe', '["newHeads"]'))
    expect(outcomes[2]).toMatchObject({ name: 'limited', why: 'too-many-subscriptions', limit: 2 })
    const first = brief(outcomes[0]).slice('result '.length)
    await one.ask('eth_unsubscribe', `[${first}]`)
    await one.subscribe()
    expect(await one.ask('eth_subscribe', '["newHeads"]')).toBe('limited too-many-subscriptions')
  })

  test('a client that is refused by the node keeps its place', async () => {
    const node = await socketNode()
    node.handlers.set('eth_subscribe', refusal('no'))
    const { client } = socketUpstream([node])
    const one = client({ maxSubscriptions: 1 })
    for (let i = 0; i < 3; i++) expect(await one.ask('eth_subscribe', `[${i}]`)).toContain('error')
  })
})

test('over HTTP nobody can subscribe', async () => {
  const node = await socketNode()
  const { upstream } = socketUpstream([node])
  const rewrite = { path: undefined, host: undefined, headers: undefined }
  const asked = { isBatch: true, rewrite, calls: [], subscriber: undefined, afterAnswer: [], running: undefined }
  const outcomes = await upstream.exchange([call('eth_call'), call('eth_subscribe'), call('eth_unsubscribe')], asked)
  expect(outcomes.map(brief)).toEqual(['result {"method":"eth_call","params":[]}', 'methodNotAllowed needs-websocket', 'methodNotAllowed needs-websocket'])
})

test('a batch may subscribe, unsubscribe and call', async () => {
  const node = await socketNode()
  const { client } = socketUpstream([node])
  const one = client()
  const id = await one.subscribe()
  const outcomes = await one.send(call('eth_unsubscribe', `[${id}]`), call('eth_call', '[1]'), call('eth_subscribe', '["syncing"]'), call('eth_call', '[2]'))
  expect(outcomes.map(brief)).toEqual([
    'result true',
    'result {"method":"eth_call","params":[1]}',
    expect.stringMatching(/^result "0x/),
    'result {"method":"eth_call","params":[2]}',
  ])
})

describe('other chains', () => {
  test.each([
    ['cfx_subscribe', 'cfx_unsubscribe', 'cfx_subscription'],
    ['subscribe', 'unsubscribe', 'subscribe'],
    ['subscribe_newHead', 'unsubscribe_newHead', 'chain_newHead'],
    ['chain_subscribeNewHeads', 'chain_unsubscribeNewHeads', 'chain_newHead'],
    ['EthSubscribe', 'EthUnsubscribe', 'EthSubscription'],
  ])('%s and %s are a pair', async (subscribe, unsubscribe, pushed) => {
    const node = await socketNode()
    node.handlers.set(subscribe, result('"id"')).set(unsubscribe, result('true'))
    const { client } = socketUpstream([node])
    const [one, other] = [client(), client()]
    const [id] = await Promise.all([one.subscribe('["x"]', subscribe), other.subscribe('["x"]', subscribe)])
    node.say(`{"jsonrpc":"2.0","method":"${pushed}","params":{"subscription":"id","result":{"n":1}}}`)
    await until(() => one.notifications.length === 1)
    expect(one.received.at(-1)).toBe(`{"jsonrpc":"2.0","method":"${pushed}","params":{"subscription":${id},"result":{"n":1}}}`)
    expect(await one.ask(unsubscribe, `[${id}]`)).toBe('result true')
    other.leave()
    await node.until(() => node.callsTo(unsubscribe).length === 1)
    expect(node.callsTo(unsubscribe)[0]!.params).toEqual(['id'])
  })

  test('a subscription whose id is a number has a number for each client', async () => {
    const node = await socketNode()
    node.handlers.set('accountSubscribe', result('23')).set('accountUnsubscribe', result('true'))
    const { client } = socketUpstream([node])
    const one = client()
    const id = await one.subscribe('["key"]', 'accountSubscribe')
    expect(id).toMatch(/^\d+$/)
    node.say('{"jsonrpc":"2.0","method":"accountNotification","params":{"result":{"n":1},"subscription":23}}')
    await until(() => one.notifications.length === 1)
    expect(one.events(id)).toEqual([{ n: 1 }])
    expect(await one.ask('accountUnsubscribe', `[${id}]`)).toBe('result true')
  })
})

test('with mode http only subscriptions use a socket', async () => {
  const node = await socketNode()
  const { client } = socketUpstream([node])
  const one = client({ mode: 'http' })
  await one.subscribe()
  await one.ask('eth_call')
  expect(node.callsTo('eth_call')[0]!.socket).toBeUndefined()
  node.chain.mine(1)
  await until(() => one.notifications.length === 1)
})

test('a client that was closed for a reason of its own leaves nothing behind', async () => {
  const node = await socketNode()
  const { upstream, metric } = socketUpstream([node])
  const one = new TestClient(upstream)
  await Promise.all([one.subscribe('["a"]'), one.subscribe('["b"]'), one.subscribe('["c"]')])
  one.close(1013, 'slow')
  await node.until(() => node.subscriptions.size === 0)
  expect([await metric(GAUGES.up), await metric(GAUGES.down)]).toEqual([0, 0])
})
