import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { answer, cost, draw, refuse } from '#plugin'
import { PriceRule } from '../../../plugins/calculate-cu/price-rule.ts'
import calculateCu from '../../../plugins/calculate-cu.ts'
import jsonrpcVar from '../../../plugins/jsonrpc-var.ts'
import { fixture } from '../../pipeline/fixture.ts'
import { callIn, configure, sessionOn } from '../../support/configured.ts'
import { knownChain } from '../../support/known-chain.ts'
import type { Member } from '../../pipeline/fixture.ts'
import type { KnownChain } from '../../support/known-chain.ts'

const PRICING = `
default: 0.5
methods:
  eth_call: 5
  eth_getLogs: { base: 10, per_1000_blocks: 5, per_kib_result: 0.1, max: 500 }
  eth_newFilter: { base: 2, per_1000_blocks: 1, max: 20 }
  trace_filter: { base: 50, per_1000_blocks: 50, max: 1000 }
  eth_getBalance: { base: 2, archive: { multiply: 2.5, add: 1 } }
  eth_getBlockByNumber: { base: 3, archive: { after_blocks: 10, add: 4 }, per_kib_result: 1, max: 50 }
  debug_traceTransaction: { base: 30, tracers: { callTracer: 40, prestateTracer: 60, "4byte*": 20 } }
  debug_traceCall: { base: 30, tracers: { callTracer: 40, "*": 100 } }
cache_hit_cost: 0.25
`

function plugin(chain?: KnownChain, pricing = PRICING) {
  return configure([jsonrpcVar, calculateCu], '{ jsonrpc-var: {}, calculate-cu: {} }', { 'cu-pricing.yaml': pricing }, '', chain).then((made) =>
    made.plugin('calculate-cu'),
  )
}

/** What a call is charged ahead, and what it costs once it was answered with so many bytes. */
async function priced(method: string, params: string | undefined, bytes = 0, chain?: KnownChain): Promise<{ drawn: number | undefined; charged: number }> {
  const instance = await plugin(chain)
  const call = callIn(sessionOn('eth'), method, params)
  void instance.access!(call)
  call.decide(answer('x'.repeat(bytes)), undefined)
  void instance.reply!(call, call.outcome!)
  return { drawn: call.get(cost), charged: call.charged }
}

const logs = (from: string, to: string): string => `[{"fromBlock":"${from}","toBlock":"${to}"}]`

describe('a price by the span of blocks', () => {
  test.each([
    ['eth_newFilter', logs('0x1', '0x3e7'), 2],
    ['eth_newFilter', logs('0x1', '0x3e8'), 3],
    ['eth_newFilter', logs('0x1', '0x7cf'), 3],
    ['eth_newFilter', logs('0x1', '0x7d0'), 4],
    ['eth_newFilter', logs('0x1', '0xffffffff'), 20],
    ['eth_newFilter', '[{}]', 2],
    ['eth_newFilter', `[{"blockHash":"0x${'ab'.repeat(32)}"}]`, 2],
    ['trace_filter', '[{"toBlock":"0x3e7"}]', 100],
  ])('%s %s costs %d', async (method, params, price) => expect((await priced(method, params)).drawn).toBe(price))

  test('counts to the head where that is known, and takes the most where it is not', async () => {
    expect((await priced('eth_newFilter', '[{"fromBlock":"0x1"}]', 0, knownChain(2500))).drawn).toBe(4)
    expect((await priced('eth_newFilter', '[{"fromBlock":"0x1"}]')).drawn).toBe(20)
    expect((await priced('trace_filter', '[{}]')).drawn).toBe(1000)
  })

  test.each([
    ['no params', undefined],
    ['no filter', '[]'],
    ['params by name', '{"filter":{"fromBlock":"0x1","toBlock":"0x1"}}'],
    ['a second filter', '[{"fromBlock":"0x1","toBlock":"0x1"},{}]'],
    ['leading zeros', logs('0x01', '0x1')],
    ['an upper-case prefix', logs('0X1', '0x1')],
    ['a huge number', logs('0x1', '0xffffffffffffffffffff')],
    ['a range that ends before it begins', logs('0x2', '0x1')],
    ['a member in another letter case', '[{"FromBlock":"0x0","fromBlock":"0x1","toBlock":"0x1"}]'],
    ['a member that stands twice', '[{"fromBlock":"0x0","fromBlock":"0x1","toBlock":"0x1"}]'],
    ['a JSON number', '[{"fromBlock":0,"toBlock":"0x1"}]'],
  ])('%s costs the most', async (_what, params) => expect((await priced('eth_newFilter', params, 0, knownChain(10))).drawn).toBe(20))

  test('no spelling of a range is cheaper than the plain one', async () => {
    const rule = new PriceRule({ base: 1, per_1000_blocks: 1, max: 50 })
    const price = (params: string): number => rule.ahead(callIn(sessionOn('eth'), 'eth_getLogs', params), knownChain(20_000, 10_000))
    const spellings: readonly ((hex: string) => string)[] = [
      (hex) => `"0x${hex}"`,
      (hex) => `"0x${hex.toUpperCase()}"`,
      (hex) => `"0X${hex}"`,
      (hex) => `"0x000${hex}"`,
      (hex) => `${Number.parseInt(hex, 16)}`,
      (hex) => `"${Number.parseInt(hex, 16)}"`,
      (hex) => `["0x${hex}"]`,
      (hex) => `"\\u0030x${hex}"`,
    ]
    const extras = ['', '"FROMBLOCK":"0x1",', '"fromBlock":"0x4e20",', '"toblock":"0x1",', '"blockHash":null,', '"limit":1,', '"topics":[],']
    const block = fc.nat({ max: 20_000 })
    fc.assert(
      fc.property(block, block, fc.constantFrom(...spellings), fc.constantFrom(...spellings), fc.constantFrom(...extras), (a, b, one, other, extra) => {
        const [from, to] = [Math.min(a, b).toString(16), Math.max(a, b).toString(16)]
        const plain = price(logs(`0x${from}`, `0x${to}`))
        expect(price(`[{${extra}"fromBlock":${one(from)},"toBlock":${other(to)}}]`)).toBeGreaterThanOrEqual(plain)
      }),
    )
  })
})

