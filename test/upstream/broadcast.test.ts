/** Signed transactions that go to several nodes at once: which answer counts, and what is sent again. */
import { keccak256 } from 'viem'
import { expect, test } from 'vitest'
import { isRawTransaction, transactionHash } from '../../core/upstream/raw-transaction.ts'
import { answer, hang, http, reply, reset } from '../support/scripted-node.ts'
import { ask, brief, call, context, deps, nodeOf, nodes, upstreamOf } from './fixture.ts'
import type { Hex } from 'viem'
import type { NodeUpstream } from '../../core/upstream/upstream.ts'
import type { Script, ScriptedNode } from '../support/scripted-node.ts'

/** EIP-155's own example. */
const RAW =
  '0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83'
const HASH = keccak256(RAW)
const PARAMS = `["${RAW}"]`

const accepted = reply(`{"jsonrpc":"2.0","id":{id},"result":"${HASH}"}`)
const known = reply('{"jsonrpc":"2.0","id":{id},"error":{"code":-32000,"message":"already known"}}')
const tooLow = reply('{"jsonrpc":"2.0","id":{id},"error":{"code":-32000,"message":"nonce too low"}}')
const broken = reply('{"jsonrpc":"2.0","id":{id},"error":{"code":-32603,"message":"internal error"}}')

function after(ms: number, script: Script): Script {
  return (request, socket, node) => void setTimeout(() => script(request, socket, node), ms)
}

async function send(upstream: NodeUpstream, method = 'eth_sendRawTransaction', params = PARAMS): Promise<string> {
  const [outcome] = await upstream.exchange([call(method, params)], context())
  return brief(outcome)
}

function urls(of: readonly ScriptedNode[]): string[] {
  return of.map(({ url }) => url)
}

function counts(of: readonly ScriptedNode[]): number[] {
  return of.map((node) => node.requests.length)
}

test('a transaction goes to as many nodes as are asked for, and the first that accepts it decides', async () => {
  const four = await nodes(4)
  four[0]!.script(after(100, tooLow))
  four[1]!.script(accepted)
  four[2]!.script(hang)
  expect(await send(upstreamOf(urls(four), { broadcast: 3 }))).toBe(`result "${HASH}"`)
  await Promise.all(four.slice(0, 3).map((node) => node.arrived(1)))
  expect(counts(four)).toEqual([1, 1, 1, 0])
})

test('that one has accepted it does not hold back the copies for the others', async () => {
  const two = await nodes(2)
  let hasClosed = false
  two[0]!.script(accepted)
  two[1]!.script((request, socket, node) => {
    socket.on('close', () => (hasClosed = true))
    setTimeout(() => answer(request, socket, node), 50)
  })
  await send(upstreamOf(urls(two), { broadcast: 2 }))
  await two[1]!.arrived(1)
  await new Promise((resolve) => void setTimeout(resolve, 30))
  expect(hasClosed).toBe(false)
})

test('each goes to one node where nothing else is said, and the node’s own words are the answer', async () => {
  const two = await nodes(2)
  for (const node of two) node.script(known)
  expect(await send(upstreamOf(urls(two)))).toBe('error {"code":-32000,"message":"already known"}')
  expect(counts(two)).toEqual([1, 0])
})

test('a node that knows it already has accepted it: the answer is its hash', async () => {
  const two = await nodes(2)
  two[0]!.script(after(20, reset))
  two[1]!.script(known)
  expect(await send(upstreamOf(urls(two), { broadcast: 2 }))).toBe(`result "${HASH}"`)
})

test('where the hash cannot be told another node’s acceptance is waited for, and else the node’s own words are the answer', async () => {
  const two = await nodes(2)
  const upstream = upstreamOf(urls(two), { broadcast: 2 })
  two[0]!.script(known)
  two[1]!.script(after(50, accepted))
  expect(await send(upstream, 'cfx_sendRawTransaction')).toBe(`result "${HASH}"`)
  two[1]!.script(after(50, known))
  expect(await send(upstream, 'cfx_sendRawTransaction')).toBe('error {"code":-32000,"message":"already known"}')
})

test('when no node accepts it, what one says about it is the answer, before what one says about itself, before silence', async () => {
  const three = await nodes(3)
  const upstream = upstreamOf(urls(three), { broadcast: 3, readTimeoutMs: 300 })
  three[0]!.script(hang)
  three[1]!.script(broken)
  three[2]!.script(after(50, tooLow))
  expect(await send(upstream)).toBe('error {"code":-32000,"message":"nonce too low"}')
  three[2]!.script(reset)
  expect(await send(upstream)).toBe('error {"code":-32603,"message":"internal error"}')
  three[1]!.script(reset)
  expect(await send(upstream)).toMatch(/^upstream(?:Unavailable connection-lost|Timeout read-timeout)$/)
})

test('what was sent is not sent again, whatever became of it', async () => {
  const three = await nodes(3)
  for (const node of three) node.script(reset)
  expect(await send(upstreamOf(urls(three), { broadcast: 2, retries: 3 }))).toBe('upstreamUnavailable connection-lost')
  expect(counts(three)).toEqual([1, 1, 0])
})

