import { describe, expect, onTestFinished, test } from 'vitest'
import jsonrpcVar from '../../plugins/jsonrpc-var.ts'
import whitelist from '../../plugins/whitelist.ts'
import { callIn, configure, sessionOn } from '../support/configured.ts'
import { basic, basicFiles, startTestGateway } from '../support/gateway.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { Outcome } from '#plugin'

const PLUGINS = '{ jsonrpc-var: {}, whitelist: { config_path: whitelist.yaml } }'

function configureWith(yaml: string) {
  return configure([jsonrpcVar, whitelist], PLUGINS, { 'whitelist.yaml': yaml })
}

/** Answers 'ok', or why the call was refused. */
async function judge(yaml: string): Promise<(network: string, tier: string | undefined, method: string) => string> {
  const plugin = (await configureWith(yaml)).plugin('whitelist')
  return (network, tier, method) => {
    const outcome = plugin.access!(callIn(sessionOn(network, tier === undefined ? {} : { tier }), method)) as Outcome | undefined
    return outcome === undefined ? 'ok' : outcome.kind === 'refusal' ? outcome.why : outcome.kind
  }
}

const PLAIN = `
networks:
  eth: { free: [eth_call, "net_*"], paid: ["trace_*", "!trace_filter"] }
  bare: {}
`

describe('whitelist', () => {
  test.each([
    ['eth', 'free', 'eth_call', 'ok'],
    ['eth', undefined, 'eth_call', 'ok'],
    ['eth', 'paid', 'eth_call', 'ok'],
    ['eth', 'Free', 'trace_block', 'paid-only'],
    ['eth', 'paid', 'trace_block', 'ok'],
    ['eth', 'free', 'trace_block', 'paid-only'],
    ['eth', undefined, 'trace_block', 'paid-only'],
    ['eth', 'paid', 'trace_filter', 'not-offered'],
    ['eth', 'free', 'trace_filter', 'not-offered'],
    ['eth', 'free', 'net_version', 'ok'],
    ['eth', 'paid', 'eth_getBalance', 'not-offered'],
    ['eth', 'paid', 'ETH_CALL', 'not-offered'],
    ['eth', 'paid', '', 'not-offered'],
    ['eth', 'paid', 'constructor', 'not-offered'],
    ['bare', 'paid', 'eth_call', 'not-offered'],
    ['btc', 'paid', 'eth_call', 'unknown-network'],
    ['ETH', 'paid', 'eth_call', 'unknown-network'],
    ['__proto__', 'paid', 'eth_call', 'unknown-network'],
    ['', 'paid', 'eth_call', 'unknown-network'],
  ])('on %j a caller of tier %s who calls %j is told %s', async (network, tier, method, expected) => {
    expect((await judge(PLAIN))(network, tier, method)).toBe(expected)
  })

  test('a refusal is methodNotAllowed and says whether a paid plan would help', async () => {
    const plugin = (await configureWith(PLAIN)).plugin('whitelist')
    const on = (network: string, method: string) => plugin.access!(callIn(sessionOn(network), method))
    expect(on('eth', 'trace_block')).toMatchObject({ name: 'methodNotAllowed', message: 'The method is offered on eth to paid plans only' })
    expect(on('eth', 'eth_sign')).toMatchObject({ name: 'methodNotAllowed', message: 'The method is not offered on eth' })
    expect(on('btc', 'eth_call')).toMatchObject({ name: 'methodNotAllowed', message: 'Nothing is offered on this network: it is not known here' })
  })

  test('sets stand for their entries, and may use the sets above them', async () => {
    const ask = await judge(`
sets:
  reads: [eth_call]
  all: [+reads, eth_sendRawTransaction]
networks:
  eth: { free: [+all], paid: [debug_traceCall] }
`)
    expect(ask('eth', 'free', 'eth_call')).toBe('ok')
    expect(ask('eth', 'free', 'eth_sendRawTransaction')).toBe('ok')
    expect(ask('eth', 'free', '+all')).toBe('not-offered')
  })

  test('a network has its twins, unless a twin has an entry of its own', async () => {
    const ask = await judge(`
twin_prefixes: [staging-, dev-]
networks:
  eth: { free: [eth_call] }
  dev-eth: { free: [eth_chainId] }
`)
    expect(ask('staging-eth', 'free', 'eth_call')).toBe('ok')
    expect(ask('dev-eth', 'free', 'eth_call')).toBe('not-offered')
    expect(ask('dev-eth', 'free', 'eth_chainId')).toBe('ok')
    expect(ask('qa-eth', 'free', 'eth_call')).toBe('unknown-network')
  })

  test('the exact method beats the longest prefix, and that beats the star', async () => {
    const ask = await judge(`
networks:
  eth: { free: ["*", "!debug_*", "debug_trace*", "!debug_traceCall"], paid: ["debug_traceCall"] }
`)
    expect(ask('eth', 'free', 'eth_call')).toBe('ok')
    expect(ask('eth', 'free', 'debug_setHead')).toBe('not-offered')
    expect(ask('eth', 'free', 'debug_traceBlock')).toBe('ok')
    expect(ask('eth', 'free', 'debug_traceCall')).toBe('paid-only')
    expect(ask('eth', 'paid', 'debug_traceCall')).toBe('ok')
  })

  test.each(['Admin_addPeer', 'ADMIN_ADDPEER', 'admin\u200b_addPeer', '\u00adadmin_addPeer', 'admin_addPeer ', 'ａdmin_addPeer', 'admin_addPeer\u0000'])(
    'where a star admits, a denial is not walked around by the spelling %j',
    async (method) => {
      const ask = await judge('networks: { eth: { free: ["*", "!admin_*"] } }')
      expect(ask('eth', 'paid', method)).toBe('not-offered')
    },
  )
})

