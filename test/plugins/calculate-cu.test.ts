import { describe, expect, onTestFinished, test } from 'vitest'
import { cost } from '#plugin'
import calculateCu from '../../plugins/calculate-cu.ts'
import jsonrpcVar from '../../plugins/jsonrpc-var.ts'
import whitelist from '../../plugins/whitelist.ts'
import { headersOf } from '../support/asking-session.ts'
import { callIn, configure, sessionOn } from '../support/configured.ts'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { Outcome } from '#plugin'
import type { ScriptedNode } from '../support/scripted-node.ts'

const PLUGINS = '{ jsonrpc-var: {}, whitelist: {}, calculate-cu: {} }'

function configureWith(pricing: string, offers = 'networks: {}') {
  return configure([jsonrpcVar, whitelist, calculateCu], PLUGINS, { 'cu-pricing.yaml': pricing, 'whitelist.yaml': offers })
}

const PRICING = `
default: 7
methods: { eth_call: 5, eth_chainId: 0, "trace_*": 20, trace_block: 50 }
twin_prefixes: [staging-]
networks:
  special: { default: 3, methods: { eth_call: 6, "trace_b*": 30, "*": 4 } }
  cheap: { default: 0 }
  staging-cheap: {}
notification_cu: { "eth_subscribe:logs": 2, "eth_subscribe:syncing": 0, "eth_*": 1 }
`

describe('calculate-cu', () => {
  test.each([
    ['eth', 'eth_call', 5],
    ['eth', 'eth_chainId', 0],
    ['eth', 'trace_filter', 20],
    ['eth', 'trace_block', 50],
    ['eth', 'no_such', 7],
    ['eth', 'toString', 7],
    ['special', 'eth_call', 6],
    ['special', 'eth_chainId', 0],
    ['special', 'trace_block', 50],
    ['special', 'trace_blob', 30],
    ['special', 'no_such', 4],
    ['staging-special', 'no_such', 4],
    ['cheap', 'no_such', 0],
    ['cheap', 'eth_call', 5],
    ['staging-cheap', 'no_such', 7],
  ])('on %s, %s costs %i', async (network, method, price) => {
    const plugin = (await configureWith(PRICING)).plugin('calculate-cu')
    const call = callIn(sessionOn(network), method)
    expect(plugin.access!(call)).toBeUndefined()
    expect(call.get(cost)).toBe(price)
  })

  test('X-CU-Cost is the sum over what the calls of a frame were charged', async () => {
    const plugin = (await configureWith(PRICING)).plugin('calculate-cu')
    const session = sessionOn('eth')
    const outcomes: readonly [string, Outcome][] = [
      ['eth_call', { kind: 'result', payload: '"0x"' }],
      ['trace_block', { kind: 'error', payload: '{"code":3,"message":"execution reverted"}' }],
      ['eth_call', { kind: 'refusal', name: 'upstreamTimeout', why: 'timeout' }],
    ]
    for (const [method, outcome] of outcomes) {
      const call = callIn(session, method)
      void plugin.access!(call)
      call.decide(outcome, undefined)
      void plugin.reply!(call, outcome)
    }
    expect(headersOf(session)).toEqual({ 'X-CU-Cost': '55' })
  })

  test('a settled call shows what it turned out to cost', async () => {
    const plugin = (await configureWith(PRICING)).plugin('calculate-cu')
    const session = sessionOn('eth')
    const call = callIn(session, 'eth_call')
    const outcome = { kind: 'result', payload: '"0x"' } as const
    void plugin.access!(call)
    call.settle(2)
    call.decide(outcome, undefined)
    void plugin.reply!(call, outcome)
    expect(headersOf(session)).toEqual({ 'X-CU-Cost': '2' })
  })

  test.each([
    ['eth_subscribe', 'logs', 2],
    ['eth_subscribe', 'syncing', 0],
    ['eth_subscribe', 'newHeads', 1],
    ['cfx_subscribe', 'epochs', 0],
  ])('a notification of %s %s costs %i', async (method, topic, price) => {
    const plugin = (await configureWith(PRICING)).plugin('calculate-cu')
    const notification = { session: sessionOn('eth', { scheme: 'ws' }), method, topic, bytes: 100, cost: 9 }
    expect(plugin.push!(notification)).toBeUndefined()
    expect(notification.cost).toBe(price)
  })
})

