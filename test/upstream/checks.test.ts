/** What checks find of nodes: their chain, how high they are, whether they can be reached; and what follows from it. */
import { describe, expect, onTestFinished, test } from 'vitest'
import { NodeUpstream } from '../../core/upstream/upstream.ts'
import { answer, hang, reply, reset, startScriptedNode } from '../support/scripted-node.ts'
import { ask, brief, call, context, deps, nodeOf, nodes, oneNode, specOf, upstreamOf } from './fixture.ts'
import type { Call } from '../../core/plugin/session.ts'
import type { ActiveSpec } from '../../core/upstream/spec.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

const ACTIVE: ActiveSpec = { intervalMs: 30, timeoutMs: 500, chainId: undefined, maxLag: 2, successes: 1, failures: 3 }
const ANSWER = 'result {"method":"eth_call","params":[]}'

/** Makes a node answer checks. */
function tells(node: ScriptedNode, head: number, chainId = 1, syncing = 'false'): void {
  node.results.set('eth_blockNumber', `"0x${head.toString(16)}"`)
  node.results.set('eth_chainId', `"0x${chainId.toString(16)}"`)
  node.results.set('eth_syncing', syncing)
}

async function chainNodes(...heads: readonly number[]): Promise<ScriptedNode[]> {
  const all = await nodes(heads.length)
  for (const [i, node] of all.entries()) tells(node, heads[i]!)
  return all
}

function checked(all: readonly ScriptedNode[], active: Partial<ActiveSpec> = {}, changes = {}, parts = deps()): NodeUpstream {
  return upstreamOf(
    all.map(({ url }) => url),
    { active: { ...ACTIVE, ...active }, retries: 1, ...changes },
    parts,
  )
}

/** What the report says of each node. */
function standings(upstream: NodeUpstream): string[] {
  return upstream.report().nodes.map(({ standing }) => standing)
}

function until(upstream: NodeUpstream, ...wanted: string[]): Promise<void> {
  return expect.poll(() => standings(upstream), { interval: 5, timeout: 5000 }).toEqual(wanted)
}

/** How many calls of clients a node has had. */
function served(node: ScriptedNode): number {
  return node.calls.filter(({ method }) => method === 'eth_call').length
}