test('a copy of which no byte was sent goes to another node', async () => {
  const parts = deps()
  const three = await nodes(3)
  await three[0]!.stop()
  three[1]!.script(after(100, accepted))
  three[2]!.script(after(100, accepted))
  expect(await send(upstreamOf(urls(three), { broadcast: 2, retries: 1 }, parts))).toBe(`result "${HASH}"`)
  expect(counts(three)).toEqual([0, 1, 1])
  expect(await parts.registry.text()).toContain('tollgate_upstream_retries_total{upstream="test"} 1')
})

test('it has as many copies as there are nodes that are well, and is refused where there is none', async () => {
  const two = await nodes(2)
  const upstream = upstreamOf([], { broadcast: 5, nodes: [nodeOf(two[0]!.url), nodeOf(two[1]!.url, { methods: ['eth_call'] })] })
  expect(await send(upstream)).toContain('result')
  expect(counts(two)).toEqual([1, 0])
  await two[0]!.stop()
  for (let i = 0; i < 3; i++) expect(await send(upstream)).toBe('upstreamUnavailable connect-failed')
  expect(await send(upstream)).toBe('upstreamUnavailable no-healthy-node')
})

test('in a batch it travels by itself, and the reads as ever', async () => {
  const two = await nodes(2)
  const upstream = upstreamOf(urls(two), { broadcast: 2 })
  const outcomes = await ask(upstream, 'eth_chainId', 'eth_sendRawTransaction', 'eth_call', 'eth_sendRawTransaction')
  expect(outcomes).toEqual(['eth_chainId', 'eth_sendRawTransaction', 'eth_call', 'eth_sendRawTransaction'].map((m) => `result {"method":"${m}","params":[]}`))
  await expect.poll(() => counts(two).reduce((sum, count) => sum + count)).toBe(5)
  const sent = two.flatMap((node) => node.requests.map((request) => request.calls.map(({ method }) => method).join()))
  expect(sent.toSorted()).toEqual([...Array.from({ length: 4 }, () => 'eth_sendRawTransaction'), 'eth_chainId,eth_call'].toSorted())
})

test('a client that goes takes all copies with it', async () => {
  const two = await nodes(2)
  for (const node of two) node.script(hang)
  const asking = context()
  const answered = upstreamOf(urls(two), { broadcast: 2 }).exchange([call('eth_sendRawTransaction', PARAMS)], asking)
  await Promise.all(two.map((node) => node.arrived(1)))
  asking.running!.cancel()
  expect((await answered).map(brief)).toEqual(['upstreamUnavailable client-gone'])
  await Promise.all(two.map((node) => node.deserted()))
})

test('copies are judged like any request: a node that answers none is out', async () => {
  const two = await nodes(2)
  two[0]!.script(after(20, (_request, socket) => void socket.write(http('<html>', 502))))
  two[1]!.script(after(60, accepted))
  const upstream = upstreamOf(urls(two), { broadcast: 2 })
  for (let i = 0; i < 6; i++) await send(upstream)
  expect(counts(two)).toEqual([3, 6])
})

test.each<[isOne: boolean, methods: string]>([
  [
    true,
    'eth_sendRawTransaction cfx_sendRawTransaction sendrawtransaction send_raw_transaction eth_sendRawTransactionSync author_submitExtrinsic broadcast_tx_sync',
  ],
  [false, 'eth_sendTransaction sendTransaction eth_sendPrivateRawTransaction eth_getRawTransactionByHash eth_call broadcast_tx_commit'],
])('a method sends a signed transaction that may be told to all: %s (%s)', (isOne, methods) => {
  for (const method of methods.split(' ')) expect([method, isRawTransaction(method)]).toEqual([method, isOne])
})

/** The RLP list of these items, each as it stands. */
function list(...items: readonly Buffer[]): Buffer {
  const body = Buffer.concat(items)
  const length = Buffer.from(body.length.toString(16).padStart(6, '0'), 'hex')
  return Buffer.concat([Buffer.from([0xf7 + length.length]), length, body])
}

const hex = (...bytes: readonly Buffer[]): Hex => `0x${Buffer.concat(bytes).toString('hex')}`

test('a transaction’s hash is that of its bytes, without the blobs that travel with it', () => {
  const hash = (raw: string): string | undefined => transactionHash('eth_sendRawTransaction', ` [ "${raw}" ] `)
  const fields = Buffer.alloc(300, 0x01)
  const blobs = Buffer.from('b90003010203', 'hex')
  const type3 = Buffer.from([3])
  expect(hash(RAW)).toBe(`"${HASH}"`)
  expect(hash('0x02c20102')).toBe(`"${keccak256('0x02c20102')}"`)
  expect(hash(hex(type3, list(list(fields), blobs, blobs, blobs)))).toBe(`"${keccak256(hex(type3, list(fields)))}"`)
  expect(hash(hex(type3, list(fields)))).toBe(`"${keccak256(hex(type3, list(fields)))}"`)
  expect(hash('0x03c3c2010280')).toBe(`"${keccak256('0x03c20102')}"`)
})

test.each(['[]', '["0x"]', '["0x123"]', '["xyz"]', '["0x12","0x34"]', '{"raw":"0x12"}'])('what is no transaction has no hash: %s', (params) => {
  expect(transactionHash('eth_sendRawTransaction', params)).toBeUndefined()
})
