import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readBlockFilter, takesBlockFilter } from '../../core/plugin/block-filter.ts'
import { reachOf } from '../../core/plugin/reach.ts'

const HASH = `0x${'aB'.repeat(32)}`

const read = (method: string, text: string) => readBlockFilter(method, JSON.parse(text) as unknown, text)
const logs = (filter: string) => read('eth_getLogs', `[${filter}]`)

describe('a filter that is read', () => {
  test.each([
    ['{}', { from: 'latest', to: 'latest' }, { fromBlock: 'latest', toBlock: 'latest' }],
    ['{"fromBlock":"0x1","toBlock":"0x2"}', { from: 1, to: 2 }, { fromBlock: '0x1', toBlock: '0x2' }],
    ['{"fromBlock":"0x1"}', { from: 1, to: 'latest' }, { fromBlock: '0x1', toBlock: 'latest' }],
    ['{"toBlock":"0x2"}', { from: 'latest', to: 2 }, { fromBlock: 'latest', toBlock: '0x2' }],
    ['{"fromBlock":null,"toBlock":null,"address":null}', { from: 'latest', to: 'latest' }, { fromBlock: 'latest', toBlock: 'latest' }],
    ['{"blockHash":null,"fromBlock":"0x1","toBlock":"0x1"}', { from: 1, to: 1 }, { fromBlock: '0x1', toBlock: '0x1' }],
    [`{"blockHash":"${HASH}"}`, 'hash', { blockHash: HASH }],
    [`{"blockHash":"${HASH}","fromBlock":null}`, 'hash', { blockHash: HASH }],
    [
      '{"topics":[null,["a",null,"b"],[]],"toBlock":"safe","address":["c","d"],"fromBlock":"finalized"}',
      { from: 'finalized', to: 'safe' },
      { fromBlock: 'finalized', toBlock: 'safe', address: ['c', 'd'], topics: [null, ['a', null, 'b'], []] },
    ],
  ])('%s', (filter, reach, members) => {
    expect(logs(filter)).toEqual({ reach, members })
    expect(read('eth_newFilter', `[${filter}]`)).toEqual({ reach, members })
    expect(reachOf('eth_getLogs', [JSON.parse(filter)], filter)).toEqual(reach)
  })

  test('of trace_filter begins with the first block where it does not say', () => {
    expect(read('trace_filter', '[{"toBlock":"0x9","fromAddress":["0xa"],"count":10,"after":0,"mode":"union"}]')).toEqual({
      reach: { from: 'earliest', to: 9 },
      members: { fromBlock: 'earliest', toBlock: '0x9', fromAddress: ['0xa'], mode: 'union', after: 0, count: 10 },
    })
  })
})

