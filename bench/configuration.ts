/**
 * The configuration that is measured: the whole chain of a production gateway, with the lists that ship in conf/, and as many
 * keys, routes and networks as asked for.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const HOST = '127.0.0.1'
const CONF = join(import.meta.dirname, '../conf')

/** The network that requests name. */
export const NETWORK = 'eth-mainnet'

export interface Shape {
  readonly nodePort: number
  readonly listen: string
  readonly admin: string
  readonly keys?: number
  readonly routes?: number
  readonly networks?: number
  /** Further plugins of the route, by name. */
  readonly plugins?: Readonly<Record<string, unknown>>
  /** Of ws-jsonrpc-proxy. */
  readonly socketMode?: 'shared' | 'dedicated' | 'http'
  /** What stands at the top of gateway.yaml beside the rest. */
  readonly top?: Readonly<Record<string, unknown>>
  /** Further members of the upstream. */
  readonly upstream?: Readonly<Record<string, unknown>>
}

/** The key of a consumer. */
export function keyOf(consumer: number): string {
  return `bench-key-${consumer}-0123456789abcdef`
}

/** The n-th network; the first is the one that ships. */
export function networkOf(n: number): string {
  return n === 0 ? NETWORK : `chain-${n}`
}

/** The path of the n-th route. */
export function routePath(n: number, network = NETWORK): string {
  return n === 0 ? `/${network}` : `/r${n}/${network}`
}

/** Files of a configuration directory, by name. JSON is YAML. */
export function configurationFiles({
  nodePort,
  listen,
  admin,
  keys = 64,
  routes = 1,
  networks = 1,
  plugins = {},
  socketMode = 'shared',
  top = {},
  upstream = {},
}: Shape): Record<string, string> {
  const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i)
  const node = { url: `http://${HOST}:${nodePort}`, ws_url: `ws://${HOST}:${nodePort}` }
  const gateway = {
    listen,
    admin: { listen: admin },
    data_dir: 'data',
    log: { level: 'info', file: 'gateway.log' },
    // Without coalescing: the calls of the load are equal, and would else be a few requests to the node.
    upstreams: count(networks).map((n) => Object.assign({ id: networkOf(n), nodes: [node], coalesce: false }, upstream)),
    global_rules: [{ plugins: { 'request-id': {}, prometheus: {}, 'access-log': { sample: 0.01 } } }],
    plugin_configs: [
      {
        id: 'rpc',
        plugins: {
          'jsonrpc-var': {},
          'key-auth': {},
          guard: { methods: ['engine_*'] },
          whitelist: {},
          'calculate-cu': {},
          'limit-monthly-cu': {},
          'limit-cu': {},
          'ws-jsonrpc-proxy': { mode: socketMode },
          ...plugins,
        },
      },
    ],
    routes: count(routes).map((n) => ({
      id: n === 0 ? 'evm' : `evm-${n}`,
      uris: [routePath(n, '{network}')],
      upstream_id: '{network}',
      plugin_config_id: 'rpc',
    })),
    plans: [{ id: 'pro', tier: 'paid', seconds_quota: 1_000_000_000, monthly_quota: 1_000_000_000_000 }],
    consumers: count(keys).map((n) => ({ username: `consumer-${n}`, plan: 'pro', plugins: { 'key-auth': { key: keyOf(n) } } })),
    ...top,
  }
  const more = count(networks)
    .slice(1)
    .map((n) => `  ${networkOf(n)}: { free: [+evm] }`)
  return {
    'gateway.yaml': JSON.stringify(gateway),
    'whitelist.yaml': `${readFileSync(join(CONF, 'whitelist.yaml'), 'utf8')}\n${more.join('\n')}\n`,
    'cu-pricing.yaml': readFileSync(join(CONF, 'cu-pricing.yaml'), 'utf8'),
  }
}
