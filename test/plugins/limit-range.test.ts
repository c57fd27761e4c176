import { describe, expect, onTestFinished, test } from 'vitest'
import limitRange from '../../plugins/limit-range.ts'
import jsonrpcVar from '../../plugins/jsonrpc-var.ts'
import { callIn, configure, sessionOn } from '../support/configured.ts'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { knownChain } from '../support/known-chain.ts'
import { reply, startScriptedNode } from '../support/scripted-node.ts'
import type { Refusal } from '#plugin'
import type { KnownChain } from '../support/known-chain.ts'

const TIERS = '{ max_blocks: { free: 10, paid: 100 } }'

interface Asked {
  /** `passed`, or why it was refused. */
  readonly word: string
  readonly refusal: Refusal | undefined
  /** What goes upstream. */
  readonly params: string | undefined
}

/** What becomes of a call. */
async function ask(method: string, params: string | undefined, tier?: string, chain?: KnownChain, config = TIERS): Promise<Asked> {
  const plugin = (await configure([jsonrpcVar, limitRange], `{ jsonrpc-var: {}, limit-range: ${config} }`, {}, '', chain)).plugin('limit-range')
  const call = callIn(sessionOn('eth', tier === undefined ? {} : { tier }), method, params)
  const refusal = plugin.access!(call) as Refusal | undefined
  return { word: refusal?.why ?? 'passed', refusal, params: call.request!.paramsText }
}

const range = (from: number | string, to: number | string): string => {
  const text = (block: number | string): string => (typeof block === 'number' ? `0x${block.toString(16)}` : block)
  return `[{"fromBlock":"${text(from)}","toBlock":"${text(to)}"}]`
}

