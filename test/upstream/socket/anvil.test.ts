/** Subscriptions of real clients through a real gateway to a real node whose wire is cut. */
import { WebSocketProvider } from 'ethers'
import { createPublicClient, webSocket } from 'viem'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { startAnvil } from '../../support/anvil.ts'
import { CuttableWire } from '../../support/cuttable-wire.ts'
import { basic, basicFiles, startTestGateway } from '../../support/gateway.ts'
import { range, until } from './fixture.ts'
import type { Address } from 'viem'
import type { Anvil } from '../../support/anvil.ts'
import type { TestGateway } from '../../support/gateway.ts'

/** Deploys a contract of five bytes that writes an empty log whenever it is called. */
const LOGGER = '0x6005600c60003960056000f360006000a0'

let anvil: Anvil
let wires: [CuttableWire, CuttableWire]
let gateway: TestGateway

beforeAll(async () => {
  anvil = await startAnvil()
})
afterAll(() => anvil.stop())

beforeEach(async () => {
  wires = [await CuttableWire.to(anvil.port), await CuttableWire.to(anvil.port)]
  const nodes = wires.map(({ url, wsUrl }) => ({ url, ws_url: wsUrl }))
  const config = basic({ nodeUrl: wires[0].url, top: { upstreams: [{ id: 'eth', nodes, retries: 1 }] } })
  gateway = await startTestGateway(config, { files: basicFiles })
})
afterEach(async () => {
  await gateway.stop()
  await Promise.all(wires.map((wire) => wire.stop()))
})

interface Event {
  readonly number: string
  readonly logIndex: string
  readonly transactionHash: string
  readonly removed: boolean
}

/** A client's socket and what came on it. */
class Listening {
  readonly socket = new WebSocket(`${gateway.wsUrl}/eth`, { headers: { apikey: 'paid-key' } })
  readonly events: Event[] = []

  async begin(...params: unknown[]): Promise<this> {
    await new Promise((resolve, reject) => this.socket.once('open', resolve).once('error', reject))
    const answered = new Promise((resolve) => this.socket.once('message', resolve))
    this.socket.on('message', (data: Buffer) => {
      const { params: pushed } = JSON.parse(data.toString()) as { params?: { result: Event } }
      if (pushed !== undefined) this.events.push(pushed.result)
    })
    this.socket.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_subscribe', params }))
    await answered
    return this
  }

  get heads(): number[] {
    return this.events.map(({ number }) => Number(number))
  }
}

function listening(count: number, ...params: unknown[]): Promise<Listening[]> {
  return Promise.all(Array.from({ length: count }, () => new Listening().begin(...params)))
}

async function mine(blocks: number): Promise<void> {
  for (let i = 0; i < blocks; i++) await anvil.call('evm_mine')
}

async function head(): Promise<number> {
  return Number(await anvil.call('eth_blockNumber'))
}

/** The node knows of no loss before the subscription stands firmly: the gateway has asked where the chain is. */
async function steady(): Promise<void> {
  await until(async () => (await gateway.metric('tollgate_upstream_subscriptions')) === 1)
  await mine(1)
}

/** The node mines by itself, a moment after it has taken a transaction. */
async function deployLogger(from: string): Promise<Address> {
  const deployed = await anvil.call('eth_sendTransaction', [{ from, data: LOGGER }])
  let receipt: { contractAddress: Address } | null = null
  await until(async () => (receipt = (await anvil.call('eth_getTransactionReceipt', [deployed])) as typeof receipt) !== null)
  return receipt!.contractAddress
}

test('500 clients of one subscription: each block once and in order, however many vanish', async () => {
  const clients = await listening(500, 'newHeads')
  expect(await gateway.metric('tollgate_upstream_subscriptions')).toBe(1)
  expect(await gateway.metric('tollgate_client_subscriptions')).toBe(500)
  const before = await head()
  await mine(5)
  await until(() => clients.every(({ events }) => events.length === 5))
  for (const { heads } of clients) expect(heads).toEqual(range(before + 1, before + 5))
  for (const { socket } of clients.slice(0, 250)) socket.terminate()
  await until(async () => (await gateway.metric('tollgate_client_subscriptions')) === 250)
  await mine(1)
  await until(() => clients.slice(250).every(({ events }) => events.length === 6))
  for (const { socket } of clients.slice(250)) socket.terminate()
  await until(async () => (await gateway.metric('tollgate_upstream_subscriptions')) === 0)
  expect(await gateway.metric('tollgate_client_subscriptions')).toBe(0)
})

