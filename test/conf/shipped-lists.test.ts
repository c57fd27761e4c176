/** The lists that ship with the gateway, held against what a production gateway offered, and against what must stay closed. */
import { readFile } from 'node:fs/promises'
import { load } from 'js-yaml'
import { describe, expect, test } from 'vitest'
import { cost } from '#plugin'
import calculateCu from '../../plugins/calculate-cu.ts'
import jsonrpcVar from '../../plugins/jsonrpc-var.ts'
import whitelist from '../../plugins/whitelist.ts'
import { callIn, configure, sessionOn } from '../support/configured.ts'

interface Production {
  readonly groups: readonly { readonly networks: string; readonly free: string; readonly paid: string }[]
}

const words = (text: string): string[] => text.split(' ').filter((word) => word !== '')
const read = (path: string): Promise<string> => readFile(new URL(path, import.meta.url), 'utf8')

const production = JSON.parse(await read('production-whitelist.json')) as Production
const whitelistYaml = await read('../../conf/whitelist.yaml')
const pricingYaml = await read('../../conf/cu-pricing.yaml')

/** One of each kind that signs, unlocks, steers, profiles or rewrites; in other spellings too. */
const DANGEROUS = words(
  `eth_sign eth_signTransaction eth_signTypedData eth_signTypedData_v4 eth_sendTransaction eth_accounts eth_requestAccounts eth_coinbase eth_resend
  eth_submitWork eth_submitHashrate personal_unlockAccount personal_sendTransaction personal_importRawKey personal_listAccounts personal_sign
  admin_addPeer admin_nodeInfo admin_startHTTP admin_exportChain debug_setHead debug_chaindbCompact debug_cpuProfile debug_startCPUProfile
  debug_writeMemProfile debug_goTrace debug_setGCPercent debug_freeOSMemory debug_verbosity debug_standardTraceBlockToFile debug_dbGet debug_stacks
  miner_start miner_setEtherbase engine_forkchoiceUpdatedV3 engine_newPayloadV4 clique_propose les_addBalance db_putString shh_post wallet_addEthereumChain
  account_signTransaction parity_setMode parity_newAccountFromPhrase signer_confirmRequest anvil_setBalance anvil_impersonateAccount hardhat_reset
  evm_mine evm_revert cfx_sendTransaction cfx_sign cfx_accounts unlock_account new_account set_ban add_node clear_tx_pool truncate generate_block
  submit_block unsafe_flush_mempool dial_seeds dial_peers
  Admin_addPeer ADMIN_ADDPEER Debug_setHead eth_Sign EtH_SendTransaction admin\u200b_addPeer`.replaceAll('\n', ' '),
)

/** Reads of later nodes, which only the local network offers. */
const NEWER = ['eth_blobBaseFee', 'eth_createAccessList', 'eth_simulateV1', 'eth_syncing']

const inProduction = new Set(production.groups.flatMap(({ free, paid }) => [...words(free), ...words(paid)]).filter((method) => method !== '*'))
const subscriptions = ['eth_subscribe', 'eth_unsubscribe', 'cfx_subscribe', 'cfx_unsubscribe']
const everything = [...new Set([...inProduction, ...subscriptions, ...NEWER, ...DANGEROUS, 'some_method', 'debug_traceBlockFromFile'])]

function shipped() {
  const plugins = '{ jsonrpc-var: {}, whitelist: {}, calculate-cu: {} }'
  return configure([jsonrpcVar, whitelist, calculateCu], plugins, { 'whitelist.yaml': whitelistYaml, 'cu-pricing.yaml': pricingYaml })
}

type Offered = (network: string, tier: 'free' | 'paid') => string[]

async function offered(): Promise<Offered> {
  const plugin = (await shipped()).plugin('whitelist')
  return (network, tier) => {
    const session = sessionOn(network, { tier })
    return everything.filter((method) => plugin.access!(callIn(session, method)) === undefined).sort()
  }
}

/** What production offered, with the pair for subscriptions that goes with the network's protocol, without what is dangerous. */
function expected(methods: readonly string[]): string[] {
  if (methods.includes('*')) return everything.filter((method) => !DANGEROUS.includes(method) && method !== 'debug_traceBlockFromFile').sort()
  const protocol = ['eth', 'cfx'].find((namespace) => methods.includes(`${namespace}_call`))
  const pair = protocol === undefined ? [] : [`${protocol}_subscribe`, `${protocol}_unsubscribe`]
  return [...methods, ...pair].filter((method) => !DANGEROUS.includes(method)).sort()
}

const namesInFile = Object.keys((load(whitelistYaml) as { networks: Record<string, unknown> }).networks)
const allNetworks = namesInFile.flatMap((name) => [name, `staging-${name}`])

describe('conf/whitelist.yaml', () => {
  test('offers each network and tier what production did', async () => {
    const ask = await offered()
    for (const { networks, free, paid } of production.groups) {
      for (const network of words(networks)) {
        expect(ask(network, 'free'), `${network} free`).toEqual(expected(words(free)))
        expect(ask(network, 'paid'), `${network} paid`).toEqual(expected([...words(free), ...words(paid)]))
      }
    }
  })

  test('serves the networks of production, a local one, and their staging twins', () => {
    const served = production.groups.flatMap(({ networks }) => words(networks))
    expect(served).toHaveLength(70)
    expect(new Set(allNetworks)).toEqual(new Set([...served, 'eth-local', 'staging-eth-local']))
  })

  test('offers a local node the usual methods, and traces to paid plans', async () => {
    const ask = await offered()
    const mainnet = (tier: 'free' | 'paid') => [...ask('eth-mainnet', tier), ...NEWER].sort()
    expect(ask('eth-local', 'free')).toEqual(mainnet('free'))
    expect(ask('eth-local', 'paid')).toEqual(mainnet('paid'))
  })

  test('keeps every network closed to what signs, unlocks or administers', async () => {
    const ask = await offered()
    for (const network of allNetworks) {
      for (const tier of ['free', 'paid'] as const)
        expect(
          ask(network, tier).filter((method) => DANGEROUS.includes(method)),
          `${network} ${tier}`,
        ).toEqual([])
    }
  })

  test('has no entry that opens an administrative method, and none without a price', async () => {
    const { problems, warnings } = await shipped()
    expect(problems).toEqual([])
    expect(warnings).toEqual([])
  })
})

describe('conf/cu-pricing.yaml', () => {
  test('prices every method that is offered, on every network that offers it', async () => {
    const ask = await offered()
    const plugin = (await shipped()).plugin('calculate-cu')
    const general = load(pricingYaml) as { methods: Record<string, number | { base: number }> }
    for (const network of allNetworks) {
      const session = sessionOn(network)
      for (const method of ask(network, 'paid')) {
        const call = callIn(session, method, '[{"fromBlock":"latest","toBlock":"latest"}]')
        void plugin.access!(call)
        const price = general.methods[method] ?? 5
        expect(call.get(cost), `${method} on ${network}`).toBe(typeof price === 'number' ? price : price.base)
        expect(general.methods[method] !== undefined || network.includes('zetachain'), `${method} on ${network}`).toBe(true)
      }
    }
  })
})
