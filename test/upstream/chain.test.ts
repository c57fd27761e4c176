/** The chain that an upstream's nodes follow: its head, what is final, and its turns. */
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { Chains } from '../../core/upstream/chains.ts'
import { networkFinder } from '../../core/route/networks.ts'
import { startAnvil } from '../support/anvil.ts'
import { http, startScriptedNode } from '../support/scripted-node.ts'
import { deps, logged, nodes, upstreamOf } from './fixture.ts'
import type { CompiledRoute } from '../../core/config/snapshot.ts'
import type { ActiveSpec } from '../../core/upstream/spec.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

const ACTIVE: ActiveSpec = { intervalMs: 15, timeoutMs: 500, chainId: undefined, maxLag: 100, successes: 1, failures: 3 }
const PATIENT = { interval: 3, timeout: 5000 }
const { log } = deps()

/** A chain of a node's own; a block's hash says its number and the branch that it was mined on. */
class ScriptedChain {
  finalized = 0
  private readonly branches: string[] = []

  mine(count = 1, branch = 'a'): void {
    for (let i = 0; i < count; i++) this.branches.push(branch)
  }

  /** Takes so many blocks back. */
  revert(count: number): void {
    this.branches.length -= count
  }

  copy(from: ScriptedChain): void {
    this.branches.splice(0, Infinity, ...from.branches)
  }

  serve(node: ScriptedNode): this {
    node.script((request, socket) => {
      const { id, method, params } = request.calls[0]!
      const result = this.answer(method, JSON.parse(params ?? '[]') as unknown[])
      socket.write(http(`{"id":${id},"result":${JSON.stringify(result)}}`))
    })
    return this
  }

  private answer(method: string, [which]: readonly unknown[]): unknown {
    const head = this.branches.length
    if (method === 'eth_blockNumber') return `0x${head.toString(16)}`
    if (method !== 'eth_getBlockByNumber') return false
    const number = which === 'latest' ? head : which === 'finalized' ? this.finalized : Number(which)
    if (number > head) return null
    return { number: `0x${number.toString(16)}`, hash: this.hash(number), parentHash: this.hash(number - 1) }
  }

  private hash(number: number): string {
    return `${number}${this.branches[number - 1] ?? ''}`
  }
}

/** An upstream whose chain is followed, and what it says of it. */
function followed(all: readonly ScriptedNode[], changes: { active?: undefined } = {}) {
  const told: string[] = []
  const chains = {
    moved: (_id: string, { hash }: { hash: string }) => void told.push(hash),
    turned: (_id: string, from: number) => void told.push(`turned at ${from}`),
  }
  const upstream = upstreamOf(
    all.map(({ url }) => url),
    { active: ACTIVE, ...changes },
    { ...deps(), chains } as never,
  )
  const head = (hash: string) => expect.poll(() => upstream.chain.head?.hash, PATIENT).toBe(hash)
  return { upstream, told, head }
}

