/** Which node is asked, what is asked again, and how the work ends when the client goes. */
import { describe, expect, test } from 'vitest'
import { isReadOnly } from '../../core/upstream/read-only.ts'
import { answer, hang, reply, reset } from '../support/scripted-node.ts'
import { ask, brief, call, context, deps, logged, nodes, oneNode, upstreamOf } from './fixture.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

const ANSWER = 'result {"method":"eth_call","params":[]}'

function counts(asked: readonly ScriptedNode[]): number[] {
  return asked.map((node) => node.requests.length)
}

describe('another attempt', () => {
  test('is made on another node when a connection cannot be made, whatever the method', async () => {
    const [down, up] = await nodes(2)
    await down!.stop()
    const upstream = upstreamOf([down!.url, up!.url], { retries: 1 })
    for (let i = 0; i < 4; i++) {
      expect(await ask(upstream, 'eth_sendRawTransaction')).toEqual([ANSWER.replace('eth_call', 'eth_sendRawTransaction')])
    }
    expect(up!.requests).toHaveLength(4)
  })

  test.each([
    ['a reset', reset],
    ['an HTTP error', reply('down', 503)],
    ['an HTML page', reply('<html>')],
    ['a wrong id', reply('{"id":4711,"result":1}')],
    ['silence', hang],
  ])('is made for a read after %s', async (_what, script) => {
    const [bad, good] = await nodes(2)
    bad!.script(script)
    const upstream = upstreamOf([bad!.url, good!.url], { retries: 1, readTimeoutMs: 200 })
    expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
    expect(counts([bad!, good!])).toEqual([1, 1])
  })

  test('is made on the same node when there is only one', async () => {
    const node = await oneNode()
    node.next(reset)
    expect(await ask(upstreamOf([node.url], { retries: 1 }), 'eth_call')).toEqual([ANSWER])
    expect(node.requests).toHaveLength(2)
  })

  test('is not made for a transaction that was sent', async () => {
    const two = await nodes(2)
    for (const node of two) node.script(reset)
    const upstream = upstreamOf(
      two.map((node) => node.url),
      { retries: 3 },
    )
    expect(await ask(upstream, 'eth_sendRawTransaction')).toEqual(['upstreamUnavailable connection-lost'])
    expect(counts(two)).toEqual([1, 0])
  })

  test('is not made for what a node says about the call', async () => {
    const two = await nodes(2)
    for (const node of two) node.script(reply('{"id":{id},"error":{"code":3,"message":"execution reverted","data":"0x08c379a0"}}'))
    const upstream = upstreamOf(
      two.map((node) => node.url),
      { retries: 3 },
    )
    expect(await ask(upstream, 'eth_call')).toEqual(['error {"code":3,"message":"execution reverted","data":"0x08c379a0"}'])
    expect(counts(two)).toEqual([1, 0])
  })

  test('is made on another node for what a node says about itself', async () => {
    const [bad, good] = await nodes(2)
    bad!.script(reply('{"id":{id},"error":{"code":-32000,"message":"header not found"}}'))
    expect(await ask(upstreamOf([bad!.url, good!.url], { retries: 1 }), 'eth_call')).toEqual([ANSWER])
    expect(counts([bad!, good!])).toEqual([1, 1])
  })

  test('what all nodes say about themselves is told as the last of them said it, each asked once', async () => {
    const two = await nodes(2)
    for (const [i, node] of two.entries()) node.script(reply(`{"id":{id},"error":{"code":-32000,"message":"header not found","data":${i}}}`))
    const upstream = upstreamOf(
      two.map((node) => node.url),
      { retries: 3 },
    )
    expect(await ask(upstream, 'eth_call')).toEqual(['error {"code":-32000,"message":"header not found","data":1}'])
    expect(counts(two)).toEqual([1, 1])
  })

  test('is not made for a transaction that a node has answered, whatever it says', async () => {
    const two = await nodes(2)
    for (const node of two) node.script(reply('{"id":{id},"error":{"code":-32603,"message":"internal error"}}'))
    const upstream = upstreamOf(
      two.map((node) => node.url),
      { retries: 3 },
    )
    expect(await ask(upstream, 'eth_sendRawTransaction')).toEqual(['error {"code":-32603,"message":"internal error"}'])
    expect(counts(two)).toEqual([1, 0])
  })

  test('is not made for an answer that is too large', async () => {
    const node = await oneNode()
    node.results.set('eth_call', `"${'x'.repeat(2000)}"`)
    expect(await ask(upstreamOf([node.url], { retries: 3, maxAnswerBytes: 1000 }), 'eth_call')).toEqual(['upstreamUnavailable too-large'])
    expect(node.requests).toHaveLength(1)
  })

  test('is made as often as is allowed, on every node once before any twice', async () => {
    const three = await nodes(3)
    for (const node of three) node.script(reset)
    const upstream = upstreamOf(
      three.map((node) => node.url),
      { retries: 3 },
    )
    expect(await ask(upstream, 'eth_call')).toEqual(['upstreamUnavailable connection-lost'])
    expect(counts(three).toSorted((a, b) => a - b)).toEqual([1, 1, 2])
  })

  test('is not made once the total time is over', async () => {
    const node = await oneNode()
    node.script(hang)
    expect(await ask(upstreamOf([node.url], { retries: 9, totalTimeoutMs: 150 }), 'eth_call')).toEqual(['upstreamTimeout total-timeout'])
    expect(node.requests).toHaveLength(1)
  })

  test('of a batch carries only the calls that are left, with ids of their own', async () => {
    const node = await oneNode()
    node.next(reply('[{"id":{id},"result":"a"},{"id":{id+2},"error":{"code":1,"message":"m"}}]'))
    const outcomes = await ask(upstreamOf([node.url], { retries: 1 }), 'eth_sendRawTransaction', 'eth_call', 'eth_sendRawTransaction', 'eth_getLogs')
    expect(outcomes).toEqual(['result "a"', ANSWER, 'error {"code":1,"message":"m"}', ANSWER.replace('eth_call', 'eth_getLogs')])
    expect(node.calls.slice(4)).toMatchObject([
      { id: '5', method: 'eth_call' },
      { id: '6', method: 'eth_getLogs' },
    ])
  })

  test('of a single call that a batch left over is no batch', async () => {
    const node = await oneNode()
    node.next(reply('[{"id":{id},"result":"a"}]'))
    expect(await ask(upstreamOf([node.url], { retries: 1 }), 'eth_chainId', 'eth_call')).toEqual(['result "a"', ANSWER])
    expect(node.requests.map((request) => request.isBatch)).toEqual([true, false])
  })

  test('of a batch is made for the calls that may be repeated, and the others fail alone', async () => {
    const node = await oneNode()
    node.next(reset)
    const outcomes = await ask(upstreamOf([node.url], { retries: 1 }), 'eth_call', 'eth_sendRawTransaction')
    expect(outcomes).toEqual([ANSWER, 'upstreamUnavailable connection-lost'])
    expect(node.calls.map(({ method }) => method)).toEqual(['eth_call', 'eth_sendRawTransaction', 'eth_call'])
  })
})

