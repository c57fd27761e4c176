/** A session of ethers through the gateway process to a real chain. */
import { Contract, ContractFactory, FetchRequest, JsonRpcProvider, NonceManager, Wallet, isError, parseEther } from 'ethers'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { bytecode } from './contract.ts'
import { metric } from '../support/metric.ts'
import { startStage } from './stage.ts'
import type { Stage } from './stage.ts'

const abi = ['function set(uint256 value)', 'function get() view returns (uint256)', 'function fail() view', 'event Changed(uint256 value)']
/** Anvil's second account. */
const KEY = '0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d'

let stage: Stage
beforeAll(async () => {
  stage = await startStage()
})
afterAll(() => stage.stop())

function provider(options: { readonly batchMaxCount?: number; readonly key?: string } = {}): JsonRpcProvider {
  const request = new FetchRequest(stage.url)
  request.setHeader('apikey', options.key ?? 'demo-key')
  const made = new JsonRpcProvider(request, 31_337, { staticNetwork: true, pollingInterval: 50, cacheTimeout: -1, batchMaxCount: options.batchMaxCount ?? 1 })
  onTestFinished(() => made.destroy())
  return made
}

test('blocks and balances are read', async () => {
  const reader = provider()
  expect(await reader.getBlockNumber()).toBeTypeOf('number')
  expect(await reader.getBalance(new Wallet(KEY).address)).toBeGreaterThan(parseEther('9000'))
  expect((await reader.getBlock('latest', true))!.hash).toMatch(/^0x/)
})

test('a contract is deployed, written to and read, and its events are found', async () => {
  const reader = provider()
  const signer = new NonceManager(new Wallet(KEY, reader))
  const deployed = await new ContractFactory(abi, bytecode, signer).deploy()
  await deployed.waitForDeployment()
  const contract = new Contract(await deployed.getAddress(), abi, signer)
  await ((await contract['set']!(42)) as { wait(): Promise<unknown> }).wait()
  expect(await contract['get']!()).toBe(42n)
  const events = await contract.queryFilter('Changed', 0, 'latest')
  expect(events.map((event) => 'args' in event && (event.args[0] as bigint))).toEqual([42n])
  const problem = await (contract['fail']!() as Promise<unknown>).catch((error: unknown) => error)
  expect(isError(problem, 'CALL_EXCEPTION') && problem.reason).toBe('no')
})

test('a raw transaction is sent', async () => {
  const reader = provider()
  const wallet = new Wallet(KEY, reader)
  const signed = await wallet.signTransaction(await wallet.populateTransaction({ to: wallet.address, value: 1n }))
  expect((await (await reader.broadcastTransaction(signed)).wait())!.status).toBe(1)
})

test('calls of one moment travel as a batch', async () => {
  const reader = provider({ batchMaxCount: 10 })
  const framesBefore = await metric(stage.gateway.adminUrl, 'tollgate_frames_total')
  const [number, fees] = await Promise.all([reader.send('eth_blockNumber', []) as Promise<string>, reader.send('eth_gasPrice', []) as Promise<string>])
  expect([number, fees]).toEqual([expect.stringMatching(/^0x/), expect.stringMatching(/^0x/)])
  await expect.poll(() => metric(stage.gateway.adminUrl, 'tollgate_frames_total')).toBe(framesBefore + 1)
})

test('a refused method surfaces as its own error', async () => {
  const alone = await provider()
    .send('debug_setHead', ['0x0'])
    .catch((error: unknown) => error)
  expect(isError(alone, 'SERVER_ERROR')).toBe(true)
  const reader = provider({ batchMaxCount: 10 })
  const [refused, served] = await Promise.allSettled([reader.send('debug_setHead', ['0x0']), reader.send('eth_chainId', [])])
  expect(refused).toMatchObject({ status: 'rejected', reason: { error: { code: -32601, message: 'The method is not offered on eth-local' } } })
  expect(served).toEqual({ status: 'fulfilled', value: '0x7a69' })
})