describe('a node', () => {
  test('on another chain is out before it has answered any call, and stays out', async () => {
    const [right, wrong] = await chainNodes(10, 10)
    tells(wrong!, 10, 5)
    const upstream = checked([wrong!, right!], { chainId: 1 })
    for (let i = 0; i < 6; i++) expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
    expect(standings(upstream)).toEqual(['wrong-chain', 'up'])
    expect(served(wrong!)).toBe(0)
    expect(upstream.report().head).toBe(10)
  })

  test('that comes back on another chain is not asked again', async () => {
    const [one, other] = await chainNodes(10, 10)
    const upstream = checked([one!, other!], { chainId: 1 })
    await ask(upstream, 'eth_call')
    await one!.stop()
    await until(upstream, 'unreachable', 'up')
    const impostor = await startScriptedNode({ port: one!.port })
    onTestFinished(() => impostor.stop())
    tells(impostor, 900, 5)
    await until(upstream, 'wrong-chain', 'up')
    for (let i = 0; i < 4; i++) expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
    expect(served(impostor)).toBe(0)
    expect(upstream.report().head).toBe(10)
  })

  test('that falls behind the others is out until it has caught up', async () => {
    const [ahead, behind] = await chainNodes(10, 10)
    const upstream = checked([ahead!, behind!])
    await until(upstream, 'up', 'up')
    tells(ahead!, 13)
    await until(upstream, 'up', 'lagging')
    tells(behind!, 11)
    await until(upstream, 'up', 'up')
  })

  test('that was behind has to be well as often as is wanted', async () => {
    const [ahead, behind] = await chainNodes(13, 10)
    const upstream = checked([ahead!, behind!], { successes: 3 })
    await until(upstream, 'up', 'lagging')
    tells(behind!, 13)
    const before = behind!.calls.length
    await until(upstream, 'up', 'up')
    expect(behind!.calls.slice(before).filter(({ method }) => method === 'eth_blockNumber').length).toBeGreaterThanOrEqual(3)
  })

  test.each([
    ['with the numbers of blocks', '{"currentBlock":"0x1","highestBlock":"0x64"}', 'syncing'],
    ['without numbers', '{"stage":"headers"}', 'syncing'],
    ['but has nearly caught up', '{"currentBlock":"0x63","highestBlock":"0x64"}', 'up'],
  ])('that says it is syncing %s', async (_what, syncing, standing) => {
    const [well, node] = await chainNodes(10, 10)
    tells(node!, 10, 1, syncing)
    await until(checked([well!, node!]), 'up', standing)
  })

  test('that cannot be reached is out after some checks, and back at the first that it answers', async () => {
    const [one, other] = await chainNodes(10, 10)
    const upstream = checked([one!, other!], { failures: 2 })
    await until(upstream, 'up', 'up')
    await one!.stop()
    await until(upstream, 'unreachable', 'up')
    const again = await startScriptedNode({ port: one!.port })
    onTestFinished(() => again.stop())
    tells(again, 10)
    await until(upstream, 'up', 'up')
  })

  test('that calls found failing is back when a check finds it well, and no call tries it before', async () => {
    const [bad, good] = await chainNodes(10, 10)
    const upstream = upstreamOf([], {
      nodes: [nodeOf(bad!.url, { priority: 1 }), nodeOf(good!.url)],
      active: { ...ACTIVE, intervalMs: 100 },
      retries: 1,
      passive: { failures: 3, ratio: 0.5, coolDownMs: 0 },
    })
    bad!.script((request, socket, node) => (request.calls[0]!.method === 'eth_call' ? reset : reply('down', 503))(request, socket, node))
    for (let i = 0; i < 20; i++) expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
    expect(served(bad!)).toBe(3)
    bad!.script(undefined)
    await until(upstream, 'up', 'up')
  })

  test.each([
    ['eth_syncing', reply('{"id":{id},"error":{"code":-32601,"message":"method not found"}}')],
    ['eth_blockNumber', reply('{"id":{id},"error":{"code":-32601,"message":"method not found"}}')],
    ['eth_blockNumber', reply('{"id":{id},"error":{"code":-32600,"message":"unsupported"}}')],
    ['eth_blockNumber', reply('no such page', 404)],
  ])('that does not know %s is well, and when calls found it failing it is back', async (method, refusing) => {
    const [node, other] = await chainNodes(10, 10)
    let isDown = false
    node!.script((request, socket, self) => {
      const { method: asked } = request.calls[0]!
      if (asked === 'eth_call' && isDown) reset(request, socket, self)
      else if (asked === method) refusing(request, socket, self)
      else answer(request, socket, self)
    })
    const upstream = checked([node!, other!], {}, { passive: { failures: 1, ratio: 1, coolDownMs: 20 } })
    await until(upstream, 'up', 'up')
    isDown = true
    for (let i = 0; i < 2; i++) await ask(upstream, 'eth_call')
    isDown = false
    await until(upstream, 'up', 'up')
    expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
  })

  test.each([
    ['another status', reply('down', 500)],
    ['nonsense', reply('{"id":{id},"result":"high"}')],
    ['an error about itself', reply('{"id":{id},"error":{"code":-32603,"message":"internal error"}}')],
  ])('that answers checks with %s is out', async (_what, answering) => {
    const [node, other] = await chainNodes(10, 10)
    node!.script(answering)
    await until(checked([node!, other!], { failures: 2 }), 'unreachable', 'up')
  })

  test('that will not say which chain it is on gets no calls where that matters', async () => {
    const [silent, right] = await chainNodes(10, 10)
    silent!.script((request, socket, self) => {
      const script = request.calls[0]!.method === 'eth_chainId' ? reply('{"id":{id},"error":{"code":-32601,"message":"method not found"}}') : answer
      script(request, socket, self)
    })
    const upstream = checked([silent!, right!], { chainId: 1 })
    for (let i = 0; i < 4; i++) expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
    expect(served(silent!)).toBe(0)
  })

  test('that is behind serves while there is no other', async () => {
    const [ahead, behind] = await chainNodes(20, 10)
    tells(behind!, 10, 1, '{"currentBlock":"0xa","highestBlock":"0x14"}')
    const upstream = checked([ahead!, behind!])
    await until(upstream, 'up', 'syncing')
    for (let i = 0; i < 3; i++) await ask(upstream, 'eth_call')
    expect(served(behind!)).toBe(0)
    await ahead!.stop()
    for (const method of ['eth_call', 'eth_call', 'eth_sendRawTransaction']) expect(await ask(upstream, method)).toEqual([expect.stringMatching(/^result/)])
    expect(served(behind!)).toBeGreaterThan(0)
  })

  test('that hangs does not hold up the checks of the others', async () => {
    const [stuck, ahead, behind] = await chainNodes(10, 10, 10)
    stuck!.script(hang)
    const upstream = checked([stuck!, ahead!, behind!], { timeoutMs: 200 })
    await until(upstream, 'unreachable', 'up', 'up')
    tells(ahead!, 20)
    await until(upstream, 'unreachable', 'up', 'lagging')
  })
})