test.each<[isRead: boolean, methods: string]>([
  [true, 'eth_call eth_getBalance eth_blockNumber eth_chainId eth_gasPrice eth_estimateGas eth_feeHistory eth_getLogs eth_syncing eth_createAccessList'],
  [true, 'net_version web3_clientVersion web3_sha3 debug_traceTransaction trace_block trace_filter trace_call txpool_content rpc_modules'],
  [true, 'getBalance getblock get_block dry_run_transaction estimate_cycles starknet_call cfx_epochNumber simulateTransaction'],
  [false, 'eth_sendRawTransaction eth_sendTransaction personal_sendTransaction eth_sign eth_signTransaction sendTransaction send_transaction'],
  [false, 'eth_newFilter eth_newBlockFilter eth_getFilterChanges eth_getFilterLogs eth_uninstallFilter eth_subscribe eth_unsubscribe'],
  [false, 'engine_getPayloadV3 engine_newPayloadV3 admin_addPeer personal_listAccounts miner_start debug_setHead eth_getWork eth_submitWork'],
  [false, 'starknet_addInvokeTransaction author_submitExtrinsic broadcast_tx_sync evm_mine hardhat_reset anvil_setBalance getnewaddress unknown'],
])('a method only reads: %s (%s)', (isRead, methods) => {
  for (const method of methods.split(' ')) expect([method, isReadOnly(method)]).toEqual([method, isRead])
})

