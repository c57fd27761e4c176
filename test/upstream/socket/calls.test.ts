/** Calls of WebSocket clients on the few sockets that they share: paired by id, each alone, none lost. */
import { describe, expect, test } from 'vitest'
import { toWire } from '../../../core/jsonrpc/wire.ts'
import { ask, brief, call, nodeOf, settings } from '../fixture.ts'
import { refusal, result, silence } from '../../support/scripted-socket-node.ts'
import { socketNode, socketUpstream, until } from './fixture.ts'
import type { Handler } from '../../support/scripted-socket-node.ts'

async function opened(changes = {}) {
  const node = await socketNode()
  const made = socketUpstream([node], changes)
  expect(await made.upstream.reach(settings())).toBe(true)
  return { node, ...made }
}

test('the calls of all clients share one socket, and no connection over HTTP', async () => {
  const { node, client } = await opened()
  const clients = Array.from({ length: 20 }, () => client())
  const answers = await Promise.all(clients.map((each, i) => each.ask('eth_call', `[${i}]`)))
  expect(answers).toEqual(clients.map((_, i) => `result {"method":"eth_call","params":[${i}]}`))
  expect(node.handshakes).toHaveLength(1)
  expect(node.calls.every(({ socket }) => socket !== undefined)).toBe(true)
  expect(new Set(node.calls.map(({ id }) => id)).size).toBe(20)
})

test('what goes to the node is written by us, with params as the client wrote them', async () => {
  const { node, client } = await opened()
  await client().ask('eth_call', '[ 1e3, 123456789012345678901234567890, "\\ud800" ]')
  expect(node.calls[0]!.text).toBe('{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[ 1e3, 123456789012345678901234567890, "\\ud800" ]}')
})

test.each([2, 100, 125, 126, 127, 128, 65_450, 65_535, 65_536, 200_000])('params of %i bytes arrive as they were sent', async (bytes) => {
  const { node, client } = await opened()
  node.handlers.set('eth_call', result('true'))
  const text = `["${'aä€'.repeat(bytes / 6).padEnd(bytes, 'x')}"]`
  expect(await client().ask('eth_call', toWire(text))).toBe('result true')
  expect(JSON.stringify(node.calls[0]!.params) === text).toBe(true)
})

test('a result comes back character for character', async () => {
  const { node, client } = await opened()
  const text = '{ "n" : 0.10000000000000000000001, "s":"\\u00e9", "big":123456789012345678901234567890 }'
  node.handlers.set('eth_call', result(text))
  expect(await client().ask('eth_call')).toBe(`result ${text}`)
})

test('a result of many bytes is passed on without a copy', async () => {
  const { node, client } = await opened()
  node.handlers.set('eth_call', result(`"${'x'.repeat(100_000)}"`))
  const [outcome] = await client().send(call('eth_call'))
  expect(outcome).toMatchObject({ kind: 'result', payload: expect.any(Uint8Array) as unknown })
})

describe('an answer of many bytes, which is read in turns,', () => {
  const large = `"${'x'.repeat(700_000)}"`

  test('is before those that came after it', async () => {
    const { node, client } = await opened()
    let first: (() => void) | undefined
    node.handlers.set('eth_call', (asked) => {
      first = () => asked.socket!.send(`{"id":${asked.id},"result":${large}}`)
      return []
    })
    node.handlers.set('net_version', (asked) => {
      first!()
      asked.socket!.send(`{"id":${asked.id},"result":"small"}`)
      return []
    })
    const one = client()
    const landed: string[] = []
    const note = (outcome: string): unknown => landed.push(outcome.slice(0, 10))
    await Promise.all([one.ask('eth_call').then(note), one.ask('net_version').then(note)])
    expect(landed).toEqual(['result "xx', 'result "sm'])
  })

  test('reaches who asked although the node closes the socket behind it', async () => {
    const { node, client } = await opened()
    node.handlers.set('eth_call', (asked) => {
      asked.socket!.send(`{"id":${asked.id},"result":${large}}`)
      asked.socket!.close()
      return []
    })
    expect((await client().ask('eth_call')).length).toBe('result '.length + large.length)
  })

  test('that is none is nobody’s, and what comes after it is', async () => {
    const { node, client } = await opened()
    node.handlers.set('eth_call', (asked) => {
      asked.socket!.send(`{"id":${asked.id},"result":${large}`)
      asked.socket!.send(`{"id":${asked.id},"result":"small"}`)
      return []
    })
    expect(await client().ask('eth_call')).toBe('result "small"')
  })
})