test('blocks that were mined while both nodes were away arrive once each, like those before and after', async () => {
  const clients = await listening(10, 'newHeads')
  const before = await head()
  await steady()
  await until(() => clients.every(({ events }) => events.length === 1))
  for (const wire of wires) wire.cut()
  await mine(30)
  for (const wire of wires) wire.mend()
  await mine(3)
  await until(() => clients.every(({ events }) => events.length === 34))
  for (const { heads } of clients) expect(heads).toEqual(range(before + 1, before + 34))
  const [first, made] = [clients[0]!.events[0]!, clients[0]!.events[15]!]
  expect(Object.keys(made)).toEqual(Object.keys(first))
  expect(clients[0]!.socket.readyState).toBe(WebSocket.OPEN)
})

test('blocks that were mined while one node died and another took over arrive once each', async () => {
  const clients = await listening(10, 'newHeads')
  const before = await head()
  await steady()
  for (const wire of [...wires, ...wires]) {
    wire.cut()
    await mine(3)
    await until(async () => (await gateway.metric('tollgate_upstream_subscriptions')) === 1)
    wire.mend()
    await mine(1)
  }
  await until(() => clients.every(({ events }) => events.length === 17))
  for (const { heads } of clients) expect(heads).toEqual(range(before + 1, before + 17))
})

test('logs of a while without the node arrive once each, and those of blocks replaced meanwhile are taken back', async () => {
  const [from] = (await anvil.call('eth_accounts')) as string[]
  const address = await deployLogger(from!)
  const emit = (): Promise<unknown> => anvil.call('eth_sendTransaction', [{ from, to: address }])
  const [client] = await listening(1, 'logs', { address })
  await steady()
  const sent = [await emit(), await emit()]
  await until(() => client!.events.length === 2)
  for (const wire of wires) wire.cut()
  sent.push(await emit(), await emit(), await emit())
  for (const wire of wires) wire.mend()
  await until(() => client!.events.length === 5)
  sent.push(await emit())
  await until(() => client!.events.length === 6)
  expect(client!.events.map(({ transactionHash }) => transactionHash)).toEqual(sent)

  for (const wire of wires) wire.cut()
  await anvil.call('anvil_reorg', [2, []])
  for (const wire of wires) wire.mend()
  await until(() => client!.events.length === 8)
  const back = client!.events.slice(6)
  expect(back.map(({ transactionHash, removed }) => [transactionHash, removed])).toEqual([
    [sent[5], true],
    [sent[4], true],
  ])
})

describe('libraries', () => {
  test('viem watches block numbers, and the wire is cut meanwhile', async () => {
    const transport = webSocket(`${gateway.wsUrl}/eth/v1/paid-key`)
    const client = createPublicClient({ transport })
    const seen: number[] = []
    const unwatch = client.watchBlockNumber({ onBlockNumber: (number) => void seen.push(Number(number)) })
    await until(async () => (await gateway.metric('tollgate_client_subscriptions')) === 1)
    const before = await head()
    await mine(2)
    await until(() => seen.length >= 2)
    for (const wire of wires) wire.cut()
    await mine(2)
    for (const wire of wires) wire.mend()
    await mine(1)
    await until(() => seen.at(-1) === before + 5)
    expect(seen.filter((number) => number > before)).toEqual(range(before + 1, before + 5))
    expect(await client.getBlockNumber({ cacheTime: 0 })).toBe(BigInt(before + 5))
    unwatch()
    await until(async () => (await gateway.metric('tollgate_upstream_subscriptions')) === 0)
  })

  test('viem watches events', async () => {
    const [from] = (await anvil.call('eth_accounts')) as Address[]
    const address = await deployLogger(from!)
    const client = createPublicClient({ transport: webSocket(`${gateway.wsUrl}/eth/v1/paid-key`) })
    const seen: unknown[] = []
    const unwatch = client.watchEvent({ address, onLogs: (logs) => void seen.push(...logs.map(({ transactionHash }) => transactionHash)) })
    await until(async () => (await gateway.metric('tollgate_client_subscriptions')) === 1)
    const sent = [await anvil.call('eth_sendTransaction', [{ from, to: address }]), await anvil.call('eth_sendTransaction', [{ from, to: address }])]
    await until(() => seen.length === 2)
    expect(seen).toEqual(sent)
    unwatch()
  })

  test('ethers hears of blocks', async () => {
    const provider = new WebSocketProvider(`${gateway.wsUrl}/eth/v1/paid-key`)
    const seen: number[] = []
    await provider.on('block', (number: number) => void seen.push(number))
    await until(async () => (await gateway.metric('tollgate_client_subscriptions')) === 1)
    const before = await head()
    await mine(3)
    await until(() => seen.at(-1) === before + 3)
    expect(seen.filter((number) => number > before)).toEqual(range(before + 1, before + 3))
    expect(await provider.getBlockNumber()).toBe(before + 3)
    await provider.destroy()
  })
})