describe('X-CU-Cost', () => {
  /** What the header says of an answer. */
  async function costOf(body: unknown, run: (node: ScriptedNode) => void = () => undefined): Promise<string | null> {
    const node = await startScriptedNode()
    const gateway = await startTestGateway(basic({ nodeUrl: node.url }), { files: basicFiles })
    onTestFinished(async () => {
      await gateway.stop()
      await node.stop()
    })
    run(node)
    return (await gateway.post('/eth', JSON.stringify(body), { apikey: 'free-key' })).headers.get('x-cu-cost')
  }
  const rpc = (method: string, id?: number) => ({ jsonrpc: '2.0', method, ...(id !== undefined && { id }) })

  test('is the price of a call', async () => {
    expect(await costOf(rpc('eth_call', 1))).toBe('5')
  })

  test('adds up over a batch, notifications included, and leaves out what was refused', async () => {
    expect(await costOf([rpc('eth_call', 1), rpc('eth_getBalance'), rpc('debug_traceCall', 2), 7, rpc('eth_getLogs', 3)])).toBe('17')
  })

  test('is 0 for a call that was refused', async () => {
    expect(await costOf(rpc('eth_sign', 1))).toBe('0')
  })

  test('is 0 for a call that no node answered', async () => {
    expect(await costOf(rpc('eth_call', 1), (node) => node.script((_request, socket) => socket.destroy()))).toBe('0')
  })
})

describe('a price list', () => {
  test.each([
    ['methods: {}', 'cu-pricing.yaml:1 default: is missing'],
    ['default: -1', 'cu-pricing.yaml:1 default: must be >= 0'],
    ['default: 1.0005', 'cu-pricing.yaml:1 default: must not be finer than 0.001'],
    ['default: 1\nmethods: { eth_call: 0.0001 }', 'cu-pricing.yaml:2 methods.eth_call: must not be finer than 0.001'],
    ['default: 1\nnetworks: { eth: { default: 0.0001 } }', 'cu-pricing.yaml:2 networks.eth.default: must not be finer than 0.001'],
    ['default: 1\ncache_hit_cost: 1.1', 'cu-pricing.yaml:2 cache_hit_cost: must be <= 1'],
    ['default: 1\nmethods: { eth_call: -1 }', 'cu-pricing.yaml:2 methods.eth_call: must be >= 0'],
    ['default: 1\nmethods: { eth_call: free }', 'cu-pricing.yaml:2 methods.eth_call: must be a number or a mapping'],
    ['default: 1\nmethods: { eth_call: {} }', 'cu-pricing.yaml:2 methods.eth_call.base: is missing'],
    ['default: 1\nmethods: { eth_call: { base: 1, bas: 2 } }', 'cu-pricing.yaml:2 methods.eth_call.bas: unknown key (did you mean base?)'],
    [
      'default: 1\nmethods: { eth_call: { base: 1, per_kib_result: 1 } }',
      'cu-pricing.yaml:2 methods.eth_call.max: is missing: it is drawn while the price is not known',
    ],
    ['default: 1\nmethods: { eth_getLogs: { base: 9, max: 5 } }', 'cu-pricing.yaml:2 methods.eth_getLogs.max: must not be less than base'],
    [
      'default: 1\nmethods: { eth_call: { base: 1, per_1000_blocks: 1, max: 5 } }',
      'cu-pricing.yaml:2 methods.eth_call.per_1000_blocks: eth_call is not known to span blocks',
    ],
    [
      'default: 1\nmethods: { "eth_*": { base: 1, archive: { add: 1 } } }',
      'cu-pricing.yaml:2 methods.eth_*.archive: it is not known which param of eth_* names a block',
    ],
    [
      'default: 1\nmethods: { debug_traceCall: { base: 1, tracers: { "": 1 } } }',
      'cu-pricing.yaml:2 methods.debug_traceCall.tracers[""]: must be a method, a prefix that ends in *, or *',
    ],
    ['default: 1\nmethods: { "!eth_call": 1 }', 'cu-pricing.yaml:2 methods["!eth_call"]: must be a method, a prefix that ends in *, or *'],
    ['default: 1\nnetworks: { eth: { methods: { "a*b": 1 } } }', 'cu-pricing.yaml:2 networks.eth.methods.a*b: must be a method, a prefix that ends in *, or *'],
    ['default: 1\nnotification_cu: { "": 1 }', 'cu-pricing.yaml:2 notification_cu[""]: must be a method, a prefix that ends in *, or *'],
    ['default: 1\nmethod: {}', 'cu-pricing.yaml:2 method: unknown key (did you mean methods?)'],
  ])('%j is refused', async (pricing, problem) => {
    expect((await configureWith(pricing)).problems).toEqual([problem])
  })

  test('what the whitelist offers without a price draws one warning, where it is offered', async () => {
    const { warnings, problems } = await configureWith(
      'default: 1\nmethods: { eth_call: 5, "trace_*": 20 }\ntwin_prefixes: [staging-]\nnetworks: { b: { methods: { bor_getAuthor: 2, "*": 1 } } }',
      `
sets:
  common: [eth_call, eth_chainId]
twin_prefixes: [staging-]
networks:
  a: { free: [+common], paid: [trace_block, "trace_*"] }
  b: { free: [+common, "!net_version", bor_getAuthor] }
  c: { free: ["net_*"] }
`,
    )
    expect(problems).toEqual([])
    expect(warnings).toEqual([
      'whitelist.yaml:3 sets.common[1]: eth_chainId has no price on a and 1 more (add it to the price list, or calls cost the default)',
      'whitelist.yaml:8 networks.c.free[0]: net_* has no price on c and 1 more (add it to the price list, or calls cost the default)',
    ])
  })
})
