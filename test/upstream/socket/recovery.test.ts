/** A lost socket under subscriptions: made again, what was missed made up for, nothing twice. */
import { describe, expect, test } from 'vitest'
import { logged } from '../fixture.ts'
import { refusal } from '../../support/scripted-socket-node.ts'
import { ScriptedChain } from '../../support/scripted-chain.ts'
import { range, socketNode, socketUpstream, until } from './fixture.ts'
import type { ScriptedSocketNode } from '../../support/scripted-socket-node.ts'

const log = (data: string, address = '0xa') => ({ address, data })

/** One client of one node, on a chain that has ten blocks. */
async function subscribed(params: string, changes = {}) {
  const chain = new ScriptedChain(10)
  const node = await socketNode({ chain })
  const made = socketUpstream([node], changes)
  const one = made.client()
  const id = await one.subscribe(params)
  await node.until(() => node.callsTo('eth_blockNumber').length === 1)
  return { chain, node, one, id, ...made }
}

/** The upstream is cut, and `meanwhile` happens before it is back. */
async function cut(node: ScriptedSocketNode, meanwhile: () => void): Promise<void> {
  await node.die()
  meanwhile()
  await node.start()
  await node.until(() => node.subscriptions.size > 0)
}

describe('new heads', () => {
  test('of a while without the socket arrive later, each once and in order', async () => {
    const { chain, node, one, id, metric } = await subscribed('["newHeads"]')
    chain.mine(5)
    await until(() => one.heads().length === 5)
    await cut(node, () => chain.mine(40))
    await until(() => one.heads().length === 45)
    chain.mine(3)
    await until(() => one.heads().length === 48)
    expect(one.heads(id)).toEqual(range(11, 58))
    expect(one.events().map((head) => head['hash'])).toEqual(chain.blocks.slice(11).map(({ hash }) => hash))
    expect(await metric('tollgate_resubscribes_total{upstream="test"}')).toBe(1)
    expect(await metric('tollgate_backfilled_events_total{upstream="test",topic="newHeads"}')).toBe(40)
    expect(await metric('tollgate_backfill_gaps_total{upstream="test"}')).toBe(0)
  })

  test('arrive also when none had arrived before the loss', async () => {
    const { chain, node, one } = await subscribed('["newHeads"]')
    await cut(node, () => chain.mine(3))
    await until(() => one.heads().length === 3)
    expect(one.heads()).toEqual([11, 12, 13])
  })

  test('made up for have the members that pushed ones have', async () => {
    const { chain, node, one } = await subscribed('["newHeads"]')
    await cut(node, () => chain.mine(1))
    await until(() => one.heads().length === 1)
    chain.mine(1)
    await until(() => one.heads().length === 2)
    expect(Object.keys(one.events()[0]!)).toEqual(Object.keys(one.events()[1]!))
    await cut(node, () => chain.mine(1))
    await until(() => one.heads().length === 3)
    expect(Object.keys(one.events()[2]!)).toEqual(Object.keys(one.events()[1]!))
  })

  test('are not lost when the socket is lost again while they are made up for', async () => {
    const { chain, node, one } = await subscribed('["newHeads"]')
    chain.mine(1)
    await until(() => one.heads().length === 1)
    let blocksAsked = 0
    node.handlers.set('eth_getBlockByNumber', () => {
      if (++blocksAsked === 20) node.cut()
      return undefined
    })
    await cut(node, () => chain.mine(50))
    await until(() => one.heads().length === 51)
    chain.mine(1)
    await until(() => one.heads().length === 52)
    expect(one.heads()).toEqual(range(11, 62))
  })

  test('that come while others are made up for wait for their turn', async () => {
    const { chain, node, one } = await subscribed('["newHeads"]')
    const gate = Promise.withResolvers<undefined>()
    node.handlers.set('eth_blockNumber', () => gate.promise)
    await cut(node, () => chain.mine(3))
    chain.mine(3)
    gate.resolve(undefined)
    await until(() => one.heads().length === 6)
    chain.mine(1)
    await until(() => one.heads().length === 7)
    expect(one.heads()).toEqual(range(11, 17))
  })

  test('of a branch that has replaced what was delivered are announced', async () => {
    const { chain, node, one } = await subscribed('["newHeads"]')
    chain.mine(5)
    await until(() => one.heads().length === 5)
    await cut(node, () => chain.reorg(3, 4))
    await until(() => one.heads().length === 9)
    expect(one.heads()).toEqual([11, 12, 13, 14, 15, 13, 14, 15, 16])
    expect(one.events().at(-1)!['hash']).toBe(chain.blocks.at(-1)!.hash)
    chain.mine(1)
    await until(() => one.heads().length === 10)
    expect(one.heads().at(-1)).toBe(17)
  })

  test('of a branch that is shorter are announced', async () => {
    const { chain, node, one } = await subscribed('["newHeads"]')
    chain.mine(5)
    await until(() => one.heads().length === 5)
    await cut(node, () => chain.reorg(4, 2))
    await until(() => one.heads().length === 7)
    chain.mine(3)
    await until(() => one.heads().length === 10)
    expect(one.heads()).toEqual([11, 12, 13, 14, 15, 12, 13, 14, 15, 16])
  })

  test('of a branch that comes back are announced again', async () => {
    const { chain, node, one } = await subscribed('["newHeads"]')
    chain.mine(5)
    await until(() => one.heads().length === 5)
    await cut(node, () => chain.reorg(4, 1))
    await until(() => one.heads().length === 6)
    chain.reorg(1, 4, [], 0)
    await until(() => one.heads().length === 10)
    expect(one.heads()).toEqual([11, 12, 13, 14, 15, 12, 12, 13, 14, 15])
  })

  test('are told again by the node once the loss is over, and pass', async () => {
    const { chain, node, one } = await subscribed('["newHeads"]')
    chain.mine(2)
    await until(() => one.heads().length === 2)
    await cut(node, () => undefined)
    chain.mine(1)
    await until(() => one.heads().length === 3)
    chain.mine(1)
    await until(() => one.heads().length === 4)
    const [nodeId] = node.subscriptions.keys()
    node.notify(nodeId!, JSON.stringify(one.events()[1]))
    await until(() => one.heads().length === 5)
    expect(one.heads()).toEqual([11, 12, 13, 14, 12])
  })

  test('that do not fit the queue are made up for as well', async () => {
    const { chain, node, one } = await subscribed('["newHeads"]', { limits: { queuedBytes: 500 } })
    const gate = Promise.withResolvers<string>()
    node.handlers.set('eth_blockNumber', () => gate.promise)
    await cut(node, () => chain.mine(3))
    await node.until(() => node.callsTo('eth_blockNumber').length > 1)
    const stale = node.usual(node.callsTo('eth_blockNumber').at(-1)!)
    node.handlers.delete('eth_blockNumber')
    chain.mine(10)
    gate.resolve(stale as string)
    await until(() => one.heads().length === 13)
    expect(one.heads()).toEqual(range(11, 23))
  })

  test('are asked for again when the node fails at first', async () => {
    const { chain, node, one, metric } = await subscribed('["newHeads"]')
    let failures = 0
    node.handlers.set('eth_getBlockByNumber', (call) => (failures++ < 2 ? refusal('busy')(call, node) : undefined))
    await cut(node, () => chain.mine(3))
    await until(() => one.heads().length === 3)
    expect(one.heads()).toEqual([11, 12, 13])
    expect(await metric('tollgate_backfill_gaps_total{upstream="test"}')).toBe(0)
  })

  test('pass as the node sends them while the socket stands, its own repetitions and branches included', async () => {
    const { chain, node, one } = await subscribed('["newHeads"]')
    chain.mine(2)
    const [nodeId] = node.subscriptions.keys()
    await until(() => one.heads().length === 2)
    node.notify(nodeId!, JSON.stringify(one.events()[1]))
    chain.reorg(2)
    await until(() => one.heads().length === 5)
    expect(one.heads()).toEqual([11, 12, 12, 11, 12])
  })

  test('are not made up for without bound: the gap is counted and said, and the next head goes on', async () => {
    const { chain, node, one, metric } = await subscribed('["newHeads"]', { limits: { backfillBlocks: 20 } })
    chain.mine(1)
    await until(() => one.heads().length === 1)
    await cut(node, () => chain.mine(21))
    await until(async () => (await metric('tollgate_backfill_gaps_total{upstream="test"}')) === 1)
    chain.mine(1)
    await until(() => one.heads().length === 2)
    expect(one.heads()).toEqual([11, 33])
    expect(logged).toContainEqual(expect.objectContaining({ topic: 'newHeads', why: 'more was missed than is made up for' }))
  })

  test('go on when the node does not say what was missed', async () => {
    const { chain, node, one, metric } = await subscribed('["newHeads"]')
    node.handlers.set('eth_getBlockByNumber', refusal('no history'))
    await cut(node, () => chain.mine(2))
    await until(async () => (await metric('tollgate_backfill_gaps_total{upstream="test"}')) === 1)
    chain.mine(1)
    await until(() => one.heads().length === 1)
    expect(one.heads()).toEqual([13])
  })
})