describe('a price by the bytes of the answer', () => {
  test.each([
    [0, 10],
    [1023, 10],
    [1024, 10.1],
    [3 * 1024, 10.3],
    [2 ** 20, 112.4],
    [2 ** 23, 500],
  ])('is drawn at its most, and settled: %i bytes cost %d', async (bytes, charged) => {
    expect(await priced('eth_getLogs', '[{}]', bytes)).toEqual({ drawn: 500, charged })
  })

  test('adds to what the call told, and stays at its most where the call did not tell', async () => {
    expect(await priced('eth_getLogs', logs('0x1', '0x7d0'), 1024)).toEqual({ drawn: 500, charged: 20.1 })
    expect(await priced('eth_getLogs', '[{"fromBlock":"0x1"}]', 0)).toEqual({ drawn: 500, charged: 500 })
  })

  test('is never more than what was drawn, and never less than what was told ahead', () => {
    const amount = fc.nat({ max: 100_000 }).map((thousandths) => thousandths / 1000)
    const rules = fc.record({ base: amount, per_1000_blocks: amount, per_kib_result: amount, extra: amount })
    fc.assert(
      fc.property(rules, fc.nat({ max: 50_000 }), fc.nat({ max: 2 ** 26 }), ({ extra, ...of }, blocks, bytes) => {
        const rule = new PriceRule({ ...of, max: of.base + extra })
        const ahead = rule.ahead(callIn(sessionOn('eth'), 'eth_getLogs', logs('0x0', `0x${blocks.toString(16)}`)), undefined)
        const settled = rule.settled(ahead, bytes)
        expect(settled).toBeLessThanOrEqual(Math.round(rule.max * 1000) / 1000)
        expect(settled).toBeGreaterThanOrEqual(ahead)
        expect(Number.isInteger(Math.round(settled * 1e6) / 1000)).toBe(true)
      }),
    )
  })
})

describe('a price by the age of the block', () => {
  const chain = knownChain(1000, 900)
  test.each([
    ['["0xa","latest"]', chain, 2],
    ['["0xa"]', chain, 2],
    ['["0xa","pending"]', undefined, 2],
    ['["0xa","0x368"]', chain, 2],
    ['["0xa","0x367"]', chain, 6],
    ['["0xa","earliest"]', chain, 6],
    ['["0xa","finalized"]', chain, 2],
    ['["0xa",{"blockNumber":"0x367"}]', chain, 6],
    ['["0xa",{"blockNumber":"0x3e8"}]', chain, 2],
    ['["0xa","0x3e8"]', undefined, 6],
    [`["0xa","0x${'ab'.repeat(32)}"]`, chain, 6],
    ['["0xa","0x03e8"]', chain, 6],
    ['["0xa",1000]', chain, 6],
    ['["0xa",{"blockNumber":"0x1","blockNumber":"0x3e8"}]', chain, 6],
    ['{"address":"0xa","block":"0x3e8"}', chain, 6],
  ])('eth_getBalance %s before %o costs %d', async (params, of, price) => expect((await priced('eth_getBalance', params, 0, of)).drawn).toBe(price))

  test('comes before the bytes of the answer', async () => {
    expect(await priced('eth_getBlockByNumber', '["0x1",false]', 2048, chain)).toEqual({ drawn: 50, charged: 9 })
  })
})

