/** Two real nodes of one chain, one a little behind: who has sent a transaction does not see the chain go back. */
import { expect, onTestFinished, test } from 'vitest'
import { startAnvil } from '../support/anvil.ts'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'

test('after a transaction its consumer reads from nodes as high as what it saw, others from any', async () => {
  const [low, high] = await Promise.all([startAnvil(), startAnvil()])
  onTestFinished(() => Promise.all([low.stop(), high.stop()]).then(() => undefined))
  await low.call('anvil_mine', ['0x1e'])
  await high.call('anvil_mine', ['0x20'])
  const [from, to] = (await low.call('eth_accounts')) as string[]
  const nodes = [{ url: low.url }, { url: high.url }]
  const upstreams = [{ id: 'eth', nodes, finality: true, coalesce: false, checks: { active: { interval: '100ms' } } }]
  const gateway = await startTestGateway(basic({ nodeUrl: low.url, plugins: { whitelist: undefined }, top: { upstreams } }), { files: basicFiles })
  onTestFinished(() => gateway.stop())
  const ask = async (key: string, method: string, params: readonly unknown[] = []): Promise<string> => {
    const { json } = await gateway.post('/eth', JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }), { apikey: key })
    return (json as { result: string }).result
  }
  const heads = async (key: string): Promise<number[]> => {
    const seen: number[] = []
    for (let i = 0; i < 6; i++) seen.push(Number(await ask(key, 'eth_blockNumber')))
    return seen
  }
  await expect.poll(() => gateway.metric('tollgate_node_head_block', { node: '1' }), { timeout: 5000 }).toBe(0x20)
  expect(new Set(await heads('paid-key'))).toEqual(new Set([0x1e, 0x20]))
  expect(await ask('paid-key', 'eth_sendTransaction', [{ from, to, value: '0x1' }])).toMatch(/^0x/)
  for (const head of await heads('paid-key')) expect(head).toBeGreaterThanOrEqual(0x20)
  expect(Math.min(...(await heads('free-key')))).toBeLessThan(0x20)
})