describe('logs', () => {
  const params = '["logs",{"address":"0xa"}]'

  test('of a while without the socket arrive later, each once and in order', async () => {
    const { chain, node, one, metric } = await subscribed(params)
    chain.mine(1, [log('1'), log('2'), log('other', '0xb')])
    await until(() => one.logs().length === 2)
    await cut(node, () => {
      chain.mine(1, [log('3'), log('other', '0xb'), log('4')])
      chain.mine(30)
      chain.mine(1, [log('5')])
    })
    await until(() => one.logs().length === 5)
    chain.mine(1, [log('6')])
    await until(() => one.logs().length === 6)
    expect(one.logs()).toEqual(['1', '2', '3', '4', '5', '6'])
    expect(await metric('tollgate_backfilled_events_total{upstream="test",topic="logs"}')).toBe(3)
  })

  test('that were there before the client subscribed are not delivered', async () => {
    const chain = new ScriptedChain(10)
    chain.mine(1, [log('old')])
    const node = await socketNode({ chain })
    const { client } = socketUpstream([node])
    const one = client()
    await one.subscribe(params)
    await node.until(() => node.callsTo('eth_blockNumber').length === 1)
    await cut(node, () => chain.mine(1, [log('new')]))
    await until(() => one.logs().length === 1)
    expect(one.logs()).toEqual(['new'])
  })

  test('of blocks that were replaced meanwhile are taken back, the newest first, and those of the new branch follow', async () => {
    const { chain, node, one } = await subscribed(params)
    chain.mine(1, [log('1')])
    chain.mine(1, [log('2'), log('3')])
    chain.mine(1, [log('4')])
    await until(() => one.logs().length === 4)
    await cut(node, () => chain.reorg(2, 3, [log('new')]))
    await until(() => one.logs().length === 10)
    expect(one.logs()).toEqual(['1', '2', '3', '4', '-4', '-3', '-2', 'new', 'new', 'new'])
    expect(
      one
        .events()
        .filter((each) => each['removed'] === true)
        .map((each) => each['blockNumber']),
    ).toEqual(['0xd', '0xc', '0xc'])
  })

  test('are taken back by the node itself while the socket stands', async () => {
    const { chain, one } = await subscribed(params)
    chain.mine(1, [log('1')])
    chain.reorg(1, 1, [log('2')])
    await until(() => one.logs().length === 3)
    expect(one.logs()).toEqual(['1', '-1', '2'])
  })

  test('that the node took back before the loss are not taken back again', async () => {
    const { chain, node, one } = await subscribed(params)
    chain.mine(1, [log('1')])
    chain.reorg(1, 1, [log('2')])
    await until(() => one.logs().length === 3)
    await cut(node, () => chain.reorg(1, 2, [log('3')]))
    await until(() => one.logs().length === 6)
    expect(one.logs()).toEqual(['1', '-1', '2', '-2', '3', '3'])
  })

  test('that come while others are made up for wait, and none is delivered twice', async () => {
    const { chain, node, one } = await subscribed(params)
    chain.mine(1, [log('1')])
    await until(() => one.logs().length === 1)
    const gate = Promise.withResolvers<undefined>()
    node.handlers.set('eth_getLogs', () => gate.promise)
    await cut(node, () => chain.mine(1, [log('2')]))
    await node.until(() => node.callsTo('eth_getLogs').length > 0)
    chain.mine(1, [log('3')])
    gate.resolve(undefined)
    chain.mine(1, [log('4')])
    await until(() => one.logs().length === 4)
    expect(one.logs()).toEqual(['1', '2', '3', '4'])
  })

  test('are asked for from where the chain was at the loss, not from the last one delivered', async () => {
    const { chain, node, one } = await subscribed(params)
    chain.mine(1, [log('1')])
    await until(() => one.logs().length === 1)
    chain.mine(500)
    const polls = node.callsTo('eth_blockNumber').length
    await node.until(() => node.callsTo('eth_blockNumber').length > polls + 1)
    await cut(node, () => chain.mine(1, [log('2')]))
    await until(() => one.logs().length === 2)
    const [first] = node.callsTo('eth_getLogs')
    expect(Number((first!.params[0] as { fromBlock: string }).fromBlock)).toBeGreaterThan(500)
  })

  test('of a long branch that was replaced are all taken back and made up for', async () => {
    const { chain, node, one } = await subscribed(params, { limits: { logOverlapBlocks: 1 } })
    for (let i = 1; i <= 20; i++) chain.mine(1, [log(String(i))])
    await until(() => one.logs().length === 20)
    await cut(node, () => chain.reorg(20, 21, [log('new')]))
    await until(() => one.logs().length === 61)
    expect(one.logs()).toEqual([
      ...range(1, 20).map(String),
      ...range(1, 20)
        .toReversed()
        .map((n) => `-${n}`),
      ...range(1, 21).map(() => 'new'),
    ])
  })

  test('are made up for from where they were left, however far new heads have come since', async () => {
    const { chain, node, one } = await subscribed(params)
    const heads = await one.subscribe('["newHeads"]')
    chain.mine(1)
    await until(() => one.heads(heads).length === 1)
    const gate = Promise.withResolvers<undefined>()
    node.handlers.set('eth_getLogs', () => gate.promise)
    await cut(node, () => chain.mine(1, [log('1')]))
    chain.mine(30)
    await until(() => one.heads(heads).length === 32)
    await node.until(() => node.callsTo('eth_getLogs').length > 0)
    await cut(node, () => gate.resolve(undefined))
    await until(() => one.logs().includes('1'))
  })

  test('keep the filter of the client', async () => {
    const { chain, node, one } = await subscribed('["logs",{"topics":[["0x1"]],"address":"0xa"}]')
    await cut(node, () => chain.mine(1, [log('1')]))
    await until(() => one.logs().length === 1)
    expect(node.callsTo('eth_getLogs')[0]!.params[0]).toMatchObject({ address: '0xa', topics: [['0x1']] })
  })

  test('are remembered only so far', async () => {
    const { chain, node, one } = await subscribed(params, { limits: { rememberedBytes: 2000, logOverlapBlocks: 2 } })
    for (let i = 0; i < 50; i++) chain.mine(1, [log(String(i))])
    await until(() => one.logs().length === 50)
    await cut(node, () => chain.reorg(1, 1, [log('new')]))
    await until(() => one.logs().length >= 52)
    expect(one.logs().slice(-2)).toEqual(['-49', 'new'])
  })
})

