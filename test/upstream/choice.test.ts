/** Which node is asked: the kinds of choice, priorities, and what a node can answer. */
import { describe, expect, test } from 'vitest'
import { callTemplate } from '../../core/plugin/template.ts'
import { ConsistentHash } from '../../core/upstream/consistent-hash.ts'
import { LeastConnections } from '../../core/upstream/least-connections.ts'
import { PeakEwma, PeakLatency } from '../../core/upstream/peak-ewma.ts'
import { RoundRobin } from '../../core/upstream/round-robin.ts'
import { hang, reset } from '../support/scripted-node.ts'
import { ask, brief, call, context, nodeOf, nodes, oneNode, upstreamOf } from './fixture.ts'
import type { Call } from '../../core/plugin/session.ts'
import type { NodeUpstream } from '../../core/upstream/upstream.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

/** How many requests each node had; where heads matter, nodes are also asked for theirs. */
function counts(asked: readonly ScriptedNode[]): number[] {
  return asked.map((node) => node.requests.filter(({ calls }) => calls[0]!.method !== 'eth_blockNumber').length)
}

/** A call whose session has this address, which is what the key of the tests' upstreams reads. */
function from(remoteAddr: string): Call {
  return { session: { remoteAddr } } as Call
}

async function askFrom(upstream: NodeUpstream, remoteAddr: string): Promise<void> {
  const outcomes = await upstream.exchange([call('eth_call')], { ...context(), calls: [from(remoteAddr)] })
  expect(brief(outcomes[0])).toMatch(/^result/)
}

describe('round robin', () => {
  test('shares calls by weight, and spreads those of a heavy node', () => {
    const all = [
      { name: 'a', weight: 5 },
      { name: 'b', weight: 1 },
      { name: 'c', weight: 1 },
    ]
    const turns = new RoundRobin(all)
    expect(Array.from({ length: 14 }, () => turns.pick(all).name).join('')).toBe('aabacaaaabacaa')
  })

  test('goes over the nodes of an upstream', async () => {
    const three = await nodes(3)
    const upstream = upstreamOf(three.map((node) => node.url))
    for (let i = 0; i < 9; i++) await ask(upstream, 'eth_call')
    expect(counts(three)).toEqual([3, 3, 3])
  })
})

describe('least connections', () => {
  test('takes the node with the fewest requests for its weight, and equal ones in turn', () => {
    const [a, b, c] = [
      { weight: 1, inFlight: 2 },
      { weight: 1, inFlight: 1 },
      { weight: 4, inFlight: 4 },
    ]
    const choice = new LeastConnections()
    expect(choice.pick([a, b])).toBe(b)
    expect(choice.pick([a, b, c])).toBe(c)
    const equal = [
      { weight: 1, inFlight: 0 },
      { weight: 1, inFlight: 0 },
    ]
    expect(new Set([choice.pick(equal), choice.pick(equal)]).size).toBe(2)
  })

  test('leaves a node alone that does not answer', async () => {
    const [slow, quick] = await nodes(2)
    slow!.script(hang)
    const upstream = upstreamOf([slow!.url, quick!.url], { type: 'least_conn' })
    const held = context()
    const hanging = [upstream.exchange([call('eth_call')], held)]
    await slow!.arrived(1)
    for (let i = 0; i < 5; i++) await ask(upstream, 'eth_call')
    held.running!.cancel()
    await Promise.all(hanging)
    expect(counts([slow!, quick!])).toEqual([1, 5])
  })
})

describe('ewma', () => {
  test('a latency rises at once and whole, and falls by and by', () => {
    const latency = new PeakLatency()
    expect(latency.at(0)).toBe(0)
    latency.observe(10, 0)
    latency.observe(500, 100)
    expect(latency.at(100)).toBe(500)
    latency.observe(10, 1000)
    expect(latency.at(1000)).toBeGreaterThan(400)
    for (let at = 2000; at <= 60_000; at += 1000) latency.observe(10, at)
    expect(latency.at(60_000)).toBeLessThan(12)
  })

  test('takes the node that is expected to be done first, and tries the unknown once', () => {
    const node = (ms: number, inFlight: number, weight = 1) => {
      const latency = new PeakLatency()
      if (ms > 0) latency.observe(ms, 0)
      return { latency, inFlight, weight }
    }
    const pick = (...all: ReturnType<typeof node>[]) => all.indexOf(new PeakEwma<(typeof all)[number]>(() => 0).pick(all))
    expect(pick(node(10, 0), node(30, 0))).toBe(0)
    expect(pick(node(10, 5), node(30, 0))).toBe(1)
    expect(pick(node(10, 5), node(30, 0), node(30, 0, 4))).toBe(2)
    expect(pick(node(10, 0), node(0, 0))).toBe(1)
    expect(pick(node(10, 0), node(0, 1))).toBe(0)
  })

  test('asks the quick node, and the slow one now and then', async () => {
    const [slow, quick] = await nodes(2)
    slow!.script((request, socket) => void setTimeout(() => socket.write(answerOf(request.calls[0]!.id!)), 60))
    const upstream = upstreamOf([slow!.url, quick!.url], { type: 'ewma' })
    for (let i = 0; i < 20; i++) await ask(upstream, 'eth_call')
    expect(slow!.requests.length).toBeLessThan(4)
  })
})

