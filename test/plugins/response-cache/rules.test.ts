import { describe, expect, test } from 'vitest'
import { compileRules, validityOf, validityOfAnswer } from '../../../plugins/response-cache/rules.ts'
import { callIn, sessionOn } from '../../support/configured.ts'
import { knownChain } from '../../support/known-chain.ts'
import type { KnownChain } from '../../support/known-chain.ts'

const HASH = `0x${'aB'.repeat(32)}`
const OTHER = `0x${'cd'.repeat(32)}`

const rules = compileRules({ my_read: { block: 1 }, eth_gasPrice: 'never', my_constant: 'forever' }, () => undefined)

/** In words: `long` with the last block it depends on, `head`, `head-unknown` or `never`. */
function kept(method: string, params: string, chain?: KnownChain): string {
  const rule = rules.get(method)
  if (rule === undefined) return 'never'
  const validity = validityOf(rule, callIn(sessionOn('eth'), method, params), chain)
  if (validity === undefined || typeof validity === 'string') return validity ?? 'never'
  if (validity.head === undefined) return `long ${validity.block}`
  expect(validity.head).toBe(chain!.head()!.hash)
  return 'head'
}

const chain = knownChain(100, 90)

describe('with a known head, an answer is kept', () => {
  test.each([
    ['eth_chainId', '[]', 'long -1'],
    ['net_version', '[]', 'long -1'],
    ['my_constant', '[]', 'long -1'],
    ['eth_blockNumber', '[]', 'head'],
    ['eth_gasPrice', '[]', 'never'],
    ['eth_getBlockByHash', `["${HASH}",true]`, 'long Infinity'],
    ['eth_getBlockByHash', '["latest",true]', 'never'],
    ['eth_getBlockByHash', '[]', 'never'],
    ['eth_getBlockByHash', `{"hash":"${HASH}"}`, 'never'],
    ['eth_getTransactionReceipt', `["${HASH}"]`, 'head'],
    ['eth_getTransactionReceipt', '["0x1"]', 'never'],
    ['eth_getBlockByNumber', '["0x5a",false]', 'long 90'],
    ['eth_getBlockByNumber', '["0x5b",false]', 'head'],
    ['eth_getBlockByNumber', '["0x64",false]', 'head'],
    ['eth_getBlockByNumber', '["0x65",false]', 'never'],
    ['eth_getBlockByNumber', '["earliest",false]', 'long 0'],
    ['eth_getBlockByNumber', '["latest",false]', 'head'],
    ['eth_getBlockByNumber', '["safe",false]', 'head'],
    ['eth_getBlockByNumber', '["finalized",false]', 'head'],
    ['eth_getBlockByNumber', '["pending",false]', 'never'],
    ['eth_getBlockByNumber', '["0x05a",false]', 'never'],
    ['eth_getBlockByNumber', '[90,false]', 'never'],
    ['eth_getBlockReceipts', `["${HASH}"]`, 'long Infinity'],
    ['eth_getBalance', '["0xa","0x1"]', 'long 1'],
    ['eth_getBalance', '["0xa"]', 'head'],
    ['eth_getBalance', '["0xa",null]', 'never'],
    ['eth_getBalance', `["0xa",{"blockHash":"${HASH}"}]`, 'long Infinity'],
    ['eth_getBalance', '["0xa",{"blockNumber":"0x1"}]', 'long 1'],
    ['eth_getBalance', '["0xa",{"blockNumber":"0x1","blockNumber":"latest"}]', 'never'],
    ['eth_getTransactionCount', '["0xa","pending"]', 'never'],
    ['eth_getStorageAt', '["0xa","0x0","0x5a"]', 'long 90'],
    ['eth_call', '[{"to":"0xa"},"latest",{}]', 'head'],
    ['eth_call', '[{"to":"0xa"},"0x5a"]', 'long 90'],
    ['eth_getLogs', '[{"fromBlock":"0x1","toBlock":"0x5a"}]', 'long 90'],
    ['eth_getLogs', '[{"fromBlock":"0x1","toBlock":"0x5b"}]', 'head'],
    ['eth_getLogs', '[{"fromBlock":"0x1","toBlock":"0x65"}]', 'never'],
    ['eth_getLogs', '[{"fromBlock":"0x1"}]', 'head'],
    ['eth_getLogs', '[{"fromBlock":"earliest","toBlock":"finalized"}]', 'head'],
    ['eth_getLogs', '[{"fromBlock":"0x1","toBlock":"pending"}]', 'never'],
    ['eth_getLogs', '[{"fromBlock":"pending","toBlock":"0x1"}]', 'never'],
    ['eth_getLogs', `[{"blockHash":"${HASH}"}]`, 'long Infinity'],
    ['eth_getLogs', '[{"fromblock":"latest","fromBlock":"0x1","toBlock":"0x2"}]', 'never'],
    ['eth_getLogs', '[{"fromBlock":"0x1","toBlock":"0x2","toBlock":"latest"}]', 'never'],
    ['trace_filter', '[{"toBlock":"0x5a"}]', 'long 90'],
    ['my_read', '[1,"0x5a"]', 'long 90'],
    ['my_read', '[1]', 'head'],
    ['eth_sendRawTransaction', '["0x"]', 'never'],
    ['eth_estimateGas', '[{}]', 'never'],
    ['eth_newFilter', '[{}]', 'never'],
    ['eth_subscribe', '["newHeads"]', 'never'],
    ['toString', '[]', 'never'],
  ])('%s %s: %s', (method, params, word) => expect(kept(method, params, chain)).toBe(word))
})