describe('another node takes over', () => {
  async function pair(changes = {}) {
    const chain = new ScriptedChain(10)
    const [first, second] = [await socketNode({ chain, name: 'a' }), await socketNode({ chain, name: 'b' })]
    const made = socketUpstream([first, second], changes)
    const clients = [made.client(), made.client()]
    await Promise.all(clients.map((each) => each.subscribe()))
    const [inUse, other] = first.subscriptions.size > 0 ? [first, second] : [second, first]
    await inUse.until(() => inUse.callsTo('eth_blockNumber').length === 1)
    return { chain, inUse, other, clients, ...made }
  }

  test('when the first one dies, without a gap', async () => {
    const { chain, inUse, other, clients } = await pair()
    chain.mine(3)
    await until(() => clients.every((each) => each.heads().length === 3))
    await inUse.die()
    chain.mine(3)
    await other.until(() => other.subscriptions.size === 1)
    chain.mine(3)
    await until(() => clients.every((each) => each.heads().length === 9))
    for (const each of clients) expect(each.heads()).toEqual(range(11, 19))
  })

  test('and gives back when it dies itself', async () => {
    const { chain, inUse, other, clients } = await pair()
    for (const [from, to] of [
      [inUse, other],
      [other, inUse],
      [inUse, other],
    ] as const) {
      await from.die()
      chain.mine(2)
      await to.until(() => to.subscriptions.size === 1)
      chain.mine(1)
      await from.start()
    }
    await until(() => clients.every((each) => each.heads().length === 9))
    for (const each of clients) expect(each.heads()).toEqual(range(11, 19))
  })

  test('although it lags: what it tells again is not delivered again', async () => {
    const behind = new ScriptedChain(10)
    const ahead = new ScriptedChain(10)
    const [first, second] = [await socketNode({ chain: ahead, name: 'a' }), await socketNode({ chain: behind, name: 'b' })]
    const { client } = socketUpstream([first, second])
    const one = client()
    await one.subscribe()
    await first.until(() => first.callsTo('eth_blockNumber').length === 1)
    ahead.mine(5)
    await until(() => one.heads().length === 5)
    behind.mine(2)
    await first.die()
    await second.until(() => second.subscriptions.size === 1)
    behind.mine(5)
    await until(() => one.heads().length === 7)
    expect(one.heads()).toEqual(range(11, 17))
  })

  test('and logs wait until it has come as far as was delivered', async () => {
    const behind = new ScriptedChain(10)
    const ahead = new ScriptedChain(10)
    const [first, second] = [await socketNode({ chain: ahead, name: 'a' }), await socketNode({ chain: behind, name: 'b' })]
    const { client } = socketUpstream([first, second])
    const one = client()
    await one.subscribe('["logs",{}]')
    await first.until(() => first.callsTo('eth_blockNumber').length === 1)
    for (const chain of [ahead, behind]) chain.mine(1, [log('1')])
    ahead.mine(1, [log('2')])
    ahead.mine(1, [log('3')])
    await until(() => one.logs().length === 3)
    await first.die()
    await second.until(() => second.callsTo('eth_blockNumber').length > 1)
    behind.mine(1, [log('2')])
    behind.mine(1, [log('other 3')])
    behind.mine(1, [log('4')])
    await until(() => one.logs().length === 6)
    expect(one.logs()).toEqual(['1', '2', '3', '-3', 'other 3', '4'])
  })

  test('when the first one refuses what it granted before', async () => {
    const { chain, inUse, other, clients } = await pair()
    inUse.handlers.set('eth_subscribe', refusal('not any more'))
    other.handlers.set('eth_subscribe', refusal('never'))
    inUse.cut()
    await other.until(() => other.callsTo('eth_subscribe').length > 0)
    other.handlers.delete('eth_subscribe')
    await other.until(() => other.subscriptions.size === 1)
    chain.mine(1)
    await until(() => clients.every((each) => each.heads().length === 1))
  })

  test('and where all refuse for good, the clients are told by the end of their sessions', async () => {
    const { inUse, other, clients, metric } = await pair({ limits: { resubscribeAttempts: 3 } })
    inUse.handlers.set('eth_subscribe', refusal('no'))
    other.handlers.set('eth_subscribe', refusal('no'))
    inUse.cut()
    await until(() => clients.every((each) => each.closed !== undefined))
    expect(clients[0]!.closed).toEqual([1011, 'a subscription cannot be kept'])
    expect(await metric('tollgate_client_subscriptions{upstream="test"}')).toBe(0)
  })
})