function answerOf(id: string): string {
  const body = `{"id":${id},"result":1}`
  return `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`
}

describe('chash', () => {
  const five = ['a', 'b', 'c', 'd', 'e'].map((identity) => ({ identity, weight: 1 }))
  const keys = Array.from({ length: 2000 }, (_, i) => `consumer-${i}`)

  test('spreads keys by weight', () => {
    const weighted = [
      { identity: 'a', weight: 1 },
      { identity: 'b', weight: 3 },
    ] as const
    const ring = new ConsistentHash<(typeof weighted)[number]>(weighted)
    const share = keys.filter((key) => ring.pick(weighted, key) === weighted[0]).length / keys.length
    expect(share).toBeGreaterThan(0.15)
    expect(share).toBeLessThan(0.35)
  })

  test('moves only the keys of a node that is out, whatever the order of the nodes', () => {
    const ring = new ConsistentHash(five)
    const reordered = new ConsistentHash(five.toReversed())
    const others = five.filter((node) => node.identity !== 'c')
    for (const key of keys) {
      const before = ring.pick(five, key)
      expect(reordered.pick(five, key)).toBe(before)
      const after = ring.pick(others, key)
      expect(others).toContain(after)
      expect(after === before || before.identity === 'c').toBe(true)
    }
  })

  test('sends what is of one key to one node', async () => {
    const three = await nodes(3)
    const upstream = upstreamOf(
      three.map((node) => node.url),
      { type: 'chash', key: '$remote_addr' },
    )
    for (let i = 0; i < 4; i++) await askFrom(upstream, '192.0.2.7')
    expect(counts(three).toSorted((a, b) => a - b)).toEqual([0, 0, 4])
    for (let i = 0; i < 30; i++) await askFrom(upstream, `192.0.2.${i}`)
    expect(counts(three).every((count) => count > 0)).toBe(true)
  })

  test('the key may be of the call', () => {
    expect(callTemplate('$rpc_method')({ method: 'eth_call' } as Call)).toBe('eth_call')
  })
})

describe('priority', () => {
  test('nodes of a lower one serve only while none of the higher can', async () => {
    const [first, second] = await nodes(2)
    const upstream = upstreamOf([], { nodes: [nodeOf(second!.url, { priority: -1 }), nodeOf(first!.url)], retries: 1 })
    for (let i = 0; i < 3; i++) await ask(upstream, 'eth_call')
    expect(counts([first!, second!])).toEqual([3, 0])
    first!.script(reset)
    for (let i = 0; i < 6; i++) expect((await ask(upstream, 'eth_call'))[0]).toMatch(/^result/)
    expect(counts([first!, second!])).toEqual([6, 6])
  })
})