test('the members of a batch go singly and fail alone', async () => {
  const { node, client } = await opened()
  node.handlers.set('eth_getLogs', refusal('too many'))
  const outcomes = await client().send(call('eth_call', '[1]'), call('eth_getLogs'), call('net_version'))
  expect(outcomes.map(brief)).toEqual([
    'result {"method":"eth_call","params":[1]}',
    'error {"code":-32000,"message":"too many"}',
    'result {"method":"net_version","params":[]}',
  ])
  expect(node.calls).toHaveLength(3)
})

test('answers may overtake each other', async () => {
  const { node, client } = await opened()
  let late: (() => void) | undefined
  node.handlers.set('eth_call', (asked) => {
    late = () => asked.socket!.send(`{"id":${asked.id},"result":"late"}`)
    return []
  })
  const one = client()
  const slow = one.ask('eth_call')
  expect(await one.ask('net_version')).toContain('result')
  late!()
  expect(await slow).toBe('result "late"')
})

test('calls of one turn leave in one piece', async () => {
  const { node, client } = await opened()
  const chunks: number[] = []
  node.handshakes[0]!.socket.on('data', (chunk: Buffer) => chunks.push(chunk.length))
  const one = client()
  await Promise.all(Array.from({ length: 10 }, () => one.ask('eth_call')))
  expect(chunks).toHaveLength(1)
})

test('another socket is opened when one is crowded, and not more than there may be', async () => {
  const { node, client } = await opened({ limits: { crowdedCalls: 2, callSockets: 3 }, readTimeoutMs: 60_000, totalTimeoutMs: 60_000 })
  node.handlers.set('eth_call', silence)
  const one = client()
  for (let i = 0; i < 20; i++) {
    void one.ask('eth_call')
    await node.until(() => node.callsTo('eth_call').length === i + 1)
  }
  expect(node.handshakes).toHaveLength(3)
})

describe('a lying node', () => {
  const lies: readonly (readonly [lie: string, handler: Handler, strays: number])[] = [
    ['an id that nobody has', () => '{"id":4711,"result":"lie"}', 1],
    ['the id as a string', ({ id }) => `{"id":"${id}","result":"lie"}`, 1],
    ['no id', () => '{"result":"lie"}', 1],
    ['a null id', () => '{"id":null,"result":"lie"}', 1],
    ['an array as id', ({ id }) => `{"id":[${id}],"result":"lie"}`, 1],
    ['a fraction above the id', ({ id }) => `{"id":${id}.5,"result":"lie"}`, 1],
    ['a result and an error', ({ id }) => `{"id":${id},"result":1,"error":{"code":1,"message":"lie"}}`, 1],
    ['two ids', ({ id }) => `{"id":${id},"id":${id},"result":"lie"}`, 1],
    ['a request of its own', ({ id }) => `{"id":${id},"method":"lie","params":[]}`, 1],
    ['no JSON', () => 'lie', 1],
    ['half an answer', ({ id }) => `{"id":${id},"result":`, 1],
    ['an empty message', () => '', 1],
    ['an empty batch', () => '[]', 0],
    ['a batch of nothing', () => '[1,null,"lie"]', 3],
    ['a notification of nobody', () => '{"method":"eth_subscription","params":{"subscription":"0x1","result":"lie"}}', 1],
  ]
  test.each(lies)('that sends %s reaches nobody, and the true answer still does', async (_lie, handler, strays) => {
    const { node, client, metric } = await opened()
    node.handlers.set('eth_call', (asked) => [handler(asked, node) as string, `{"id":${asked.id},"result":"true"}`])
    const [one, other] = [client(), client()]
    node.handlers.set('net_version', silence)
    const waiting = other.ask('net_version')
    expect(await one.ask('eth_call')).toBe('result "true"')
    expect(other.received).toEqual([])
    expect(await metric('tollgate_upstream_stray_messages_total{upstream="test"}')).toBe(strays)
    node.cut()
    expect(await waiting).toBe('upstreamUnavailable connection-lost')
  })

  test('that answers twice is believed once', async () => {
    const { node, client, metric } = await opened()
    node.handlers.set('eth_call', ({ id }) => [`{"id":${id},"result":"first"}`, `{"id":${id},"result":"second"}`])
    const one = client()
    expect(await one.ask('eth_call')).toBe('result "first"')
    expect(await one.ask('net_version')).toContain('net_version')
    expect(await metric('tollgate_upstream_stray_messages_total{upstream="test"}')).toBe(1)
  })

  test('that gathers answers in a batch is understood', async () => {
    const { node, client } = await opened()
    const ids: number[] = []
    node.handlers.set('eth_call', ({ id, socket }) => {
      if (ids.push(id) === 2) socket!.send(`[{"id":${ids[1]},"result":"two"},{"id":${ids[0]},"result":"one"}]`)
      return []
    })
    const [one, other] = [client(), client()]
    const [first, second] = [one.ask('eth_call'), other.ask('eth_call')]
    expect([await first, await second]).toEqual(['result "one"', 'result "two"'])
  })
})