describe('a price by the tracer', () => {
  test.each([
    ['debug_traceTransaction', '["0x1"]', 30],
    ['debug_traceTransaction', '["0x1",{}]', 30],
    ['debug_traceTransaction', '["0x1",null]', 30],
    ['debug_traceTransaction', '["0x1",{"tracer":null}]', 30],
    ['debug_traceTransaction', '["0x1",{"tracer":"callTracer","timeout":"1s"}]', 40],
    ['debug_traceTransaction', '["0x1",{"tracer":"prestateTracer"}]', 60],
    ['debug_traceTransaction', '["0x1",{"tracer":"4byteTracer"}]', 20],
    ['debug_traceTransaction', '["0x1",{"tracer":"{step: function() {}}"}]', 60],
    ['debug_traceTransaction', '["0x1",{"Tracer":"4byteTracer"}]', 60],
    ['debug_traceTransaction', '["0x1",{"tracer":"4byteTracer","TRACER":"prestateTracer"}]', 60],
    ['debug_traceTransaction', '["0x1",{"tracer":"prestateTracer","tracer":"4byteTracer"}]', 60],
    ['debug_traceTransaction', '["0x1",{"tracer":["4byteTracer"]}]', 60],
    ['debug_traceTransaction', '{"hash":"0x1","config":{"tracer":"4byteTracer"}}', 60],
    ['debug_traceTransaction', undefined, 30],
    ['debug_traceCall', '[{"tracer":"x"},"latest"]', 30],
    ['debug_traceCall', '[{},"latest",{"tracer":"callTracer"}]', 40],
    ['debug_traceCall', '[{},"latest",{"tracer":"muxTracer"}]', 100],
  ])('%s %s costs %d', async (method, params, price) => expect((await priced(method, params)).drawn).toBe(price))
})

describe('through a chain', () => {
  /** The draws that were made, what was given back, and the header. */
  async function run(body: unknown, { hit = false, refused = false } = {}) {
    const drawn: number[] = []
    const members: Member[] = [
      { name: 'calculate-cu', priority: 1012, instance: await plugin() },
      {
        name: 'budget',
        priority: 1010,
        instance: {
          charge: (call) => {
            drawn.push(call.get(cost)!)
            return draw('budget', 'k', Infinity, { kind: 'fixed', ms: 1000 }, call.get(cost)!, () => refuse('limited', 'x'))
          },
        },
      },
      { name: 'cache', priority: 1005, instance: { access: () => (hit ? answer('"x"'.padEnd(2048)) : undefined) } },
    ]
    const {
      run: send,
      refunded,
      session,
    } = fixture({
      members,
      upstream: (requests) => Promise.resolve(requests.map(() => (refused ? refuse('upstreamTimeout', 'x') : answer('"x"'.padEnd(2048))))),
    })
    await send(body)
    return { drawn, refunded, header: session.responseHeaders.get('X-CU-Cost') }
  }
  const call = (method: string) => ({ jsonrpc: '2.0', id: 1, method, params: [{}] })

  test('what was drawn above the price is given back', async () => {
    expect(await run(call('eth_getLogs'))).toEqual({ drawn: [500], refunded: [489.8], header: '10.2' })
  })

  test('a call that no node answered costs nothing', async () => {
    expect(await run(call('eth_getLogs'), { refused: true })).toEqual({ drawn: [500], refunded: [500], header: '0' })
  })

  test('a call that a plugin answered costs a part of its price, drawn and settled', async () => {
    expect(await run(call('eth_call'), { hit: true })).toEqual({ drawn: [1.25], refunded: [], header: '1.25' })
    expect(await run(call('eth_getLogs'), { hit: true })).toEqual({ drawn: [125], refunded: [122.45], header: '2.55' })
  })

  test('prices of a batch add up without a rounding error', async () => {
    expect((await run([call('eth_getLogs'), call('eth_getLogs'), call('eth_getLogs'), call('no_such')])).header).toBe('31.1')
  })
})
