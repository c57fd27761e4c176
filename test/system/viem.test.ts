/** A session of viem through the gateway process to a real chain. */
import {
  ContractFunctionExecutionError,
  ContractFunctionRevertedError,
  MethodNotFoundRpcError,
  createPublicClient,
  createWalletClient,
  decodeEventLog,
  encodeFunctionData,
  fallback,
  http,
  parseEther,
} from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { foundry } from 'viem/chains'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { abi, bytecode } from './contract.ts'
import { metric } from '../support/metric.ts'
import { post, startStage } from './stage.ts'
import type { BaseError } from 'viem'
import type { Stage } from './stage.ts'

/** Anvil's first account. */
const account = privateKeyToAccount('0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80')

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})
afterAll(() => stage.stop())

function clients(batch = false) {
  const transport = http(stage.url, { batch, retryCount: 0, fetchOptions: { headers: { apikey: 'demo-key' } } })
  return {
    reader: createPublicClient({ chain: foundry, transport, cacheTime: 0, pollingInterval: 50 }),
    writer: createWalletClient({ chain: foundry, transport, account }),
  }
}

test('blocks and balances are read', async () => {
  const { reader } = clients()
  expect(await reader.getChainId()).toBe(31_337)
  expect(await reader.getBlockNumber()).toBeTypeOf('bigint')
  expect(await reader.getBalance({ address: account.address })).toBeGreaterThan(parseEther('9000'))
  expect((await reader.getBlock({ includeTransactions: true })).hash).toMatch(/^0x/)
})

test('a contract is deployed, written to and read, and its events are found', async () => {
  const { reader, writer } = clients()
  const deployed = await reader.waitForTransactionReceipt({ hash: await writer.deployContract({ abi, bytecode }) })
  const address = deployed.contractAddress!
  const changed = await reader.waitForTransactionReceipt({ hash: await writer.writeContract({ address, abi, functionName: 'set', args: [42n] }) })
  expect(changed.status).toBe('success')
  expect(await reader.readContract({ address, abi, functionName: 'get' })).toBe(42n)
  const logs = await reader.getLogs({ address, fromBlock: deployed.blockNumber, toBlock: 'latest' })
  expect(logs.map(({ data, topics }) => decodeEventLog({ abi, data, topics }))).toEqual([{ eventName: 'Changed', args: { value: 42n } }])
  await expect(reader.readContract({ address, abi, functionName: 'fail' })).rejects.toThrow(ContractFunctionExecutionError)
  await expect(reader.readContract({ address, abi, functionName: 'fail' })).rejects.toThrow('reverted with the following reason:\nno')
})

test('what reverted reaches the client as the node said it, data and all, and is no reason to ask elsewhere', async () => {
  const { reader, writer } = clients()
  const { contractAddress } = await reader.waitForTransactionReceipt({ hash: await writer.deployContract({ abi, bytecode }) })
  const address = contractAddress!
  const call = { jsonrpc: '2.0', id: 7, method: 'eth_call', params: [{ to: address, data: encodeFunctionData({ abi, functionName: 'fail' }) }, 'latest'] }
  const [direct, through] = await Promise.all([post(stage.anvil.url, JSON.stringify(call)), post(stage.url, JSON.stringify(call))])
  expect(JSON.parse(direct.text)).toMatchObject({ error: { code: 3, data: expect.stringMatching(/^0x08c379a0/) } })
  const error = (text: string): string => text.slice(text.indexOf('"error":'))
  expect(error(through.text)).toBe(error(direct.text))

  let elsewhere = 0
  const second = http(stage.anvil.url, { onFetchRequest: () => void elsewhere++ })
  const first = http(stage.url, { fetchOptions: { headers: { apikey: 'demo-key' } } })
  const either = createPublicClient({ chain: foundry, transport: fallback([first, second]) })
  const thrown: unknown = await either.readContract({ address, abi, functionName: 'fail' }).catch((failure: unknown) => failure)
  const reverted = (thrown as BaseError).walk((cause) => cause instanceof ContractFunctionRevertedError) as ContractFunctionRevertedError
  expect({ reason: reverted.reason, data: reverted.data }).toMatchObject({ reason: 'no', data: { errorName: 'Error', args: ['no'] } })
  expect(elsewhere).toBe(0)
})

test('a raw transaction is sent', async () => {
  const { reader, writer } = clients()
  const request = await writer.prepareTransactionRequest({ to: '0x000000000000000000000000000000000000dEaD', value: 1n })
  const hash = await writer.sendRawTransaction({ serializedTransaction: await writer.signTransaction(request) })
  expect((await reader.waitForTransactionReceipt({ hash })).status).toBe('success')
})

test('calls of one moment travel as a batch', async () => {
  const { reader } = clients(true)
  const framesBefore = await metric(stage.gateway.adminUrl, 'tollgate_frames_total')
  const answers = await Promise.all([reader.getChainId(), reader.getBlockNumber(), reader.getGasPrice(), reader.getBalance({ address: account.address })])
  expect(answers[0]).toBe(31_337)
  await expect.poll(() => metric(stage.gateway.adminUrl, 'tollgate_frames_total')).toBe(framesBefore + 1)
})

test('a refused method surfaces as its own error, alone and in a batch', async () => {
  for (const batch of [false, true]) {
    const { reader } = clients(batch)
    const [refused, served] = await Promise.allSettled([reader.request({ method: 'debug_setHead' as never, params: ['0x0'] as never }), reader.getChainId()])
    expect(refused.status === 'rejected' && (refused.reason as unknown)).toBeInstanceOf(MethodNotFoundRpcError)
    expect(served).toMatchObject({ status: 'fulfilled', value: 31_337 })
  }
})

test('a key that nobody has is told', async () => {
  const reader = createPublicClient({ chain: foundry, transport: http(stage.url, { retryCount: 0, fetchOptions: { headers: { apikey: 'wrong' } } }) })
  await expect(reader.getBlockNumber()).rejects.toThrow('Invalid API key in request')
})
