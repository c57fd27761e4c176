/** Real nodes behind a real gateway: one is behind, one is on another chain, one dies under load and comes back. */
import { expect, onTestFinished, test } from 'vitest'
import { startAnvil } from '../support/anvil.ts'
import { startTestGateway } from '../support/gateway.ts'
import type { AnvilOptions, Anvil } from '../support/anvil.ts'

interface Report {
  readonly upstreams: readonly { readonly head: number; readonly nodes: readonly { readonly node: string; readonly standing: string }[] }[]
}

async function anvilOf(options?: AnvilOptions): Promise<Anvil> {
  const anvil = await startAnvil(options)
  onTestFinished(() => anvil.stop())
  return anvil
}

test('reads are answered without an error, always by the right chain, while a node dies and comes back', async () => {
  const [behind, foreign, mortal] = await Promise.all([anvilOf(), anvilOf({ chainId: 999 }), anvilOf()])
  await mortal.call('anvil_mine', ['0x20'])
  await foreign.call('anvil_mine', ['0x30'])
  const gateway = await startTestGateway({
    listen: '127.0.0.1:0',
    admin: { listen: '127.0.0.1:0' },
    log: { level: 'info', file: 'gateway.log' },
    upstreams: [
      {
        id: 'eth',
        nodes: [
          { id: 'foreign', url: foreign.url },
          { id: 'behind', url: behind.url },
          { id: 'mortal', url: mortal.url },
        ],
        checks: { active: { interval: '200ms', chain_id: 31_337, max_lag: 5 } },
      },
    ],
    routes: [{ id: 'rpc', uris: ['/'], upstream_id: 'eth', plugins: { 'jsonrpc-var': {} } }],
  })
  onTestFinished(() => gateway.stop())
  const standings = async (): Promise<Record<string, string>> => {
    const { upstreams } = (await (await fetch(`${gateway.adminUrl}/upstreams`)).json()) as Report
    return Object.fromEntries(upstreams[0]!.nodes.map(({ node, standing }) => [node, standing]))
  }
  const read = async (method: string, params: readonly unknown[] = []): Promise<unknown> => {
    const { json } = await gateway.post('/', JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }))
    return 'result' in (json as object) ? (json as { result: unknown }).result : json
  }
  expect(await read('eth_blockNumber')).toBe('0x20')
  expect(await standings()).toEqual({ foreign: 'wrong-chain', behind: 'lagging', mortal: 'up' })

  const answers = new Map<string, number>()
  let isLoaded = true
  const load = Array.from({ length: 8 }, async (_, i) => {
    while (isLoaded) {
      const chain = await read('eth_chainId')
      const block = (await read('eth_getBlockByNumber', [`0x${(i % 2).toString(16)}`, false])) as { number?: string } | null
      for (const answer of [`chain ${JSON.stringify(chain)}`, `block ${block?.number ?? JSON.stringify(block)}`]) answers.set(answer, (answers.get(answer) ?? 0) + 1)
    }
  })
  const poll = (standing: string) => expect.poll(async () => (await standings())['mortal'], { interval: 20, timeout: 5000 }).toBe(standing)
  mortal.signal('SIGKILL')
  await expect.poll(async () => (await standings())['mortal'], { interval: 20, timeout: 5000 }).not.toBe('up')
  const again = await anvilOf({ port: mortal.port })
  await again.call('anvil_mine', ['0x20'])
  await poll('up')
  await expect.poll(async () => (await standings())['behind'], { interval: 20, timeout: 5000 }).toBe('lagging')
  isLoaded = false
  await Promise.all(load)

  // The one that is behind serves while there is no other, and has no block 1.
  const right = ['chain "0x7a69"', 'block 0x0', 'block 0x1', 'block null']
  expect([...answers.keys()].filter((answer) => !right.includes(answer))).toEqual([])
  expect(await read('eth_blockNumber')).toBe('0x20')
  expect(await gateway.metric('tollgate_node_healthy', { node: 'foreign' })).toBe(0)
  expect(await gateway.metric('tollgate_upstream_head_block')).toBe(0x20)
}, 60_000)