test('what cannot be asked for afterwards is only subscribed to again', async () => {
  const node = await socketNode()
  const one = socketUpstream([node]).client()
  await one.subscribe('["newPendingTransactions"]')
  await cut(node, () => node.chain.mine(3))
  const [nodeId] = node.subscriptions.keys()
  node.notify(nodeId!, '"0xabc"')
  await until(() => one.notifications.length === 1)
  expect(one.received.at(-1)).toContain('"result":"0xabc"')
})

test('clients that subscribe while the socket is lost are served once it is back, and get only what comes then', async () => {
  const { chain, node, one, client } = await subscribed('["newHeads"]')
  chain.mine(1)
  await until(() => one.heads().length === 1)
  const gate = Promise.withResolvers<undefined>()
  node.handlers.set('eth_getBlockByNumber', () => gate.promise)
  await cut(node, () => chain.mine(3))
  const late = client()
  const id = late.subscribe()
  gate.resolve(undefined)
  await id
  chain.mine(2)
  await until(() => one.heads().length === 6 && late.heads().length === 2)
  expect(one.heads()).toEqual(range(11, 16))
  expect(late.heads()).toEqual([15, 16])
})

test('clients that leave while the socket is lost are not subscribed for again', async () => {
  const { node, one, metric } = await subscribed('["newHeads"]')
  await node.die()
  one.leave()
  await node.start()
  expect(await metric('tollgate_client_subscriptions{upstream="test"}')).toBe(0)
  expect(node.callsTo('eth_subscribe')).toHaveLength(1)
})

test('a node that hangs is found out by its missing pongs', async () => {
  const chain = new ScriptedChain(10)
  const [first, second] = [await socketNode({ chain, name: 'a' }), await socketNode({ chain, name: 'b' })]
  const one = socketUpstream([first, second], { limits: { pingIntervalMs: 30 } }).client()
  await one.subscribe()
  await first.until(() => first.callsTo('eth_blockNumber').length === 1)
  for (const handshake of first.handshakes) handshake.socket.pause()
  await second.until(() => second.subscriptions.size === 1)
  chain.mine(1)
  await until(() => one.heads().length === 1)
})
