import { describe, expect, onTestFinished, test } from 'vitest'
import guard from '../../plugins/guard.ts'
import jsonrpcVar from '../../plugins/jsonrpc-var.ts'
import { callIn, configure, sessionOn } from '../support/configured.ts'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { startScriptedNode } from '../support/scripted-node.ts'

const CONSUMERS = `
plans: [{ id: free, tier: free }]
consumers: [{ username: mallory, plan: free }, { username: alice, plan: free }]`

function configureWith(guardYaml: string) {
  return configure([jsonrpcVar, guard], `{ jsonrpc-var: {}, guard: ${guardYaml} }`, {}, CONSUMERS)
}

interface Sent {
  readonly network?: string
  readonly method?: string
  readonly username?: string
  readonly address?: string
}

async function isBlocked(guardYaml: string, { network = 'eth', method = 'eth_call', username, address }: Sent): Promise<boolean> {
  const plugin = (await configureWith(guardYaml)).plugin('guard')
  const caller = { ...(username !== undefined && { username, tier: 'free' }), ...(address !== undefined && { address }) }
  return plugin.access!(callIn(sessionOn(network, caller), method)) !== undefined
}

describe('guard', () => {
  test('without a filter blocks everything', async () => {
    expect(await isBlocked('{}', {})).toBe(true)
  })

  test('refuses as blocked, in the words that it was given', async () => {
    const plugin = (await configureWith('{ message: Down until noon }')).plugin('guard')
    expect(plugin.access!(callIn(sessionOn('eth'), 'eth_call'))).toEqual({ kind: 'refusal', name: 'blocked', why: 'blocked', message: 'Down until noon' })
  })

  test.each<[string, Sent, boolean]>([
    ['{ networks: [eth] }', {}, true],
    ['{ networks: [eth] }', { network: 'btc' }, false],
    ['{ networks: ["staging-*"] }', { network: 'staging-eth' }, true],
    ['{ networks: ["*", "!eth"] }', { network: 'btc' }, true],
    ['{ networks: ["*", "!eth"] }', { network: 'eth' }, false],
    ['{ methods: ["debug_*"] }', { method: 'debug_traceCall' }, true],
    ['{ methods: ["debug_*"] }', { method: 'eth_call' }, false],
    ['{ methods: ["debug_*"] }', { method: 'Debug_TraceCall' }, true],
    ['{ methods: ["debug_*"] }', { method: 'debug\u200b_traceCall' }, true],
    ['{ methods: [eth_getLogs] }', { method: 'ETH_GETLOGS' }, true],
    ['{ methods: ["debug_*", "!debug_traceCall"] }', { method: 'debug_traceCall' }, false],
    ['{ consumers: [mallory] }', { username: 'mallory' }, true],
    ['{ consumers: [mallory] }', { username: 'alice' }, false],
    ['{ consumers: [mallory] }', {}, false],
    ['{ cidrs: [198.51.100.0/24] }', { address: '198.51.100.9' }, true],
    ['{ cidrs: [198.51.100.0/24] }', { address: '::ffff:198.51.100.9' }, true],
    ['{ cidrs: [198.51.100.0/24] }', { address: '198.51.101.9' }, false],
    ['{ cidrs: ["2001:db8::/32"] }', { address: '2001:db8:1::1' }, true],
    ['{ methods: [eth_getLogs], consumers: [mallory] }', { method: 'eth_getLogs', username: 'mallory' }, true],
    ['{ methods: [eth_getLogs], consumers: [mallory] }', { method: 'eth_getLogs', username: 'alice' }, false],
    ['{ methods: [eth_getLogs], consumers: [mallory] }', { method: 'eth_call', username: 'mallory' }, false],
    ['{ networks: [eth], methods: [eth_call], consumers: [mallory], cidrs: [192.0.2.7] }', { username: 'mallory', address: '192.0.2.7' }, true],
    ['{ networks: [eth], methods: [eth_call], consumers: [mallory], cidrs: [192.0.2.7] }', { username: 'mallory', address: '192.0.2.8' }, false],
  ])('%s meets %o: %s', async (guardYaml, sent, expected) => {
    expect(await isBlocked(guardYaml, sent)).toBe(expected)
  })

  test('blocks before anything is charged or sent', async () => {
    const node = await startScriptedNode()
    const gateway = await startTestGateway(basic({ nodeUrl: node.url, plugins: { guard: { methods: ['eth_call'], message: 'Closed' } } }), {
      files: basicFiles,
    })
    onTestFinished(async () => {
      await gateway.stop()
      await node.stop()
    })
    const answer = await gateway.post('/eth', '{"jsonrpc":"2.0","id":1,"method":"eth_call"}', { apikey: 'free-key' })
    expect(answer.status).toBe(403)
    expect(answer.json).toMatchObject({ id: 1, error: { code: -32003, message: 'Closed', data: { reason: 'blocked' } } })
    expect(answer.headers.get('x-cu-cost')).toBe('0')
    expect(node.calls).toEqual([])
  })

  test.each([
    ['{ cidrs: [10.0.0.0/33] }', 'cidrs[0]: must be an address or a CIDR such as 192.0.2.0/24 or 2001:db8::/32'],
    ['{ methods: ["a*b"] }', 'methods[0]: must be a method, a prefix that ends in *, or *'],
    ['{ methods: ["!eth_call"] }', 'methods: only excepts, and so blocks nothing (add "*")'],
    ['{ networks: [] }', 'networks: must not be empty'],
    ['{ method: [eth_call] }', 'method: unknown key (did you mean methods?)'],
  ])('%s is refused', async (guardYaml, problem) => {
    const { problems } = await configureWith(guardYaml)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(`routes[0].plugins.guard.${problem}`)
  })

  test('a consumer that is not there draws a warning', async () => {
    const { warnings } = await configureWith('{ consumers: [alice, bob] }')
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain('routes[0].plugins.guard.consumers[1]: there is no such consumer')
  })
})