describe('whitelist, through a gateway', () => {
  async function start() {
    const node = await startScriptedNode()
    const gateway = await startTestGateway(basic({ nodeUrl: node.url }), { files: basicFiles })
    onTestFinished(async () => {
      await gateway.stop()
      await node.stop()
    })
    return { node, gateway }
  }

  test('a batch is judged member by member, and only what is offered reaches the node', async () => {
    const { node, gateway } = await start()
    const methods = ['eth_call', 'eth_sign', 'trace_block', 'eth_getBalance']
    const batch = methods.map((method, id) => ({ jsonrpc: '2.0', id, method }))
    const answer = await gateway.post('/eth', JSON.stringify(batch), { apikey: 'free-key' })
    expect(answer.status).toBe(200)
    expect(answer.json).toMatchObject([
      { id: 0, result: expect.anything() as unknown },
      { id: 1, error: { code: -32601, message: 'The method is not offered on eth', data: { reason: 'not-offered' } } },
      { id: 2, error: { code: -32601, message: 'The method is offered on eth to paid plans only', data: { reason: 'paid-only' } } },
      { id: 3, result: expect.anything() as unknown },
    ])
    expect(node.calls.map((call) => call.method)).toEqual(['eth_call', 'eth_getBalance'])

    const alone = await gateway.post('/eth', JSON.stringify(batch[2]), { apikey: 'free-key' })
    expect(alone.status).toBe(405)
    expect((await gateway.post('/eth', JSON.stringify(batch[2]), { apikey: 'paid-key' })).status).toBe(200)
  })

  test('an edit changes decisions, and a broken one changes nothing', async () => {
    const { gateway } = await start()
    const ask = async () => (await gateway.post('/eth', '{"jsonrpc":"2.0","id":1,"method":"net_version"}', { apikey: 'free-key' })).status
    expect(await ask()).toBe(405)
    await gateway.write('whitelist.yaml', 'networks: { eth: { free: [net_version] } }')
    expect(await gateway.reload()).toBe(true)
    expect(await ask()).toBe(200)
    await gateway.write('whitelist.yaml', 'networks: { eth: { free: [+nothing] } }')
    expect(await gateway.reload()).toBe(false)
    expect(await ask()).toBe(200)
  })
})

describe('a whitelist file', () => {
  test.each([
    ['networks: { eth: { free: [+evm] } }', ['whitelist.yaml:1 networks.eth.free[0]: there is no set evm above (known: none)']],
    [
      'sets: { a: [+b], b: [eth_call] }\nnetworks: { eth: { free: [+c] } }',
      ['whitelist.yaml:1 sets.a[0]: there is no set b above (known: none)', 'whitelist.yaml:2 networks.eth.free[0]: there is no set c above (known: a, b)'],
    ],
    [
      'networks:\n  eth:\n    free:\n      - "eth_*call"\n      - ""\n      - "!"\n      - "eth call"',
      [4, 5, 6, 7].map(
        (line, at) => `whitelist.yaml:${line} networks.eth.free[${at}]: must be a method, a prefix that ends in *, or * (+ in front names a set, ! denies)`,
      ),
    ],
  ])('%j is refused', async (yaml, problems) => {
    expect((await configureWith(yaml)).problems).toEqual(problems)
  })

  test.each([
    'networks: { eth: { free: [eth_call], payed: [] } }',
    'network: {}',
    'networks: { eth: [eth_call] }',
    'networks: { eth: { free: [1] } }',
    'networks:',
  ])('%j is refused, for it has not the shape', async (yaml) => {
    expect((await configureWith(yaml)).problems).not.toEqual([])
  })

  test.each([
    ['eth_sendTransaction', 'eth_sendTransaction'],
    ['personal_unlockAccount', 'personal_unlockAccount'],
    ['admin_*', 'admin_*'],
    ['admin_add*', 'admin_add*'],
    ['debug_*', 'debug_*'],
    ['debug_trace*', 'debug_traceBlockFromFile'],
    ['eth_*', 'eth_sign*'],
    ['*', 'personal_*'],
  ])('an entry %s draws a warning: it opens %s', async (entry, opened) => {
    const { warnings, problems } = await configureWith(`networks: { eth: { paid: ["${entry}"] } }`)
    expect(problems).toEqual([])
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toContain(`whitelist.yaml:1 networks.eth.paid[0]: ${entry} opens ${opened} on eth (`)
  })

  test.each([
    ['eth_call', 'debug_traceCall', 'cfx_getAdmin', 'bor_getSigners'],
    ['debug_*', '!debug_*'],
    [
      'eth_*',
      '!eth_sign*',
      '!eth_sendTransaction',
      '!eth_resend',
      '!eth_accounts',
      '!eth_requestAccounts',
      '!eth_coinbase',
      '!eth_decrypt',
      '!eth_getEncryptionPublicKey',
      '!eth_submit*',
    ],
  ])('no entry draws a warning of %j and its like', async (...entries) => {
    expect((await configureWith(`networks: { eth: { free: ${JSON.stringify(entries)} } }`)).warnings).toEqual([])
  })
})
