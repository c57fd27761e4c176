/** What nodes can make a gateway hold in memory over WebSocket: no more than there is room for, and each of it given back. */
import { expect, test } from 'vitest'
import { Room } from '../../../core/plugin/room.ts'
import { result, silence } from '../../support/scripted-socket-node.ts'
import { call, settings } from '../fixture.ts'
import { socketNode, socketUpstream, until } from './fixture.ts'

const roomOf = (bytes: number): Room => new Room({ value: 0 }, bytes)

test('an answer counts while it arrives', async () => {
  const room = roomOf(Infinity)
  const node = await socketNode()
  const { client, upstream } = socketUpstream([node], { room })
  await upstream.reach(settings())
  const text = `{"jsonrpc":"2.0","id":1,"result":"${'x'.repeat(500_000)}"}`
  node.handlers.set('eth_call', ({ socket }) => {
    socket!.send(text.slice(0, 400_000), { fin: false })
    return []
  })
  const answered = client().ask('eth_call')
  await until(() => room.held.value >= 400_000)
  for (const socket of node.sockets) socket.send(text.slice(400_000))
  expect((await answered).length).toBe('result '.length + 500_002)
})

test('an answer that is read in turns counts until it is read', async () => {
  const room = roomOf(Infinity)
  const node = await socketNode()
  const { client, upstream } = socketUpstream([node], { room, maxAnswerBytes: 32_000_000 })
  await upstream.reach(settings())
  const text = `{"jsonrpc":"2.0","id":1,"result":"${'x'.repeat(20_000_000)}"}`
  node.handlers.set('eth_call', () => text)
  const seen = new Set<number>()
  const look = setInterval(() => seen.add(room.held.value))
  const answered = client().ask('eth_call')
  while (!seen.has(text.length)) await new Promise(setImmediate)
  clearInterval(look)
  expect((await answered).length).toBe('result '.length + 20_000_002)
})

test('an answer for which there is no room ends the socket; reads that shared it are asked again, each for itself', async () => {
  const room = roomOf(1_000_000)
  const node = await socketNode()
  const { client, upstream } = socketUpstream([node], { room, retries: 1, maxAnswerBytes: 16_000_000 })
  await upstream.reach(settings())
  const one = client()
  node.handlers.set('eth_getBalance', ({ id, socket }) => (socket === undefined ? `{"jsonrpc":"2.0","id":${id},"result":"0x1"}` : []))
  node.handlers.set('eth_getLogs', result(`"${'x'.repeat(5_000_000)}"`))
  node.handlers.set('eth_sendRawTransaction', silence)
  const small = one.ask('eth_getBalance')
  const sent = one.ask('eth_sendRawTransaction')
  expect(await client().ask('eth_getLogs')).toBe('overloaded no-room')
  expect(await small).toBe('result "0x1"')
  expect(await sent).toBe('upstreamUnavailable connection-lost')
  expect(node.callsTo('eth_sendRawTransaction')).toHaveLength(1)
})

test('notifications that come before their subscription is granted wait as far as there is room', async () => {
  const backlog = roomOf(120_000)
  const node = await socketNode()
  const push = (n: number): string =>
    `{"method":"eth_subscription","params":{"subscription":"0x77","result":{"number":"0x${n}","fill":"${'x'.repeat(30_000)}"}}}`
  node.handlers.set('eth_subscribe', () => [1, 2, 3, 4, 5].map(push))
  const { client, metric } = socketUpstream([node], { backlog })
  const one = client()
  const subscribed = one.subscribe()
  await until(async () => (await metric('tollgate_upstream_stray_messages_total{upstream="test"}')) === 2)
  expect(backlog.held.value).toBeGreaterThan(90_000)
  node.say(`{"id":${node.callsTo('eth_subscribe')[0]!.id},"result":"0x77"}`)
  await subscribed
  expect(one.heads()).toEqual([1, 2, 3])
})

test('notifications that wait for their subscriber to be told end its session where there is no room for them', async () => {
  const backlog = roomOf(40_000)
  const node = await socketNode()
  const { client } = socketUpstream([node], { backlog })
  const one = client()
  node.handlers.set('eth_call', silence)
  void one.send(call('eth_subscribe', '["newHeads"]'), call('eth_call'))
  await node.until(() => node.subscriptions.size === 1)
  node.chain.mine(200)
  await until(() => one.closed !== undefined)
  expect(one.closed![0]).toBe(1013)
})