describe('when the client goes', () => {
  test('the request and its connection are dropped at once, and nothing is tried again', async () => {
    const two = await nodes(2)
    for (const node of two) node.script(hang)
    const upstream = upstreamOf(
      two.map((node) => node.url),
      { retries: 3 },
    )
    const asking = context()
    const answered = upstream.exchange([call(), call()], asking)
    await two[0]!.arrived(1)
    asking.running!.cancel()
    expect((await answered).map(brief)).toEqual(['upstreamUnavailable client-gone', 'upstreamUnavailable client-gone'])
    expect(asking.running).toBeUndefined()
    await two[0]!.deserted()
    expect(counts(two)).toEqual([1, 0])
  })

  test('in the middle of a large answer, the transfer stops', async () => {
    const node = await oneNode()
    const asking = context()
    const upstream = upstreamOf([node.url])
    node.next((_request, socket) => {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n')
      socket.write(' '.repeat(1000), () => setTimeout(() => asking.running?.cancel(), 20))
    })
    expect((await upstream.exchange([call()], asking)).map(brief)).toEqual(['upstreamUnavailable client-gone'])
    await node.deserted()
    expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
  })

  test('before a connection stands, the request is never sent', async () => {
    const node = await oneNode()
    const asking = context()
    const upstream = upstreamOf([node.url], { maxConnections: 1 })
    const answered = upstream.exchange([call('eth_getLogs')], asking)
    asking.running!.cancel()
    expect((await answered).map(brief)).toEqual(['upstreamUnavailable client-gone'])
    expect(await ask(upstream, 'eth_call')).toEqual([ANSWER])
    expect(node.calls.map(({ method }) => method)).toEqual(['eth_call'])
    expect(node.connections).toBe(1)
  })

  test('a handle to cancel is there while the upstream works, and gone when it is done', async () => {
    const node = await oneNode()
    const asking = context()
    const answered = upstreamOf([node.url]).exchange([call()], asking)
    expect(asking.running).toBeDefined()
    await answered
    expect(asking.running).toBeUndefined()
  })
})

test('attempts, retries, failures, time and what is in flight are counted, and nothing that a client sent', async () => {
  const parts = deps()
  const node = await oneNode()
  const upstream = upstreamOf([node.url], { id: 'mainnet', retries: 1 }, parts)
  node.next(reset, answer, hang)
  await ask(upstream, 'eth_call')
  const asking = context()
  const answered = upstream.exchange([call()], asking)
  await node.arrived(3)
  expect(await parts.registry.text()).toContain('tollgate_upstream_in_flight{upstream="mainnet"} 1')
  asking.running!.cancel()
  await answered
  const text = await parts.registry.text()
  expect(text.split('\n').filter((line) => /^tollgate_upstream_(?!duration_seconds_(bucket|sum)|sockets|subscriptions|stray)/.test(line))).toEqual([
    'tollgate_upstream_attempts_total{upstream="mainnet"} 3',
    'tollgate_upstream_retries_total{upstream="mainnet"} 1',
    'tollgate_upstream_hedges_total{upstream="mainnet"} 0',
    'tollgate_upstream_in_flight{upstream="mainnet"} 0',
    'tollgate_upstream_coalesced_total{upstream="mainnet"} 0',
    'tollgate_upstream_duration_seconds_count{upstream="mainnet"} 3',
    'tollgate_upstream_failures_total{upstream="mainnet",why="connection-lost"} 1',
  ])
})

test('the log knows which node failed and how, by its number and the system’s word', async () => {
  const node = await oneNode()
  await node.stop()
  await ask(upstreamOf([node.url], { id: 'logged' }), 'eth_call')
  expect(logged.filter((line) => line['upstream'] === 'logged')).toEqual([{ upstream: 'logged', node: 0, why: 'connect-failed', code: 'ECONNREFUSED' }])
})