describe('limit-range', () => {
  test.each([
    ['free', 1, 10, 'passed'],
    ['free', 1, 11, 'range-too-long'],
    ['paid', 1, 100, 'passed'],
    ['paid', 1, 101, 'range-too-long'],
    ['of another name', 1, 11, 'range-too-long'],
    [undefined, 1, 11, 'range-too-long'],
    [undefined, 7, 7, 'passed'],
  ])('on the tier %s, blocks %i to %i are %s', async (tier, from, to, word) => {
    for (const method of ['eth_getLogs', 'eth_newFilter', 'trace_filter', 'ETH_GETLOGS']) expect((await ask(method, range(from, to), tier)).word).toBe(word)
  })

  test('says how long the range is and what is allowed', async () => {
    const { refusal } = await ask('eth_getLogs', range(1, 11), 'free')
    expect(refusal).toMatchObject({ name: 'invalidParams', message: 'The range is 11 blocks long; ask for at most 10 at once', limit: 10 })
  })

  test.each([
    [range(91, 'latest'), 'passed'],
    [range(90, 'latest'), 'range-too-long'],
    [range(92, 'pending'), 'passed'],
    [range(91, 'pending'), 'range-too-long'],
    ['[{"fromBlock":"0x5b"}]', 'passed'],
    ['[{"fromBlock":"0x1"}]', 'range-too-long'],
    ['[{"fromBlock":"earliest"}]', 'range-too-long'],
    ['[{}]', 'passed'],
    ['[{"toBlock":"0x1"}]', 'passed'],
    [range('finalized', 'latest'), 'range-too-long'],
    [range(85, 'finalized'), 'passed'],
    [range('earliest', 'finalized'), 'range-too-long'],
    [range('latest', 2 ** 40), 'range-too-long'],
    [range(101, 'latest'), 'passed'],
  ])('before block 100, of which 90 are final, %s is %s', async (params, word) => {
    expect((await ask('eth_getLogs', params, 'free', knownChain(100, 90))).word).toBe(word)
  })

  test('a trace_filter without a first block begins with the first of all', async () => {
    const chain = knownChain(100)
    expect((await ask('trace_filter', '[{}]', 'free', chain)).word).toBe('range-too-long')
    expect((await ask('trace_filter', '[{"toBlock":"0x9"}]', 'free', chain)).params).toBe('[{"fromBlock":"earliest","toBlock":"0x9"}]')
  })

  test.each(['[{"fromBlock":"0x1"}]', range('earliest', 'latest'), range('finalized', 'latest'), range('latest', 2)])(
    'while no head is known, %s is refused, or passes where the configuration says so',
    async (params) => {
      expect((await ask('eth_getLogs', params, 'free')).word).toBe('unknown-head')
      expect((await ask('eth_getLogs', params, 'free', undefined, '{ unknown_head: pass }')).word).toBe('passed')
    },
  )

  test.each(['[{}]', range('latest', 'latest'), range(1, 5), range('earliest', 5)])('while no head is known, %s passes', async (params) => {
    expect((await ask('eth_getLogs', params, 'free')).word).toBe('passed')
  })

  test('unknown_head: pass lets no range pass whose length is known', async () => {
    expect((await ask('eth_getLogs', range('earliest', 5000), 'free', undefined, '{ unknown_head: pass }')).word).toBe('range-too-long')
  })

  test('the filter is written anew, both ends spelled out, and nothing else is lost', async () => {
    const text = ` [ { "topics" : [ null, ["0xAb", null] ], "toBlock" : null, "address":"\\u0030xA", "fromBlock" : "0x60" } ] `
    expect((await ask('eth_getLogs', text, 'free', knownChain(100))).params).toBe(
      '[{"fromBlock":"0x60","toBlock":"latest","address":"0xA","topics":[null,["0xAb",null]]}]',
    )
  })

  test('text beyond ASCII keeps its bytes', async () => {
    expect((await ask('eth_getLogs', '[{"address":"é😀"}]', 'free')).params).toBe(
      Buffer.from('[{"fromBlock":"latest","toBlock":"latest","address":"é😀"}]').toString('latin1'),
    )
  })

  test.each([
    ['leading zeros', range('0x01', 'latest')],
    ['an upper-case prefix', range('0X1', '0X2')],
    ['a huge number', range('0xffffffffffffffffffffffffffffffff', 'latest')],
    ['from above to', range(9, 1)],
    ['a tag in another letter case', range('Earliest', 'latest')],
    ['a list of filters', '[{"fromBlock":"0x9","toBlock":"0x9"},{"fromBlock":"0x0"}]'],
    ['a list in the list', '[[{"fromBlock":"0x0"}]]'],
    ['params by name', '{"filter":{"fromBlock":"0x0"}}'],
    ['a member in another letter case', '[{"FromBlock":"0x0","fromBlock":"0x9","toBlock":"0x9"}]'],
    ['a member that stands twice', '[{"fromBlock":"0x0","fromBlock":"0x9","toBlock":"0x9"}]'],
    ['a JSON number', '[{"fromBlock":0,"toBlock":"0x9"}]'],
    ['no filter', '[]'],
    ['no params', undefined],
  ])('%s is refused as a bad filter', async (_what, params) => {
    for (const config of [TIERS, '{ unknown_head: pass }']) expect((await ask('eth_getLogs', params, 'paid', knownChain(100), config)).word).toBe('bad-filter')
  })

  test('a null end is a missing end, and is not sent', async () => {
    expect((await ask('eth_getLogs', '[{"fromBlock":null}]', 'free')).params).toBe('[{"fromBlock":"latest","toBlock":"latest"}]')
  })

  test('what takes no filter passes as it is', async () => {
    expect(await ask('eth_call', '[ {"fromBlock":"0x0"} ]')).toMatchObject({ word: 'passed', params: '[ {"fromBlock":"0x0"} ]' })
  })

  test('is refused by name and number where it lists no tier', async () => {
    const { problems } = await configure([jsonrpcVar, limitRange], '{ jsonrpc-var: {}, limit-range: { max_blocks: {}, unknown_head: maybe } }')
    expect(problems).toEqual([
      expect.stringContaining('limit-range.max_blocks: must not be empty'),
      expect.stringContaining('limit-range.unknown_head: must be one of refuse, pass'),
    ])
  })
})

