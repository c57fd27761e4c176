/** What is kept of a real node's answers, while its chain is turned. */
import { expect, onTestFinished, test } from 'vitest'
import { decodeReplies } from '../../../core/jsonrpc/reply.ts'
import { encodeRequest } from '../../../core/jsonrpc/encode.ts'
import jsonrpcVar from '../../../plugins/jsonrpc-var.ts'
import responseCache from '../../../plugins/response-cache.ts'
import { fixture } from '../../pipeline/fixture.ts'
import { startAnvil } from '../../support/anvil.ts'
import { configure } from '../../support/configured.ts'
import { knownChain } from '../../support/known-chain.ts'
import type { Outcome } from '#plugin'
import type { RpcRequest } from '../../../core/jsonrpc/frame.ts'

const SENDER = '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266'
const RECEIVER = '0x00000000000000000000000000000000000000aa'

/** Asks the node at this address, its answers as text. */
async function askNode(url: string, requests: readonly RpcRequest[]): Promise<readonly Outcome[]> {
  return Promise.all(
    requests.map(async (request) => {
      const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: encodeRequest(1, request) })
      const { result, error } = decodeReplies(Buffer.from(await response.arrayBuffer()))!.members[0]!
      return result === undefined ? { kind: 'error' as const, payload: error! } : { kind: 'result' as const, payload: result }
    }),
  )
}

test('a reorg never leaves a stale answer, and what it did not touch is still kept', async () => {
  const anvil = await startAnvil()
  onTestFinished(() => anvil.stop())
  const send = () => anvil.call('eth_sendTransaction', [{ from: SENDER, to: RECEIVER, value: '0x1' }])
  const early = await send()
  await anvil.call('anvil_mine', ['0x14'])
  const late = await send()
  const head = Number(await anvil.call('eth_blockNumber'))
  const lateBlock = (await anvil.call('eth_getBlockByNumber', [`0x${head.toString(16)}`, false])) as { hash: string }

  const chain = knownChain(head, head - 10)
  const made = await configure([jsonrpcVar, responseCache], '{ jsonrpc-var: {}, response-cache: {} }', {}, '', chain)
  const members = [{ name: 'response-cache', priority: 1005, instance: made.plugin('response-cache') }]
  const { run, session } = fixture({ members, upstream: (requests) => askNode(anvil.url, requests) })

  const questions: readonly (readonly [method: string, params: readonly unknown[]])[] = [
    ['eth_chainId', []],
    ['eth_getBlockByNumber', ['0x1', true]],
    ['eth_getTransactionReceipt', [early]],
    ['eth_getBlockByNumber', [`0x${head.toString(16)}`, true]],
    ['eth_getBlockByNumber', ['latest', false]],
    ['eth_getBlockByHash', [lateBlock.hash, true]],
    ['eth_getTransactionReceipt', [late]],
    ['eth_getBalance', [RECEIVER, 'latest']],
    ['eth_getLogs', [{ fromBlock: '0x1', toBlock: 'latest' }]],
    ['eth_blockNumber', []],
  ]
  /** What the cache had for each question. Each answer has to be what the node says now. */
  const askAll = async (): Promise<string> => {
    const words: unknown[] = []
    for (const [method, params] of questions) {
      session.reset(session.destination)
      const { json } = await run({ jsonrpc: '2.0', id: 1, method, params })
      expect([method, json.result]).toEqual([method, await anvil.call(method, params)])
      words.push(session.responseHeaders.get('X-Cache'))
    }
    return words.join(' ')
  }
  const nothing = questions.map(() => 'MISS').join(' ')
  const everything = nothing.replaceAll('MISS', 'HIT')
  expect(await askAll()).toBe(nothing)
  expect(await askAll()).toBe(everything)

  await anvil.call('anvil_reorg', [2, []])
  chain.reorg(head - 1, head)
  const untouched = 'HIT HIT HIT MISS MISS MISS MISS MISS MISS MISS'
  expect(await askAll()).toBe(untouched)

  const snapshot = await anvil.call('evm_snapshot')
  await send()
  chain.mine()
  await askAll()
  await anvil.call('evm_revert', [snapshot])
  chain.reorg(head + 1, head)
  await askAll()
})