test.each([
  ['of one block without an end', (n: number) => ({ block: 1, index: n })],
  ['of one place again and again', () => ({ block: 1, index: 0 })],
  ['of ever new blocks', (n: number) => ({ block: n, index: 0 })],
])('logs %s are remembered within bounds, and pass all the same', async (_, placeOf) => {
  const backlog = roomOf(20_000)
  const node = await socketNode()
  const { client } = socketUpstream([node], { backlog, limits: { rememberedBytes: 5000 } })
  const one = client()
  const other = client()
  const id = await one.subscribe('["logs",{}]')
  await other.subscribe('["logs",{"address":"0x1"}]')
  for (let n = 1; n <= 200; n++) {
    const { block, index } = placeOf(n)
    const event = JSON.stringify({ blockNumber: `0x${block.toString(16)}`, blockHash: '0xab', logIndex: `0x${index.toString(16)}`, data: 'x'.repeat(200) })
    for (const subscription of node.subscriptions.keys()) node.notify(subscription, event)
  }
  await until(() => one.events(id).length === 200)
  expect(backlog.held.value).toBeLessThanOrEqual(10_000)
  one.leave()
  other.leave()
  await until(() => backlog.held.value === 0)
})

test('all that subscriptions remember leaves half of the room to what waits', async () => {
  const backlog = roomOf(200_000)
  const node = await socketNode()
  const { client } = socketUpstream([node], { backlog })
  const one = client()
  for (let n = 0; n < 20; n++) await one.subscribe(`["logs",{"address":["0x${n}"]}]`)
  const event = (n: number): string => JSON.stringify({ blockNumber: '0x1', blockHash: '0xab', logIndex: `0x${n}`, data: 'x'.repeat(1000) })
  for (const subscription of node.subscriptions.keys()) for (let n = 0; n < 5; n++) node.notify(subscription, event(n))
  await until(() => one.events().length === 100)
  expect(backlog.held.value).toBeGreaterThan(90_000)
  expect(backlog.held.value).toBeLessThanOrEqual(100_000)
})

test.each(['shared', 'dedicated'] as const)(
  'subscriptions count for as long as they last, and are refused where there is no room for them (%s)',
  async (mode) => {
    const backlog = roomOf(200_000)
    const node = await socketNode()
    const { client } = socketUpstream([node], { backlog })
    const [one, other] = [client({ mode }), client({ mode })]
    const params = (n: number): string => `["logs",{"address":["0x${String(n).padStart(5000, '0')}"]}]`
    const said: string[] = []
    for (let n = 0; n < 6; n++) said.push((await one.ask('eth_subscribe', params(n))).split(' ').at(-1)!)
    expect(said.slice(4)).toEqual(['no-room', 'no-room'])
    expect(said.slice(0, 4)).not.toContain('no-room')
    expect(backlog.held.value).toBeLessThanOrEqual(100_000)
    one.leave()
    await until(() => backlog.held.value === 0)
    await other.subscribe(params(0))
  },
)

test.each([
  ['values', Array.from({ length: 10 }, () => call('eth_subscribe', `["logs",{"topics":[${'null,'.repeat(600)}null]}]`))],
  ['bytes', Array.from({ length: 10 }, (_, n) => call('eth_subscribe', `["logs",{"address":"0x${String(n).padStart(20_000, '0')}"}]`))],
  ['values to unsubscribe from', [call('eth_unsubscribe', `[${'0,'.repeat(10_000)}0]`)]],
])('a frame that holds too many %s of subscriptions subscribes to none of them, and its other calls are served', async (_, requests) => {
  const node = await socketNode()
  const { client } = socketUpstream([node])
  const outcomes = await client().send(...requests, call('eth_call'))
  expect(outcomes.map((outcome) => outcome.kind)).toEqual([...requests.map(() => 'refusal'), 'result'])
  expect(outcomes[0]).toMatchObject({ name: 'invalidParams', why: 'subscription-too-large' })
  expect(node.callsTo('eth_subscribe')).toEqual([])
})