describe('a chain', () => {
  let chain: ScriptedChain
  let node: ScriptedNode
  beforeEach(async () => {
    ;[node] = (await nodes(1)) as [ScriptedNode]
    chain = new ScriptedChain().serve(node)
    chain.mine(5)
  })

  test('is followed once somebody asks for it', async () => {
    const { upstream, told, head } = followed([node])
    await new Promise((resolve) => void setTimeout(resolve, 50))
    expect(node.calls.some(({ method }) => method === 'eth_getBlockByNumber')).toBe(false)
    expect(upstream.report().finalized).toBeNull()
    chain.finalized = 3
    await head('5a')
    expect(upstream.chain.finalized).toBe(3)
    chain.mine()
    await head('6a')
    chain.mine(4)
    await head('10a')
    expect(told).toEqual(['5a', '6a', '10a'])
  })

  test('is followed without checks too, and a hint makes it look at once', async () => {
    const { upstream, head } = followed([node], { active: undefined })
    await head('5a')
    chain.mine()
    upstream.chain.nudge()
    await head('6a')
    expect(node.calls.every(({ method }) => method === 'eth_getBlockByNumber')).toBe(true)
  })

  test.each<[what: string, turn: (chain: ScriptedChain) => void, told: string[]]>([
    ['of its newest block', (its) => (its.revert(1), its.mine(1, 'b')), ['turned at 8', '8b']],
    ['that makes it longer', (its) => (its.revert(2), its.mine(4, 'b')), ['turned at 7', '10b']],
    ['that makes it shorter', (its) => (its.revert(4), its.mine(1, 'b')), ['turned at 3', '5b']],
    ['that only takes blocks back', (its) => its.revert(3), ['turned at 6', '5a']],
    ['beyond all that was seen', (its) => (its.revert(6), its.mine(7, 'b')), ['turned at 3', '9b']],
    ['of all of it', (its) => (its.revert(8), its.mine(9, 'b')), ['turned at 0', '9b']],
  ])('a turn %s is told before the head', async (_what, turn, expected) => {
    chain.finalized = 2
    const { told, head } = followed([node])
    await head('5a')
    for (const number of [6, 7, 8]) {
      chain.mine()
      await head(`${number}a`)
    }
    told.length = 0
    turn(chain)
    await head(expected.at(-1)!)
    expect(told).toEqual(expected)
  })

  test('blocks that were missed are no turn, and a turn among them is found', async () => {
    const { told, head } = followed([node])
    await head('5a')
    chain.mine(20)
    await head('25a')
    chain.revert(10)
    chain.mine(20, 'b')
    await head('35b')
    expect(told).toEqual(['5a', '25a', 'turned at 6', '35b'])
  })

  test('a node that is behind tells nothing; when the one ahead is away, the other goes on', async () => {
    const [second] = (await nodes(1)) as [ScriptedNode]
    const behind = new ScriptedChain().serve(second)
    behind.mine(4)
    const { told, head } = followed([node, second])
    await head('5a')
    await node.stop()
    behind.copy(chain)
    behind.mine(2)
    await head('7a')
    expect(told.filter((line) => line.startsWith('turned'))).toEqual([])
  })

  test('a head that no node tells any more is not known, until one does again', async () => {
    const { upstream, told, head } = followed([node])
    await head('5a')
    await node.stop()
    await expect.poll(() => upstream.chain.head, PATIENT).toBeUndefined()
    const again = await startScriptedNode({ port: node.port })
    onTestFinished(() => again.stop())
    chain.serve(again)
    await head('5a')
    chain.mine()
    await head('6a')
    expect(told).toEqual(['5a', '5a', '6a'])
  })

  test('of several nodes the highest is followed, though none is checked', async () => {
    const [second] = (await nodes(1)) as [ScriptedNode]
    const ahead = new ScriptedChain().serve(second)
    ahead.mine(9)
    const { upstream, head } = followed([node, second], { active: undefined })
    await head('9a')
    expect(upstream.report().nodes.map(({ standing, lag }) => [standing, lag])).toEqual([
      ['up', 4],
      ['up', 0],
    ])
  })

  test('a node that does not know blocks is not asked again', async () => {
    node.script((request, socket) => socket.write(http(`{"id":${request.calls[0]!.id},"error":{"code":-32601,"message":"no such method"}}`)))
    const { upstream } = followed([node], { active: undefined })
    expect(upstream.chain.head).toBeUndefined()
    await node.arrived(1)
    await new Promise((resolve) => void setTimeout(resolve, 30))
    upstream.chain.nudge()
    await new Promise((resolve) => void setTimeout(resolve, 30))
    expect(node.requests).toHaveLength(1)
  })

  test('is shown to plugins by network, for as long as their snapshot serves', async () => {
    const chains = new Chains(log)
    const upstream = upstreamOf([node.url], { active: ACTIVE }, { ...deps(), chains } as never)
    expect(chains.view('eth', 1)).toBeUndefined()
    chains.use(1, (network) => (network === 'eth' ? upstream : undefined))
    const view = chains.view('eth', 1)!
    const heard: unknown[] = []
    view.onHead(({ number }) => heard.push(number))
    view.onReorg(() => {
      throw new Error('of a listener')
    })
    view.onReorg((from) => heard.push(`turned at ${from}`))
    await expect.poll(() => view.head()?.number, PATIENT).toBe(5)
    expect(view.finalized()).toBe(0)
    chain.revert(2)
    await expect.poll(() => view.head()?.number, PATIENT).toBe(3)
    expect(heard).toEqual([5, 'turned at 1', 3])
    expect(logged.some(({ err }) => (err as Error | undefined)?.message === 'of a listener')).toBe(true)
    chains.use(2, () => upstream)
    expect(chains.view('eth', 1)).toBeUndefined()
    chain.mine()
    await expect.poll(() => view.head()?.number, PATIENT).toBe(4)
    expect(heard).toHaveLength(3)
  })
})

test('a real chain that turns', async () => {
  const anvil = await startAnvil()
  onTestFinished(() => anvil.stop())
  const told: string[] = []
  const chains = {
    moved: (_: string, { number }: { number: number }) => void told.push(`${number}`),
    turned: (_: string, from: number) => void told.push(`turned at ${from}`),
  }
  const upstream = upstreamOf([anvil.url], { active: { ...ACTIVE, intervalMs: 50 } }, { ...deps(), chains } as never)
  const head = (number: number) => expect.poll(() => upstream.chain.head?.number, PATIENT).toBe(number)
  await head(0)
  await anvil.call('anvil_mine', ['0x5'])
  await head(5)
  const before = upstream.chain.head!.hash
  await anvil.call('anvil_reorg', [3, []])
  await expect.poll(() => upstream.chain.head?.hash, PATIENT).not.toBe(before)
  // Blocks 3 to 5 were replaced; how far below them the turn is taken to be depends on which blocks were seen.
  expect(['turned at 1', 'turned at 2', 'turned at 3']).toContain(told.find((line) => line.startsWith('turned')))
  const snapshot = await anvil.call('evm_snapshot')
  await anvil.call('anvil_mine', ['0x2'])
  await head(7)
  await anvil.call('evm_revert', [snapshot])
  await head(5)
  expect(told.slice(-2)).toEqual(['turned at 6', '5'])
})

describe('the upstream behind a network', () => {
  const route = (upstreamId: string, uris: readonly string[]): CompiledRoute => ({ upstreamId, hosts: [], uris }) as unknown as CompiledRoute

  test.each<[what: string, routes: CompiledRoute[], network: string, id: string | undefined]>([
    ['has its name', [route('{network}', ['/{network}'])], 'eth', 'eth'],
    ['has a name made of it', [route('node-{network}', ['/{network}'])], 'sol', 'node-sol'],
    ['is the only one of a route', [route('eth', ['/'])], 'eth', 'eth'],
    ['serves all of a route', [route('eth', ['/x/{network}'])], 'any', 'eth'],
    ['is none that exists', [route('{network}', ['/{network}'])], 'other', undefined],
    ['takes more than the network to tell', [route('{region}-{network}', ['/{region}/{network}'])], 'eth2', undefined],
  ])('%s', (_what, routes, network, id) => {
    const find = networkFinder(routes, (wanted) => ['eth', 'node-sol'].includes(wanted))
    expect(find(network)).toBe(id)
  })
})