describe('a call that is not answered', () => {
  test('is given up after the read timeout, and its late answer goes nowhere', async () => {
    const { node, client, metric } = await opened({ readTimeoutMs: 60 })
    let late: (() => void) | undefined
    node.handlers.set('eth_call', ({ id, socket }) => {
      late = () => socket!.send(`{"id":${id},"result":"late"}`)
      return []
    })
    const one = client()
    expect(await one.ask('eth_call')).toBe('upstreamTimeout read-timeout')
    late!()
    expect(await one.ask('net_version')).toContain('net_version')
    expect(await metric('tollgate_upstream_stray_messages_total{upstream="test"}')).toBe(1)
    expect(await metric('tollgate_upstream_failures_total{upstream="test",why="read-timeout"}')).toBe(1)
    expect(await metric('tollgate_upstream_in_flight{upstream="test"}')).toBe(0)
  })

  test('is not waited for beyond the total timeout', async () => {
    const { node, client } = await opened({ totalTimeoutMs: 60, retries: 1 })
    node.handlers.set('eth_call', silence)
    expect(await client().ask('eth_call')).toBe('upstreamTimeout total-timeout')
  })

  test('that only reads is asked again, over HTTP', async () => {
    const { node, client } = await opened({ readTimeoutMs: 60, retries: 1 })
    node.handlers.set('eth_call', ({ socket }) => (socket === undefined ? undefined : []))
    expect(await client().ask('eth_call')).toBe('result {"method":"eth_call","params":[]}')
    expect(node.callsTo('eth_call')).toHaveLength(2)
  })

  test('is dropped when its client has gone', async () => {
    const { node, client, metric } = await opened()
    node.handlers.set('eth_call', silence)
    const one = client()
    const asked = one.ask('eth_call')
    await node.until(() => node.calls.length === 1)
    one.leave()
    expect(await asked).toBe('upstreamUnavailable client-gone')
    expect(await metric('tollgate_upstream_in_flight{upstream="test"}')).toBe(0)
  })
})

describe('a lost socket', () => {
  test('fails the calls on it, and those that only read are asked again', async () => {
    const { node, client } = await opened({ retries: 1 })
    const whenOnSocket: Handler = ({ socket }) => (socket === undefined ? undefined : [])
    node.handlers.set('eth_call', whenOnSocket).set('eth_sendRawTransaction', whenOnSocket)
    const one = client()
    const [read, write] = [one.ask('eth_call'), one.ask('eth_sendRawTransaction')]
    await node.until(() => node.calls.length === 2)
    node.cut()
    expect(await read).toBe('result {"method":"eth_call","params":[]}')
    expect(await write).toBe('upstreamUnavailable connection-lost')
    expect(node.callsTo('eth_sendRawTransaction')).toHaveLength(1)
  })

  test('is opened anew when calls come; until then they go over HTTP', async () => {
    const { node, client } = await opened({ retries: 1 })
    const one = client()
    node.cut()
    await node.until(() => node.sockets.size === 0)
    await until(async () => {
      await one.ask('eth_call')
      return node.calls.at(-1)!.socket !== undefined
    })
    expect(one.received.every((text) => text.startsWith('answer result'))).toBe(true)
    expect(node.calls[0]!.socket).toBeUndefined()
  })

  test('is not opened without end while the node is away', async () => {
    const { node, client } = await opened({ limits: { backoffMs: 10_000, maxBackoffMs: 10_000 } })
    node.cut()
    await node.until(() => node.sockets.size === 0)
    const one = client()
    for (let i = 0; i < 20; i++) await one.ask('eth_call')
    expect(node.handshakes.length).toBeLessThanOrEqual(2)
  })

  test('an answer that is too large ends it, and over HTTP fails alone', async () => {
    const { node, client } = await opened({ maxAnswerBytes: 2000, retries: 1 })
    node.handlers.set('eth_getLogs', result(`"${'x'.repeat(3000)}"`))
    node.handlers.set('eth_call', ({ socket }) => (socket === undefined ? undefined : []))
    const [greedy, modest] = [client(), client()]
    const innocent = modest.ask('eth_call')
    expect(await greedy.ask('eth_getLogs')).toBe('upstreamUnavailable too-large')
    expect(await innocent).toBe('result {"method":"eth_call","params":[]}')
  })

  test('a node that says goodbye is left in peace', async () => {
    const { node, client } = await opened()
    for (const socket of node.sockets) socket.close(1001, 'restarting')
    const one = client()
    const answers = await Promise.all(Array.from({ length: 10 }, () => one.ask('eth_call')))
    await node.until(() => node.closes.length === 1)
    expect(answers.every((answer) => answer.startsWith('result') || answer.endsWith('connection-lost'))).toBe(true)
  })

  test('a node that falls silent is found out by its missing pongs', async () => {
    const { node, metric } = await opened({ limits: { pingIntervalMs: 20 } })
    for (const handshake of node.handshakes) handshake.socket.pause()
    await until(async () => (await metric('tollgate_upstream_sockets{upstream="test",purpose="calls"}')) === 0)
  })

  test('a node that leaves a call unanswered in silence has to show that it lives', async () => {
    const { node, client, metric } = await opened({ readTimeoutMs: 50, connectTimeoutMs: 50 })
    for (const handshake of node.handshakes) handshake.socket.pause()
    expect(await client().ask('eth_call')).toBe('upstreamTimeout read-timeout')
    await until(async () => (await metric('tollgate_upstream_sockets{upstream="test",purpose="calls"}')) === 0)
  })

  test('a socket that nobody uses is closed', async () => {
    const { node } = await opened({ limits: { pingIntervalMs: 5, idlePings: 3 } })
    await node.until(() => node.sockets.size === 0)
    expect(node.closes).toEqual([[1000, 'idle']])
  })
})

