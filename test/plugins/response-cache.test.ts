import { describe, expect, onTestFinished, test } from 'vitest'
import { answer, refuse } from '#plugin'
import jsonrpcVar from '../../plugins/jsonrpc-var.ts'
import responseCache from '../../plugins/response-cache.ts'
import { fixture } from '../pipeline/fixture.ts'
import { configure } from '../support/configured.ts'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { knownChain } from '../support/known-chain.ts'
import { reply, startScriptedNode } from '../support/scripted-node.ts'
import type { Outcome } from '#plugin'
import type { RpcRequest } from '../../core/jsonrpc/frame.ts'
import type { Member } from '../pipeline/fixture.ts'
import type { KnownChain } from '../support/known-chain.ts'

const HASH = `0x${'ab'.repeat(32)}`

interface Options {
  readonly chain?: KnownChain
  readonly config?: string
  readonly members?: readonly Member[]
  readonly node?: (request: RpcRequest) => Outcome
}

/** A chain of plugins with the cache in it, before a node that counts its answers: each is another. */
async function cached({ chain, config = '{}', members = [], node }: Options = {}) {
  const made = await configure([jsonrpcVar, responseCache], `{ jsonrpc-var: {}, response-cache: ${config} }`, {}, '', chain)
  let count = 0
  const upstream = (requests: readonly RpcRequest[]) => Promise.resolve(requests.map((request) => node?.(request) ?? answer(`{"n":${++count}}`)))
  const cache: Member = { name: 'response-cache', priority: 1005, onFault: 'pass', instance: made.plugin('response-cache') }
  const { run, sent, session } = fixture({ members: [cache, ...members], upstream })
  /** The answer's text without its id, and the header. */
  const ask = async (method: string, params = '[]', id: unknown = 1): Promise<string> => {
    session.reset(session.destination)
    const { text } = await run(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"method":"${method}","params":${params}}`)
    const body = text
      .replace(`"id":${JSON.stringify(id)},`, '')
      .replace('{"jsonrpc":"2.0","result":', '')
      .slice(0, -1)
    return `${session.responseHeaders.get('X-Cache')} ${body}`
  }
  return { ask, run, sent, session }
}

describe('response-cache', () => {
  test('answers what was asked before, whatever the id and the white space', async () => {
    const { ask, sent } = await cached({ chain: knownChain(100, 90) })
    expect(await ask('eth_getBalance', '["0xa","0x1"]', 1)).toBe('MISS {"n":1}')
    expect(await ask('eth_getBalance', ' [ "0xa" , "0x1" ] ', 'other')).toBe('HIT {"n":1}')
    expect(await ask('eth_getBalance', '["0xa","0x2"]')).toBe('MISS {"n":2}')
    expect(await ask('eth_getCode', '["0xa","0x1"]')).toBe('MISS {"n":3}')
    expect(sent).toHaveLength(3)
  })

  test('gives back the node’s text byte for byte', async () => {
    const text = '{"n": 1234567890123456789012345678901234567890, "e":1e400,"s":"\\u00e9\\/\u00c3\u00a9","z":-0}'
    const { run } = await cached({ node: () => answer(text) })
    const texts = [await run('{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'), await run('{"jsonrpc":"2.0","id":"x","method":"eth_chainId","params":[]}')]
    expect(texts.map((each) => each.text)).toEqual([`{"jsonrpc":"2.0","id":1,"result":${text}}`, `{"jsonrpc":"2.0","id":"x","result":${text}}`])
  })

  test('gives back large answers, which are bytes, too', async () => {
    const large = Buffer.from(JSON.stringify('x'.repeat(100_000)))
    const { ask, sent } = await cached({ node: () => answer(large) })
    expect(await ask('eth_chainId')).toMatch(/^MISS /)
    expect(await ask('eth_chainId')).toBe(`HIT ${large.toString()}`)
    expect(sent).toHaveLength(1)
  })

  test('keeps what depends on the head until that moves', async () => {
    const chain = knownChain(100, 90)
    const { ask } = await cached({ chain })
    for (const expected of ['MISS {"n":1}', 'HIT {"n":1}', 'HIT {"n":1}']) expect(await ask('eth_blockNumber')).toBe(expected)
    chain.mine()
    for (const expected of ['MISS {"n":2}', 'HIT {"n":2}']) expect(await ask('eth_blockNumber')).toBe(expected)
  })

  test('keeps what is final while the head moves', async () => {
    const chain = knownChain(100, 90)
    const { ask } = await cached({ chain })
    expect(await ask('eth_getBlockByNumber', '["0x5a",true]')).toBe('MISS {"n":1}')
    for (let i = 0; i < 3; i++) chain.mine()
    expect(await ask('eth_getBlockByNumber', '["0x5a",true]')).toBe('HIT {"n":1}')
  })

  test.each([
    ['an error', { kind: 'error', payload: '{"code":3,"message":"reverted"}' } as const],
    ['null', answer('null')],
    ['a failure of the node', refuse('upstreamTimeout', 'x')],
    ['an answer above max_entry_bytes', answer(`"${'x'.repeat(100)}"`)],
  ])('keeps nothing of %s', async (_what, outcome) => {
    const { ask, sent } = await cached({ node: () => outcome, config: '{ max_entry_bytes: 50 }' })
    await ask('eth_chainId')
    await ask('eth_chainId')
    expect(sent).toHaveLength(2)
  })

  test('keeps nothing that a plugin put in the place of the node’s answer', async () => {
    const replacing: Member = { name: 'replace', priority: 1, instance: { reply: () => answer('"other"') } }
    const { ask, sent } = await cached({ members: [replacing] })
    expect([await ask('eth_chainId'), await ask('eth_chainId')]).toEqual(['MISS "other"', 'MISS "other"'])
    expect(sent).toHaveLength(2)
  })

  test('does not answer what another plugin has answered', async () => {
    const answering: Member = { name: 'first', priority: 9999, instance: { access: () => answer('"first"') } }
    const { ask, sent } = await cached({ members: [answering] })
    expect(await ask('eth_chainId')).toBe('BYPASS "first"')
    expect(sent).toEqual([])
  })

  test('sends notifications on', async () => {
    const { ask, run, sent } = await cached()
    await ask('eth_chainId')
    await run('{"jsonrpc":"2.0","method":"eth_chainId"}')
    expect(sent).toEqual(['eth_chainId', 'eth_chainId'])
  })

  test('keeps the answers of networks and of rewritten requests apart', async () => {
    const { run, session, sent } = await cached()
    const ask = () => run('{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}')
    await ask()
    session.upstreamRequest = { path: '/archive', host: undefined, headers: undefined }
    await ask()
    session.upstreamRequest = { path: undefined, host: 'other', headers: undefined }
    await ask()
    session.reset({ ...session.destination, network: 'polygon' })
    await ask()
    await ask()
    expect(sent).toHaveLength(4)
  })
})

describe('while no head is known', () => {
  test('constants and blocks by hash are kept, and nothing else', async () => {
    const { ask } = await cached()
    const twice = async (method: string, params: string): Promise<string> => {
      await ask(method, params)
      return (await ask(method, params)).split(' ')[0]!
    }
    expect(await twice('eth_chainId', '[]')).toBe('HIT')
    expect(await twice('eth_getBlockByHash', `["${HASH}",false]`)).toBe('HIT')
    expect(await twice('eth_blockNumber', '[]')).toBe('BYPASS')
    expect(await twice('eth_getBlockByNumber', '["0x1",false]')).toBe('BYPASS')
    expect(await twice('eth_getTransactionReceipt', `["${HASH}"]`)).toBe('BYPASS')
  })

  test('latest_ttl keeps the rest for as long as it says', async () => {
    const { ask } = await cached({ config: '{ latest_ttl: 500ms }' })
    expect(await ask('eth_blockNumber')).toBe('MISS {"n":1}')
    expect(await ask('eth_blockNumber')).toBe('HIT {"n":1}')
  })

  test('a head that is lost ends what it carried', async () => {
    const chain = knownChain(100, 90)
    const { ask } = await cached({ chain })
    await ask('eth_blockNumber')
    chain.lose()
    expect(await ask('eth_blockNumber')).toBe('BYPASS {"n":2}')
  })
})

describe('a reorg', () => {
  test('drops what it touched, and nothing that it did not', async () => {
    const chain = knownChain(100, 90)
    const { ask } = await cached({ chain })
    const questions = [
      ['eth_chainId', '[]'],
      ['eth_getBlockByNumber', '["0x50",false]'],
      ['eth_getBlockByNumber', '["0x5a",false]'],
      ['eth_getLogs', '[{"fromBlock":"0x1","toBlock":"0x58"}]'],
      ['eth_getBlockByHash', `["${HASH}",false]`],
      ['eth_getBlockByNumber', '["0x64",false]'],
    ] as const
    const all = async (): Promise<string[]> => {
      const words: string[] = []
      for (const [method, params] of questions) words.push((await ask(method, params)).split(' ')[0]!)
      return words
    }
    await all()
    expect(await all()).toEqual(['HIT', 'HIT', 'HIT', 'HIT', 'HIT', 'HIT'])
    chain.reorg(85)
    expect(await all()).toEqual(['HIT', 'HIT', 'MISS', 'MISS', 'MISS', 'MISS'])
    expect(await all()).toEqual(['HIT', 'HIT', 'HIT', 'HIT', 'HIT', 'HIT'])
  })

  test.each([
    ['by its final number', 'eth_getBlockByNumber', '["0x5a",false]', (chain: KnownChain) => chain.reorg(85)],
    ['by its hash', 'eth_getBlockByHash', `["${HASH}",false]`, (chain: KnownChain) => chain.reorg(100)],
    ['at the head', 'eth_getBlockByNumber', '["latest",false]', (chain: KnownChain) => chain.mine()],
  ])('that comes while the node answers keeps the answer about a block %s from being kept', async (_what, method, params, move) => {
    const chain = knownChain(100, 90)
    let isFirst = true
    const { ask, sent } = await cached({
      chain,
      node: () => {
        if (isFirst) move(chain)
        isFirst = false
        return answer('"x"')
      },
    })
    // The first call makes the cache follow the chain.
    expect([await ask(method, params), await ask(method, params), await ask(method, params)]).toEqual(['MISS "x"', 'MISS "x"', 'HIT "x"'])
    expect(sent).toHaveLength(2)
  })
})

describe('X-Cache', () => {
  /** The header of a batch, once eth_chainId and net_version were asked. */
  async function headerOf(methods: readonly string[], members: readonly Member[] = []): Promise<unknown> {
    const { ask, run, session } = await cached({ members })
    await ask('eth_chainId')
    await ask('net_version')
    session.reset(session.destination)
    await run(methods.map((method, id) => ({ jsonrpc: '2.0', id, method })))
    return session.responseHeaders.get('X-Cache')
  }
  const refusing: Member = { name: 'guard', priority: 9999, instance: { access: ({ method }) => (method === 'no' ? refuse('blocked', 'x') : undefined) } }

  test.each([
    [['eth_chainId', 'net_version'], 'HIT'],
    [['eth_chainId', 'web3_sha3'], 'MISS'],
    [['web3_sha3', 'eth_chainId'], 'MISS'],
    [['eth_chainId', 'eth_sendRawTransaction'], 'MISS'],
    [['eth_sendRawTransaction', 'eth_estimateGas'], 'BYPASS'],
    [['eth_chainId', 'no'], 'HIT'],
    [['no'], undefined],
  ])('of a batch of %j is %s', async (methods, word) => expect(await headerOf(methods, [refusing])).toBe(word))
})

test('through a gateway: charged like the node’s answer, refused like it, counted', async () => {
  const node = await startScriptedNode({ hasNoBlocks: true })
  onTestFinished(() => node.stop())
  const prices = { default: 1, methods: { eth_chainId: 4 }, cache_hit_cost: 0.25 }
  const plugins = { 'response-cache': {}, 'limit-cu': { time_window: 86_400 } }
  const plans = [{ id: 'free', tier: 'free', seconds_quota: 10, monthly_quota: 1000 }]
  const consumers = [{ username: 'frank', plan: 'free', plugins: { 'key-auth': { key: 'free-key' } } }]
  const files = { ...basicFiles, 'cu-pricing.yaml': prices }
  const gateway = await startTestGateway(basic({ nodeUrl: node.url, plugins, top: { plans, consumers } }), { files })
  onTestFinished(() => gateway.stop())
  node.next(reply('{"jsonrpc":"2.0","id":{id},"result":{"x":1.0, "y":[ ]}}'))
  const ask = (key?: string) => gateway.post('/eth', '{"jsonrpc":"2.0","id":"a","method":"eth_chainId"}', key === undefined ? {} : { apikey: key })
  const headersOf = async () => {
    const { status, text, headers } = await ask('free-key')
    return [status, text, headers.get('x-cache'), headers.get('x-cu-cost'), headers.get('x-ratelimit-remaining')]
  }
  const text = '{"jsonrpc":"2.0","id":"a","result":{"x":1.0, "y":[ ]}}'
  expect(await headersOf()).toEqual([200, text, 'MISS', '4', '6'])
  for (const left of ['5', '4', '3', '2', '1', '0']) expect(await headersOf()).toEqual([200, text, 'HIT', '1', left])
  const refused = await ask('free-key')
  expect(refused).toMatchObject({ status: 429, json: { error: { data: { reason: 'rate', cu: 1 } } } })
  expect(refused.headers.get('x-cache')).toBeNull()
  expect((await ask()).status).toBe(401)
  expect(node.calls).toHaveLength(1)
  expect(await gateway.metric('tollgate_cache_lookups_total', { method: 'eth_chainId', result: 'miss' })).toBe(1)
  expect(await gateway.metric('tollgate_cache_lookups_total', { method: 'eth_chainId', result: 'hit' })).toBe(7)
  expect(await gateway.metric('tollgate_cache_entries')).toBe(1)
})

test('a reload begins anew', async () => {
  const node = await startScriptedNode({ hasNoBlocks: true })
  onTestFinished(() => node.stop())
  const config = basic({ nodeUrl: node.url, plugins: { 'response-cache': {} } })
  const gateway = await startTestGateway(config, { files: basicFiles })
  onTestFinished(() => gateway.stop())
  const ask = async () => (await gateway.post('/eth', '{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}', { apikey: 'free-key' })).headers.get('x-cache')
  expect([await ask(), await ask()]).toEqual(['MISS', 'HIT'])
  expect(await gateway.reload()).toBe(true)
  expect([await ask(), await ask()]).toEqual(['MISS', 'HIT'])
})

test('a rule for what is no read is a problem', async () => {
  const { problems } = await configure(
    [jsonrpcVar, responseCache],
    '{ jsonrpc-var: {}, response-cache: { rules: { eth_sendRawTransaction: head, eth_call: often } } }',
  )
  expect(problems).toEqual([expect.stringContaining('response-cache.rules.eth_call: must be forever, hash, mined, blocks, head, never or a mapping')])
  const { problems: others } = await configure([jsonrpcVar, responseCache], '{ jsonrpc-var: {}, response-cache: { rules: { eth_sendRawTransaction: head } } }')
  expect(others).toEqual([expect.stringContaining('response-cache.rules.eth_sendRawTransaction: is not a read, and never kept')])
})