describe('split', () => {
  const SPLIT = '{ max_blocks: { free: 1000 }, split: 10 }'
  const partsOf = async (method: string, params: string, chain?: KnownChain): Promise<readonly string[] | undefined> => {
    const plugin = (await configure([jsonrpcVar, limitRange], `{ jsonrpc-var: {}, limit-range: ${SPLIT} }`, {}, '', chain)).plugin('limit-range')
    const call = callIn(sessionOn('eth'), method, params)
    expect(plugin.access!(call)).toBeUndefined()
    return call.parts?.map((part) => part.paramsText!)
  }

  test('asks a longer range in parts of equal length', async () => {
    expect(await partsOf('eth_getLogs', '[{"fromBlock":"0x0","toBlock":"0x15","address":"0xa"}]')).toEqual([
      '[{"fromBlock":"0x0","toBlock":"0x6","address":"0xa"}]',
      '[{"fromBlock":"0x7","toBlock":"0xd","address":"0xa"}]',
      '[{"fromBlock":"0xe","toBlock":"0x15","address":"0xa"}]',
    ])
    expect(await partsOf('trace_filter', '[{"toBlock":"0xa"}]')).toEqual(['[{"fromBlock":"0x0","toBlock":"0x4"}]', '[{"fromBlock":"0x5","toBlock":"0xa"}]'])
  })

  test('leaves the latest block to the node', async () => {
    expect(await partsOf('eth_getLogs', range(90, 'latest'), knownChain(100))).toEqual([range(90, 94), range(95, 'latest')])
  })

  test.each([
    ['eth_getLogs', range(1, 10)],
    ['eth_getLogs', range('latest', 'latest')],
    ['eth_getLogs', range('finalized', 'latest')],
    ['eth_getLogs', range(1, 'finalized')],
    ['eth_getLogs', range(1, 'pending')],
    ['eth_getLogs', `[{"blockHash":"0x${'ab'.repeat(32)}"}]`],
    ['eth_newFilter', range(1, 100)],
    ['ETH_GETLOGS', range(1, 100)],
    ['trace_filter', '[{"fromBlock":"0x1","toBlock":"0x64","count":10}]'],
    ['trace_filter', '[{"fromBlock":"0x1","toBlock":"0x64","after":10}]'],
  ])('asks %s %s as a whole', async (method, params) => expect(await partsOf(method, params, knownChain(100, 50))).toBeUndefined())

  test('is a problem where it makes too many parts', async () => {
    const { problems } = await configure([jsonrpcVar, limitRange], '{ jsonrpc-var: {}, limit-range: { max_blocks: { free: 10, paid: 1001 }, split: 10 } }')
    expect(problems).toEqual([expect.stringContaining('limit-range.split: makes up to 101 parts of a call, at most 100 are allowed')])
  })
})

test('through a gateway, the node is asked what was judged, and a refused call costs nothing', async () => {
  const node = await startScriptedNode()
  onTestFinished(() => node.stop())
  const gateway = await startTestGateway(basic({ nodeUrl: node.url, plugins: { 'limit-range': { max_blocks: { free: 10 } } } }), { files: basicFiles })
  onTestFinished(() => gateway.stop())
  const post = (params: string) => gateway.post('/eth', `{"jsonrpc":"2.0","id":7,"method":"eth_getLogs","params":${params}}`, { apikey: 'free-key' })
  const refused = await post(range(1, 11))
  expect(refused.json).toMatchObject({ id: 7, error: { code: -32602, data: { reason: 'range-too-long', limit: 10 } } })
  expect(refused.headers.get('x-cu-cost')).toBe('0')
  const answered = await post(' [ {"toBlock":"0xa","fromBlock":"0x1"} ]')
  expect(answered.json).toMatchObject({ id: 7, result: { params: [{ fromBlock: '0x1', toBlock: '0xa' }] } })
  expect(node.calls.map(({ params }) => params)).toEqual(['[{"fromBlock":"0x1","toBlock":"0xa"}]'])
})

test('through a gateway, the answers to the parts are one answer, charged once', async () => {
  const node = await startScriptedNode()
  onTestFinished(() => node.stop())
  const gateway = await startTestGateway(basic({ nodeUrl: node.url, plugins: { 'limit-range': { max_blocks: { free: 100 }, split: 10 } } }), {
    files: basicFiles,
  })
  onTestFinished(() => gateway.stop())
  const post = () => gateway.post('/eth', `{"jsonrpc":"2.0","id":7,"method":"eth_getLogs","params":${range(0, 29)}}`, { apikey: 'free-key' })
  node.next(
    reply('[{"jsonrpc":"2.0","id":{id},"result":[{"n": 1.0}, 2]},{"jsonrpc":"2.0","id":{id+2},"result":[3]},{"jsonrpc":"2.0","id":{id+1},"result":[ ]}]'),
  )
  const answered = await post()
  expect(answered.text).toBe('{"jsonrpc":"2.0","id":7,"result":[{"n": 1.0}, 2,3]}')
  expect(answered.headers.get('x-cu-cost')).toBe('10')
  expect(node.calls.map(({ params }) => params)).toEqual([range(0, 9), range(10, 19), range(20, 29)])
  node.next(
    reply(
      '[{"jsonrpc":"2.0","id":{id},"result":[1]},{"jsonrpc":"2.0","id":{id+1},"error":{"code":-32000,"message":"x"}},{"jsonrpc":"2.0","id":{id+2},"result":[3]}]',
    ),
  )
  expect((await post()).text).toBe('{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"x"}}')
})