describe('where calls go', () => {
  test('without a WebSocket address of the node they go over HTTP', async () => {
    const node = await socketNode()
    const { upstream, client } = socketUpstream([node], { nodes: [nodeOf(node.url)] })
    expect(await upstream.reach(settings())).toBe(true)
    expect(await client().ask('eth_call')).toContain('result')
    expect(node.calls[0]!.socket).toBeUndefined()
    expect(await client().ask('eth_subscribe', '["newHeads"]')).toBe('methodNotAllowed no-subscriptions')
  })

  test('with mode http they go over HTTP', async () => {
    const { node, client } = await opened()
    expect(await client({ mode: 'http' }).ask('eth_call')).toContain('result')
    expect(node.calls[0]!.socket).toBeUndefined()
  })

  test('those of a session that asks for a path of its own go over HTTP', async () => {
    const { node, client } = await opened()
    const one = client()
    one.rewrite = { path: '/its/own', host: undefined, headers: undefined }
    expect(await one.ask('eth_call')).toContain('result')
    expect(node.calls[0]!.socket).toBeUndefined()
  })
})

describe('calls that came over HTTP', () => {
  test('go over HTTP by default, whatever sockets stand', async () => {
    const { node, upstream } = await opened()
    expect((await ask(upstream, 'eth_call'))[0]).toContain('result')
    expect(node.calls[0]!.socket).toBeUndefined()
  })

  test('share the sockets with multiplex, once one stands', async () => {
    const node = await socketNode()
    const { upstream } = socketUpstream([node], { multiplex: true })
    await ask(upstream, 'eth_call')
    expect(node.calls[0]!.socket).toBeUndefined()
    await until(async () => {
      await ask(upstream, 'eth_call')
      return node.calls.at(-1)!.socket !== undefined
    })
    await Promise.all(Array.from({ length: 20 }, () => ask(upstream, 'eth_call', 'eth_chainId')))
    expect(node.calls.slice(-40).every(({ socket }) => socket !== undefined)).toBe(true)
    expect(node.handshakes).toHaveLength(1)
  })
})

describe('reach', () => {
  test('asks once for many sessions that open at once', async () => {
    const node = await socketNode()
    const { upstream } = socketUpstream([node])
    const answers = await Promise.all(Array.from({ length: 500 }, () => upstream.reach(settings())))
    expect(new Set(answers)).toEqual(new Set([true]))
    expect(node.handshakes).toHaveLength(1)
  })

  test.each(['shared', 'dedicated', 'http'] as const)('is false with mode %s while no node can be reached, and true again when one is back', async (mode) => {
    const node = await socketNode()
    const { upstream } = socketUpstream([node])
    await node.die()
    expect(await upstream.reach(settings({ mode }))).toBe(false)
    await node.start()
    await until(() => upstream.reach(settings({ mode })))
  })

  test('is true with mode shared where HTTP is all there is, and false with mode dedicated', async () => {
    const node = await socketNode()
    const { upstream } = socketUpstream([node], { nodes: [nodeOf(node.url, { wsUrl: 'ws://127.0.0.1:1' })] })
    expect(await upstream.reach(settings())).toBe(true)
    expect(await upstream.reach(settings({ mode: 'dedicated' }))).toBe(false)
  })
})
