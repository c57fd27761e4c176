/** A signed transaction on two real nodes at once. */
import { createWalletClient, http, parseEther } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { foundry } from 'viem/chains'
import { expect, onTestFinished, test } from 'vitest'
import { startAnvil } from '../support/anvil.ts'
import { startTestGateway } from '../support/gateway.ts'
import { shippedFiles, systemConfig } from './stage.ts'

/** Anvil's first account. */
const account = privateKeyToAccount('0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80')

test('all nodes have it, its hash is the answer however often it is sent, and what is wrong with it is told', async () => {
  const nodes = await Promise.all([startAnvil({ args: ['--no-mining'] }), startAnvil({ args: ['--no-mining'] })])
  onTestFinished(async () => {
    await Promise.all(nodes.map((node) => node.stop()))
  })
  const upstreams = [{ id: 'eth-local', nodes: nodes.map(({ url }) => ({ url })), broadcast: 2 }]
  const gateway = await startTestGateway(systemConfig('', undefined, { upstreams, log: { level: 'error' } }), { files: shippedFiles })
  onTestFinished(() => gateway.stop())
  const transport = http(`${gateway.url}/eth-local`, { retryCount: 0, fetchOptions: { headers: { apikey: 'demo-key' } } })
  const writer = createWalletClient({ chain: foundry, transport, account })

  const prepared = await writer.prepareTransactionRequest({ to: '0x000000000000000000000000000000000000dEaD', value: 1n })
  const serializedTransaction = await writer.signTransaction(prepared)
  const hash = await writer.sendRawTransaction({ serializedTransaction })
  for (const node of nodes) await expect.poll(() => node.call('eth_getTransactionByHash', [hash])).toMatchObject({ hash, blockHash: null })
  expect(await writer.sendRawTransaction({ serializedTransaction })).toBe(hash)

  const tooMuch = await writer.signTransaction({ ...prepared, value: parseEther('1000000000'), nonce: prepared.nonce + 1 })
  await expect(writer.sendRawTransaction({ serializedTransaction: tooMuch })).rejects.toThrow(/insufficient funds/i)
})