describe('what a node can answer', () => {
  const OLD = '["0xaa","0x1"]'

  async function asked(upstream: NodeUpstream, method: string, params = '[]'): Promise<string> {
    const outcomes = await upstream.exchange([call(method, params)], { ...context(), calls: [{ method, params: JSON.parse(params) as unknown } as Call] })
    return brief(outcomes[0])
  }

  test('methods go to nodes that list them', async () => {
    const [plain, tracing] = await nodes(2)
    const upstream = upstreamOf([], {
      nodes: [nodeOf(plain!.url, { methods: ['eth_*', '!eth_getLogs'] }), nodeOf(tracing!.url, { methods: ['trace_*', 'eth_getLogs'] })],
    })
    for (const method of ['eth_call', 'eth_getLogs', 'trace_block', 'eth_chainId']) expect(await asked(upstream, method)).toMatch(/^result/)
    expect(plain!.calls.map(({ method }) => method)).toEqual(['eth_call', 'eth_chainId'])
    expect(tracing!.calls.map(({ method }) => method)).toEqual(['eth_getLogs', 'trace_block'])
    expect(await asked(upstream, 'net_version')).toBe('upstreamUnavailable no-capable-node')
  })

  test('a list that only denies leaves all other methods', async () => {
    const node = await oneNode()
    const upstream = upstreamOf([], { nodes: [nodeOf(node.url, { methods: ['!debug_*'] })] })
    expect(await asked(upstream, 'eth_call')).toMatch(/^result/)
    expect(await asked(upstream, 'debug_traceCall')).toBe('upstreamUnavailable no-capable-node')
  })

  test('traces go to nodes that have them', async () => {
    const [plain, tracing] = await nodes(2)
    const upstream = upstreamOf([], { nodes: [nodeOf(plain!.url), nodeOf(tracing!.url, { tags: ['trace'] })] })
    for (let i = 0; i < 3; i++) await asked(upstream, 'debug_traceTransaction')
    await asked(upstream, 'trace_block')
    expect(counts([plain!, tracing!])).toEqual([0, 4])
  })

  test('a tag that no node has is not asked for', async () => {
    const node = await oneNode()
    expect(await asked(upstreamOf([node.url]), 'trace_block')).toMatch(/^result/)
  })

  test('while nobody knows the head, every numbered block is an old one', async () => {
    const [plain, archive] = await nodes(2)
    const upstream = upstreamOf([], { nodes: [nodeOf(plain!.url, { priority: 1 }), nodeOf(archive!.url, { tags: ['archive'] })] })
    await asked(upstream, 'eth_getBalance', OLD)
    await asked(upstream, 'eth_getBalance', '["0xaa",{"blockNumber":"0x1"}]')
    await asked(upstream, 'eth_getStorageAt', '["0xaa","0x0","earliest"]')
    expect(counts([plain!, archive!])).toEqual([0, 3])
    await asked(upstream, 'eth_getBalance', '["0xaa","latest"]')
    await asked(upstream, 'eth_getBalance', '["0xaa"]')
    await asked(upstream, 'eth_getBalance', '["0xaa",{"blockHash":"0x11"}]')
    await asked(upstream, 'eth_getBalance', '{"address":"0xaa"}')
    await asked(upstream, 'eth_getBlockByNumber', '["0x1",false]')
    expect(counts([plain!, archive!])).toEqual([5, 3])
  })

  test('rules of the upstream stand in the place of the usual ones', async () => {
    const [plain, special] = await nodes(2)
    const rules = { recentBlocks: 128, methods: { 'getBlock*': { tags: ['ledger'], block: undefined } } }
    const upstream = upstreamOf([], { nodes: [nodeOf(plain!.url, { priority: 1 }), nodeOf(special!.url, { tags: ['ledger'] })], rules })
    await asked(upstream, 'getBlockTime')
    await asked(upstream, 'trace_block')
    expect(counts([plain!, special!])).toEqual([1, 1])
  })

  test('a batch is spread over the nodes that can answer its members, and answered in order', async () => {
    const [plain, tracing] = await nodes(2)
    const upstream = upstreamOf([], { nodes: [nodeOf(plain!.url, { priority: 1 }), nodeOf(tracing!.url, { tags: ['trace'] })] })
    const methods = ['eth_call', 'trace_block', 'eth_chainId', 'debug_traceCall']
    expect(await ask(upstream, ...methods)).toEqual(methods.map((method) => `result {"method":"${method}","params":[]}`))
    expect(plain!.calls.map(({ method }) => method)).toEqual(['eth_call', 'eth_chainId'])
    expect(tracing!.calls.map(({ method }) => method)).toEqual(['trace_block', 'debug_traceCall'])
  })

  test('a node that has pruned what it is asked for makes room for an archive', async () => {
    const [plain, other, archive] = await nodes(3)
    for (const node of [plain!, other!]) node.script((request, socket) => socket.write(pruned(request.calls[0]!.id!)))
    const upstream = upstreamOf([], {
      nodes: [nodeOf(plain!.url, { priority: 1 }), nodeOf(other!.url, { priority: 1 }), nodeOf(archive!.url, { tags: ['archive'] })],
      retries: 1,
    })
    expect(await asked(upstream, 'eth_getBalance', '["0xaa",{"blockHash":"0x11"}]')).toMatch(/^result/)
    expect(counts([archive!])).toEqual([1])
  })
})

function pruned(id: string): string {
  const body = `{"id":${id},"error":{"code":-32000,"message":"missing trie node 1a2b (path )"}}`
  return `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`
}

test('a node of weight 0 takes no calls, and an upstream of none other has no node', async () => {
  const node = await oneNode()
  const upstream = upstreamOf([], { nodes: [nodeOf(node.url, { weight: 0 })], retries: 3 })
  expect(await ask(upstream, 'eth_call')).toEqual(['upstreamUnavailable no-node'])
})