describe('before the first check', () => {
  test('calls wait for it where the chain matters', async () => {
    const node = await oneNode()
    node.script(hang)
    const upstream = checked([node], { chainId: 1 })
    const answered = ask(upstream, 'eth_call')
    await node.arrived(3)
    expect(served(node)).toBe(0)
    tells(node, 10)
    node.script(undefined)
    for (const { calls } of node.requests) expect(calls[0]!.method).not.toBe('eth_call')
    expect(await answered).toEqual(['upstreamUnavailable no-healthy-node'])
    await until(upstream, 'up')
    expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
  })

  test('calls are refused when it finds no node on the chain', async () => {
    const [node] = await chainNodes(10)
    expect(await ask(checked([node!], { chainId: 7 }), 'eth_call')).toEqual(['upstreamUnavailable no-healthy-node'])
  })
})

test('heads and health are told to operators, and no URL', async () => {
  const parts = deps()
  const [one, other] = await chainNodes(10, 16)
  const upstream = upstreamOf([], { id: 'eth', nodes: [nodeOf(one!.url, { id: 'a' }), nodeOf(other!.url)], active: ACTIVE }, parts)
  await until(upstream, 'lagging', 'up')
  const text = await parts.registry.text()
  expect(text).toContain('tollgate_upstream_head_block{upstream="eth"} 16')
  expect(text).toContain('tollgate_node_healthy{upstream="eth",node="a"} 0')
  expect(text).toContain('tollgate_node_healthy{upstream="eth",node="1"} 1')
  expect(upstream.report()).toEqual({
    id: 'eth',
    type: 'roundrobin',
    head: 16,
    finalized: null,
    nodes: [
      {
        node: 'a',
        healthy: false,
        standing: 'lagging',
        head: 10,
        lag: 6,
        in_flight: expect.any(Number) as number,
        latency_ms: null,
        check_ms: expect.any(Number) as number,
      },
      {
        node: '1',
        healthy: true,
        standing: 'up',
        head: 16,
        lag: 0,
        in_flight: expect.any(Number) as number,
        latency_ms: null,
        check_ms: expect.any(Number) as number,
      },
    ],
  })
})

describe('while no node is well', () => {
  test('calls are refused at once and asked of nobody, and answered again once checks find nodes well', async () => {
    const two = await chainNodes(10, 10)
    const upstream = checked(two, { failures: 1 }, { passive: { failures: 1, ratio: 1, coolDownMs: 0 } })
    await until(upstream, 'up', 'up')
    for (const node of two) node.script(reply('down', 503))
    await until(upstream, 'unreachable', 'unreachable')
    const before = two.map(served)
    for (let i = 0; i < 50; i++) {
      const later = new Promise((resolve) => void setImmediate(resolve, 'later'))
      expect(await Promise.race([later, ask(upstream, 'eth_call')])).toEqual(['upstreamUnavailable no-healthy-node'])
    }
    expect(two.map(served)).toEqual(before)
    for (const node of two) node.script(undefined)
    await until(upstream, 'up', 'up')
    expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
  })
})