describe('without a known head, an answer is kept', () => {
  test.each([
    ['eth_chainId', '[]', 'long -1'],
    ['eth_getBlockByHash', `["${HASH}",true]`, 'long Infinity'],
    ['eth_getLogs', `[{"blockHash":"${HASH}"}]`, 'long Infinity'],
    ['eth_getBlockByNumber', '["0x1",false]', 'head-unknown'],
    ['eth_getBlockByNumber', '["latest",false]', 'head-unknown'],
    ['eth_getBlockByNumber', '["pending",false]', 'never'],
    ['eth_getTransactionReceipt', `["${HASH}"]`, 'head-unknown'],
    ['eth_blockNumber', '[]', 'head-unknown'],
  ])('%s %s: %s', (method, params, word) => expect(kept(method, params)).toBe(word))

  test('not for long by its number where nothing is known to be final', () => {
    expect(kept('eth_getBlockByNumber', '["0x0",false]', knownChain(100))).toBe('head')
  })
})

describe('the answer about a transaction', () => {
  const asked = { head: HASH, block: Infinity }
  const of = (answer: string | Uint8Array, from: KnownChain | undefined = chain) =>
    validityOfAnswer(rules.get('eth_getTransactionReceipt')!, asked, answer, from)
  const receipt = (block: string): string => `{"blockHash":"${OTHER}","blockNumber":${block},"logs":[{"blockNumber":${block}}]}`

  test('is kept for long once its block is final, and until the head moves before', () => {
    expect(of(receipt('"0x5a"'))).toEqual({ head: undefined, block: 90 })
    expect(of(receipt(' "0x5a"'))).toEqual({ head: undefined, block: 90 })
    expect(of(Buffer.from(receipt('"0x1"')))).toEqual({ head: undefined, block: 1 })
    expect(of(receipt('"0x5b"'))).toBe(asked)
    expect(of(receipt('"0x5a"'), knownChain(100))).toBe(asked)
  })

  test.each(['null', '{}', '{"blockNumber":null}', '{"blockNumber":"0x"}', '{"l1BlockNumber":"0x1"}', '{"blockNumber":"0x20000000000000000"}'])(
    '%s is not kept',
    (answer) => expect(of(answer)).toBeUndefined(),
  )
})

test.each([
  ['eth_sendRawTransaction', 'forever', 'is not a read, and never kept'],
  ['eth_newFilter', 'blocks', 'is not a read, and never kept'],
  ['eth_getFilterLogs', 'head', 'is not a read, and never kept'],
  ['eth_subscribe', 'head', 'is not a read, and never kept'],
  ['eth_sign', 'forever', 'is not a read, and never kept'],
  ['personal_listAccounts', 'head', 'is not a read, and never kept'],
  ['my_read', 'blocks', 'it is not known which param names a block: write { block: POSITION }'],
] as const)('a rule %s: %s cannot be', (method, word, problem) => {
  const problems: string[] = []
  compileRules({ [method]: word }, (of, what) => void problems.push(`${of} ${what}`))
  expect(problems).toEqual([`${method} ${problem}`])
})
