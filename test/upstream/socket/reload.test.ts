/** Sockets over reloads of the configuration and at the end: what can stay stays, what cannot ends in order. */
import { onTestFinished, expect, test } from 'vitest'
import { UpstreamSet } from '../../../core/upstream/set.ts'
import { deps, nodeOf, settings } from '../fixture.ts'
import { ScriptedChain } from '../../support/scripted-chain.ts'
import { silence } from '../../support/scripted-socket-node.ts'
import { range, socketNode, socketSpec, TestClient, until } from './fixture.ts'
import type { WebSocketSettings } from '../../../core/plugin/define.ts'

async function served() {
  const chain = new ScriptedChain(10)
  const [first, second] = [await socketNode({ chain, name: 'a' }), await socketNode({ chain, name: 'b' })]
  const set = new UpstreamSet({ ...deps(), socketLimits: { backoffMs: 5 } })
  onTestFinished(() => set.close())
  set.update([socketSpec([first])])
  const client = (changes?: Partial<WebSocketSettings>) => new TestClient(set.get('test')!, changes)
  return { chain, first, second, set, client }
}

test('a reload that leaves the upstream as it is leaves its sockets', async () => {
  const { first, set, client } = await served()
  const one = client()
  await one.subscribe()
  const upstream = set.get('test')
  set.update([socketSpec([first])])
  expect(set.get('test')).toBe(upstream)
  expect(first.handshakes).toHaveLength(1)
})

test('subscriptions move with their ids to the nodes of the new configuration', async () => {
  const { chain, first, second, set, client } = await served()
  const one = client()
  const id = await one.subscribe()
  chain.mine(2)
  await until(() => one.heads().length === 2)
  set.update([socketSpec([second])])
  one.upstream = set.get('test')!
  chain.mine(2)
  await second.until(() => second.subscriptions.size === 1)
  chain.mine(2)
  await until(() => one.heads().length === 6)
  expect(one.heads(id)).toEqual(range(11, 16))
  await first.until(() => first.sockets.size === 0)
  expect(await one.ask('eth_unsubscribe', `[${id}]`)).toBe('result true')
  await second.until(() => second.subscriptions.size === 0)
})

test('subscriptions stay where their node stays', async () => {
  const { first, second, set, client } = await served()
  const one = client()
  await one.subscribe()
  set.update([socketSpec([first, second])])
  one.upstream = set.get('test')!
  await one.ask('eth_call')
  expect(first.callsTo('eth_subscribe')).toHaveLength(1)
  expect(second.handshakes).toHaveLength(0)
})

test('calls in flight end on the socket that the reload retires', async () => {
  const { first, second, set, client } = await served()
  await set.get('test')!.reach(settings())
  const gate = Promise.withResolvers<undefined>()
  first.handlers.set('eth_call', () => gate.promise)
  const one = client()
  const asked = one.ask('eth_call')
  await first.until(() => first.calls.length === 1)
  set.update([socketSpec([second])])
  gate.resolve(undefined)
  expect(await asked).toContain('result')
  await first.until(() => first.sockets.size === 0)
  expect(first.closes).toEqual([[1000, '']])
})

test('without any WebSocket address left, sessions with subscriptions end', async () => {
  const { first, set, client } = await served()
  const [one, other] = [client(), client()]
  await one.subscribe()
  await other.ask('eth_call')
  set.update([{ ...socketSpec([first]), nodes: [nodeOf(first.url)] }])
  expect(one.closed).toEqual([1001, 'subscriptions are not available any more'])
  expect(other.closed).toBeUndefined()
  await first.until(() => first.sockets.size === 0)
})

test('an upstream that is removed ends the sessions that depend on its sockets', async () => {
  const { first, set, client } = await served()
  const [one, own, other] = [client(), client({ mode: 'dedicated' }), client()]
  await one.subscribe()
  await own.ask('eth_call')
  await other.ask('eth_call')
  set.update([])
  expect([one.closed?.[0], own.closed?.[0], other.closed]).toEqual([1001, 1001, undefined])
  expect(await other.ask('eth_call')).toContain('result')
  expect(await other.ask('eth_subscribe', '["newHeads"]')).toBe('methodNotAllowed no-subscriptions')
  await first.until(() => first.sockets.size === 0)
})

test('a client with a socket of its own keeps it where its node stays, and is closed where it does not', async () => {
  const { first, second, set, client } = await served()
  const one = client({ mode: 'dedicated' })
  await one.ask('eth_call')
  set.update([socketSpec([second, first])])
  one.upstream = set.get('test')!
  await one.ask('eth_call')
  expect(first.handshakes).toHaveLength(1)
  set.update([socketSpec([second])])
  expect(one.closed).toEqual([1001, 'the node is not used any more'])
  await first.until(() => first.sockets.size === 0)
})

test('close ends all sockets and fails the calls on them', async () => {
  const { first, set, client } = await served()
  await set.get('test')!.reach(settings())
  first.handlers.set('eth_call', silence)
  const [one, own] = [client(), client({ mode: 'dedicated' })]
  await one.subscribe()
  await own.ask('net_version')
  const asked = client().ask('eth_call')
  await first.until(() => first.callsTo('eth_call').length === 1)
  await set.close()
  expect(await asked).toBe('upstreamUnavailable connection-lost')
  await first.until(() => first.sockets.size === 0)
  expect([one.closed?.[0], own.closed?.[0]]).toEqual([1001, 1001])
})