test('a reload forgets that a node was out which is not there any more', async () => {
  const parts = deps()
  const [up, down] = await chainNodes(10, 10)
  await down!.stop()
  const spec = (...urls: string[]) => specOf([], { nodes: urls.map((url, i) => nodeOf(url, { id: `n${i}` })), active: { ...ACTIVE, failures: 1 } })
  const before = new NodeUpstream(spec(up!.url, down!.url), parts)
  await until(before, 'up', 'unreachable')
  expect(await parts.registry.text()).toContain('tollgate_node_healthy{upstream="test",node="n1"} 0')
  const after = new NodeUpstream(spec(up!.url), parts, before)
  onTestFinished(() => after.close())
  before.retire()
  expect(await parts.registry.text()).toContain('tollgate_node_healthy{upstream="test",node="n1"} 1')
  await before.close()
})

test('checks are no calls of clients, and end with the upstream', async () => {
  const parts = deps()
  const [node] = await chainNodes(10)
  const upstream = checked([node!], { intervalMs: 10 }, {}, parts)
  await until(upstream, 'up')
  expect(await parts.registry.text()).toContain('tollgate_upstream_attempts_total{upstream="test"} 0')
  upstream.retire()
  await node!.deserted()
  const { length } = node!.requests
  await new Promise((resolve) => void setTimeout(resolve, 60))
  expect(node!.requests).toHaveLength(length)
})

test('where blocks are old is known from the nodes themselves', async () => {
  const [plain, archive] = await chainNodes(1000, 1000)
  const upstream = upstreamOf([], { nodes: [nodeOf(plain!.url, { priority: 1 }), nodeOf(archive!.url, { tags: ['archive'] })] })
  await expect.poll(() => upstream.report().head, { interval: 5, timeout: 5000 }).toBe(1000)
  const at = (block: number) => {
    const params = ['0xaa', `0x${block.toString(16)}`]
    return upstream.exchange([call('eth_getBalance', JSON.stringify(params))], { ...context(), calls: [{ params } as unknown as Call] })
  }
  const balances = (node: ScriptedNode): number => node.calls.filter(({ method }) => method === 'eth_getBalance').length
  await at(1000 - 128)
  expect([balances(plain!), balances(archive!)]).toEqual([1, 0])
  await at(1000 - 129)
  expect([balances(plain!), balances(archive!)]).toEqual([1, 1])
})

describe('finality', () => {
  function sender(username: string) {
    const values = new Map<string, unknown>()
    const session = {
      remoteAddr: '192.0.2.1',
      get: (slot: { name: string }) => (slot.name === 'consumer' ? { username } : values.get(slot.name)),
      set: (slot: { name: string }, value: unknown) => void values.set(slot.name, value),
    }
    return { calls: [{ session } as unknown as Call], values }
  }

  test('a consumer that has sent a transaction reads from nodes as high as what it saw, others from any', async () => {
    const [high, low] = await chainNodes(20, 19)
    const upstream = checked([high!, low!], {}, { finality: true, type: 'least_conn' })
    await until(upstream, 'up', 'up')
    const { calls, values } = sender('paula')
    const send = async (method: string) => brief((await upstream.exchange([call(method)], { ...context(), calls }))[0])
    while (served(high!) === 0) await send('eth_call')
    expect(values.get('last-seen-block')).toBe(20)
    await send('eth_sendRawTransaction')
    const before = served(low!)
    for (let i = 0; i < 6; i++) expect(await send('eth_call')).toBe(ANSWER)
    expect(served(low!)).toBe(before)
    const other = sender('frank')
    for (let i = 0; i < 6; i++) await upstream.exchange([call('eth_call')], { ...context(), calls: other.calls })
    expect(served(low!)).toBeGreaterThan(before)
  })

  test('where no node is as high, the highest answers', async () => {
    const [high, low] = await chainNodes(20, 19)
    const upstream = checked([high!, low!], {}, { finality: true })
    await until(upstream, 'up', 'up')
    const { calls } = sender('paula')
    tells(high!, 99)
    while ((await upstream.exchange([call('eth_blockNumber')], { ...context(), calls }).then(([outcome]) => brief(outcome))) !== 'result "0x63"') continue
    await upstream.exchange([call('eth_sendRawTransaction')], { ...context(), calls })
    await high!.stop()
    await until(upstream, 'unreachable', 'up')
    expect(brief((await upstream.exchange([call('eth_call')], { ...context(), calls }))[0])).toBe(ANSWER)
  })
})