describe('a filter that nodes might read differently is refused:', () => {
  test.each([
    ['a member in another letter case', '{"fromblock":"0x0","fromBlock":"0x9","toBlock":"0x9"}', /unknown member "fromblock"/],
    ['a member that folds to one', '{"fromBloc\u212a":"0x0","toBlock":"0x9"}', /unknown member/],
    ['an unknown member', '{"fromBlock":"0x9","toBlock":"0x9","limit":1}', /unknown member "limit"/],
    ['a member of another method', '{"count":1}', /unknown member "count"/],
    ['__proto__', '{"__proto__":{"fromBlock":"0x0"}}', /unknown member "__proto__"/],
    ['a member that stands twice', '{"fromBlock":"0x9","fromBlock":"0x0","toBlock":"0x9"}', /stands twice/],
    ['a member that stands twice, once in escapes', '{"fromBlock":"0x9","\\u0066romBlock":"0x0","toBlock":"0x9"}', /stands twice/],
    ['a null twin', '{"fromBlock":"0x0","fromBlock":null}', /stands twice/],
    ['leading zeros', '{"fromBlock":"0x01"}', /^fromBlock must be a number/],
    ['an upper-case prefix', '{"fromBlock":"0X1"}', /^fromBlock must be a number/],
    ['a huge number', '{"toBlock":"0xffffffffffffffffffffffff"}', /^toBlock must be a number/],
    ['a JSON number', '{"fromBlock":0}', /^fromBlock must be a number/],
    ['a fraction', '{"fromBlock":1e400}', /^fromBlock must be a number/],
    ['decimal digits', '{"fromBlock":"0"}', /^fromBlock must be a number/],
    ['no text', '{"fromBlock":""}', /^fromBlock must be a number/],
    ['a tag in another letter case', '{"fromBlock":"EARLIEST"}', /^fromBlock must be a number/],
    ['an object in place of a block', `{"fromBlock":{"blockHash":"${HASH}"}}`, /^fromBlock must be a number/],
    ['a hash in place of a block', `{"fromBlock":"${HASH}"}`, /^fromBlock must be a number/],
    ['a range that ends before it begins', '{"fromBlock":"0x9","toBlock":"0x1"}', /fromBlock is above toBlock/],
    ['blockHash and fromBlock', `{"blockHash":"${HASH}","fromBlock":"0x0"}`, /blockHash goes without/],
    ['blockHash and toBlock', `{"blockHash":"${HASH}","toBlock":"latest"}`, /blockHash goes without/],
    ['a short blockHash', '{"blockHash":"0x1"}', /blockHash must be 32 bytes/],
    ['an address that is a number', '{"address":1}', /address must be text/],
    ['a topic that is an object', '{"topics":[{"a":1}]}', /topics must be text/],
    ['topics three lists deep', '{"topics":[[["a"]]]}', /topics must be text/],
  ])('%s', (_what, filter, problem) => {
    expect(logs(filter)).toMatch(problem)
    expect(reachOf('eth_getLogs', [JSON.parse(filter)], filter)).toBeUndefined()
  })

  test.each(['{}', '[]', '[null]', '["0x1"]', '[[{}]]', '[{},{}]', '[{},null]', '{"filter":{}}'])('params %s', (params) => {
    expect(read('eth_getLogs', params)).toBe('params must be a list of one filter object')
  })

  test('no params', () => expect(readBlockFilter('eth_getLogs', undefined, undefined)).toBe('params must be a list of one filter object'))

  test.each(['{"count":1.5}', '{"count":-1}', '{"count":1e400}', '{"after":"0x1"}', '{"blockHash":null,"topics":[]}'])('trace_filter %s', (filter) => {
    expect(read('trace_filter', `[${filter}]`)).toEqual(expect.any(String))
  })
})

test('what is read is read again as the same, whatever was left out, and JSON loses nothing of it', () => {
  const block = fc.oneof(
    fc.constantFrom('latest', 'earliest', 'pending', 'safe', 'finalized', null, undefined),
    fc.maxSafeNat().map((n) => `0x${n.toString(16)}`),
  )
  const texts = fc.oneof(fc.string(), fc.array(fc.oneof(fc.string(), fc.constant(null), fc.array(fc.string()))), fc.constant(null))
  fc.assert(
    fc.property(fc.record({ fromBlock: block, toBlock: block, address: texts, topics: texts }, { requiredKeys: [] }), (filter) => {
      const once = logs(JSON.stringify(filter))
      const twice = typeof once === 'string' ? 'fromBlock is above toBlock' : logs(JSON.stringify(once.members))
      expect(twice).toEqual(once)
    }),
  )
})

test('a method is known in any letter case', () => {
  for (const method of ['eth_getLogs', 'ETH_GETLOGS', 'eth_newFilter', 'trace_filter', 'Trace_Filter']) expect(takesBlockFilter(method)).toBe(true)
  for (const method of ['eth_call', 'eth_getLog', 'eth_getLogsX', 'constructor', 'trace_block']) expect(takesBlockFilter(method)).toBe(false)
})

describe('the blocks that other methods read', () => {
  const reach = (method: string, params: string, position?: number) => reachOf(method, JSON.parse(params), params, position)
  test.each([
    ['eth_getBalance', '["0xa","0x9"]', { from: 9, to: 9 }],
    ['eth_getBalance', '["0xa"]', { from: 'latest', to: 'latest' }],
    ['eth_getBalance', `["0xa",{"blockHash":"${HASH}"}]`, 'hash'],
    ['eth_getBalance', '["0xa",{"blockNumber":"0x9","blockNumber":"0x1"}]', undefined],
    ['eth_getBalance', '["0xa",null]', undefined],
    ['eth_getBalance', '{"address":"0xa","block":"0x9"}', undefined],
    ['eth_getBlockByNumber', '["finalized",false]', { from: 'finalized', to: 'finalized' }],
    ['eth_getStorageAt', '["0xa","0x0","0x9"]', { from: 9, to: 9 }],
    ['eth_chainId', '[]', undefined],
    ['toString', '["0x1"]', undefined],
  ])('%s %s', (method, params, expected) => expect(reach(method, params)).toEqual(expected))

  test('a position may be told', () => expect(reach('my_read', '[1,"0x9"]', 1)).toEqual({ from: 9, to: 9 }))
})
