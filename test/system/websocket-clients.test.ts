/** viem's and ethers' WebSocket providers through the gateway process to a real chain. */
import { WebSocketProvider, Wallet } from 'ethers'
import { createPublicClient, createTestClient, createWalletClient, http, webSocket } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { foundry } from 'viem/chains'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { abi, bytecode } from './contract.ts'
import { metric } from '../support/metric.ts'
import { startStage } from './stage.ts'
import type { Hex } from 'viem'
import type { Stage } from './stage.ts'

/** Anvil's first account. */
const KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80'
const account = privateKeyToAccount(KEY)

let stage: Stage
let wsUrl: string
beforeAll(async () => {
  stage = await startStage()
  wsUrl = `${stage.url.replace('http', 'ws')}/v1/demo-key`
})
afterAll(() => stage.stop())

/** Mines on the node itself, behind the gateway's back. */
const miner = () => createTestClient({ mode: 'anvil', chain: foundry, transport: http(stage.anvil.url) })

function viemOverWebSocket() {
  const transport = webSocket(wsUrl, { retryCount: 0, reconnect: { delay: 50, attempts: 20 } })
  const reader = createPublicClient({ chain: foundry, transport, cacheTime: 0, pollingInterval: 50 })
  onTestFinished(async () => (await reader.transport.getRpcClient()).close())
  return { reader, writer: createWalletClient({ chain: foundry, transport, account }) }
}

test('viem calls, deploys and reads over one socket', async () => {
  const { reader, writer } = viemOverWebSocket()
  expect(await reader.getChainId()).toBe(31_337)
  const [number, balance] = await Promise.all([reader.getBlockNumber(), reader.getBalance({ address: account.address })])
  expect(number).toBeTypeOf('bigint')
  expect(balance).toBeGreaterThan(0n)
  const { contractAddress } = await reader.waitForTransactionReceipt({ hash: await writer.deployContract({ abi, bytecode }) })
  expect(await reader.readContract({ address: contractAddress!, abi, functionName: 'get' })).toBe(0n)
  await expect(reader.request({ method: 'personal_sign', params: ['0x', account.address] } as never)).rejects.toThrow('not offered')
})

test('viem watches blocks: each once', async () => {
  const { reader } = viemOverWebSocket()
  const numbers: bigint[] = []
  const subscribed = await metric(stage.gateway.adminUrl, 'tollgate_calls_total', { method: 'eth_subscribe', outcome: 'ok' })
  const unwatch = reader.watchBlocks({ onBlock: (block) => void numbers.push(block.number), emitMissed: false })
  await expect.poll(() => metric(stage.gateway.adminUrl, 'tollgate_calls_total', { method: 'eth_subscribe', outcome: 'ok' })).toBe(subscribed + 1)
  const before = await reader.getBlockNumber()
  for (let mined = 0; mined < 5; mined++) await miner().mine({ blocks: 1 })
  await expect.poll(() => numbers.length).toBeGreaterThanOrEqual(5)
  unwatch()
  // In what order is viem's business: it fetches each block anew once it has heard of it.
  expect(numbers.slice(0, 5).toSorted((a, b) => Number(a - b))).toEqual([1n, 2n, 3n, 4n, 5n].map((more) => before + more))
})

test('viem watches the events of a contract', async () => {
  const { reader, writer } = viemOverWebSocket()
  const { contractAddress } = await reader.waitForTransactionReceipt({ hash: await writer.deployContract({ abi, bytecode }) })
  const address: Hex = contractAddress!
  const subscribed = await metric(stage.gateway.adminUrl, 'tollgate_calls_total', { method: 'eth_subscribe', outcome: 'ok' })
  const seen: unknown[] = []
  const unwatch = reader.watchContractEvent({ address, abi, eventName: 'Changed', onLogs: (logs) => seen.push(...logs.map(({ args }) => args)) })
  await expect.poll(() => metric(stage.gateway.adminUrl, 'tollgate_calls_total', { method: 'eth_subscribe', outcome: 'ok' })).toBe(subscribed + 1)
  for (const value of [7n, 8n])
    await reader.waitForTransactionReceipt({ hash: await writer.writeContract({ address, abi, functionName: 'set', args: [value] }) })
  await expect.poll(() => seen).toEqual([{ value: 7n }, { value: 8n }])
  unwatch()
})

test('ethers calls, sends and listens over one socket', async () => {
  const provider = new WebSocketProvider(wsUrl, 31_337)
  onTestFinished(() => provider.destroy())
  expect(await provider.getBlockNumber()).toBeTypeOf('number')
  const heard: number[] = []
  await provider.on('block', (number: number) => heard.push(number))
  const sent = await new Wallet(KEY, provider).sendTransaction({ to: '0x000000000000000000000000000000000000dEaD', value: 1n })
  const receipt = await sent.wait()
  expect(receipt?.status).toBe(1)
  await expect.poll(() => heard).toContain(receipt!.blockNumber)
})

test('viem connects again after its socket was cut, and goes on watching', async () => {
  const { reader } = viemOverWebSocket()
  const numbers: bigint[] = []
  const unwatch = reader.watchBlockNumber({ onBlockNumber: (number) => void numbers.push(number) })
  const seesMore = async (): Promise<void> => {
    const seenBefore = numbers.length
    const mined = async (): Promise<number> => {
      await miner().mine({ blocks: 1 })
      return numbers.length
    }
    await expect.poll(mined, { timeout: 5000 }).toBeGreaterThan(seenBefore)
  }
  // viem makes again what was subscribed, and not what was about to be.
  await seesMore()
  const { socket } = (await reader.transport.getRpcClient()) as unknown as { socket: WebSocket }
  socket.close()
  await expect.poll(() => reader.getBlockNumber().catch(() => undefined), { timeout: 5000 }).toBeTypeOf('bigint')
  await seesMore()
  unwatch()
})
