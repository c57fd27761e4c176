/** What the system tests play on: a real chain, and a gateway process with conf/'s own methods and prices in front of it. */
import { readFileSync } from 'node:fs'
import { startAnvil } from '../support/anvil.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import type { Anvil } from '../support/anvil.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'

type Values = Record<string, unknown>

/** Methods and prices as they are shipped. */
export const shippedFiles = {
  'whitelist.yaml': readFileSync('conf/whitelist.yaml', 'utf8'),
  'cu-pricing.yaml': readFileSync('conf/cu-pricing.yaml', 'utf8'),
}

/** A configuration for the network `eth-local` on this node, with the consumers `demo` (free) and `pro` (paid). */
export function systemConfig(nodeUrl: string, nodeWsUrl?: string, more: Values = {}): Values {
  return {
    listen: '127.0.0.1:0',
    admin: { listen: '127.0.0.1:0' },
    data_dir: './data',
    upstreams: [
      {
        id: 'eth-local',
        nodes: [{ url: nodeUrl, ...(nodeWsUrl !== undefined && { ws_url: nodeWsUrl }) }],
        timeout: { connect: '1s', read: '10s' },
        coalesce: false,
      },
    ],
    routes: [
      {
        id: 'evm',
        uris: ['/{network}', '/{network}/v1/{apikey}'],
        upstream_id: '{network}',
        plugins: {
          'jsonrpc-var': {},
          'request-id': {},
          'key-auth': {},
          whitelist: { config_path: 'whitelist.yaml' },
          'calculate-cu': { config_path: 'cu-pricing.yaml' },
          'limit-monthly-cu': {},
          'limit-cu': {},
          prometheus: {},
          'access-log': {},
          'ws-jsonrpc-proxy': {},
        },
      },
    ],
    plans: [
      { id: 'free', tier: 'free', seconds_quota: 100_000, monthly_quota: 1_000_000 },
      { id: 'pro', tier: 'paid', seconds_quota: -1, monthly_quota: -1 },
    ],
    consumers: [
      { username: 'demo', plan: 'free', plugins: { 'key-auth': { key: 'demo-key' } } },
      { username: 'pro', plan: 'pro', plugins: { 'key-auth': { key: 'pro-key' } } },
    ],
    ...more,
  }
}

/** Both, and how to end both. */
export interface Stage {
  readonly anvil: Anvil
  readonly gateway: GatewayProcess
  /** Where the network is, with no key in it. */
  readonly url: string
  readonly stop: () => Promise<void>
}

export async function startStage(): Promise<Stage> {
  const anvil = await startAnvil()
  const gateway = await startGatewayProcess(systemConfig(anvil.url, anvil.wsUrl), { files: shippedFiles }).catch(async (error: unknown) => {
    await anvil.stop()
    throw error
  })
  return {
    anvil,
    gateway,
    url: `${gateway.url}/eth-local`,
    stop: async () => {
      await gateway.stop()
      await anvil.stop()
    },
  }
}

/** Sends a text as the consumer `demo` and brings back the answer as text. */
export async function post(url: string, body: string | Uint8Array, key = 'demo-key'): Promise<{ status: number; text: string }> {
  const response = await fetch(url, { method: 'POST', headers: { apikey: key, 'content-type': 'application/json' }, body: body as string })
  return { status: response.status, text: await response.text() }
}
