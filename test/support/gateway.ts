/**
 * A real gateway, in this process, from a configuration in a temporary directory: real sockets, real files, real
 * plugins. `basic()` is a configuration to start from.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startGateway } from '../../core/gateway.ts'
import { plugins } from '../../plugins/index.ts'
import { writeFiles } from './files.ts'
import { metric } from './metric.ts'
import { expectNoSecret } from './secrets.ts'
import type { AnyPlugin } from '#plugin'
import type { Gateway } from '../../core/gateway.ts'

/** JSON is YAML, so a configuration may be given as a value. */
export type Config = Record<string, unknown>

export interface TestGateway {
  readonly gateway: Gateway
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly wsUrl: string
  readonly adminUrl: string
  /** The directory of its configuration. */
  readonly dir: string
  /** Sends text to a path of the gateway. */
  post(path: string, body: string | Uint8Array, headers?: Readonly<Record<string, string>>): Promise<Answer>
  /** Writes a file of the configuration, in one step. */
  write(name: string, content: string | Config): Promise<void>
  /** Reads the configuration again; false when it was refused. */
  reload(): Promise<boolean>
  /** The value of a metric: `metric('tollgate_calls_total', { method: 'eth_call' })` adds up all series that have these labels. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>
  /** What was logged so far, parsed. */
  logged(): Promise<Record<string, unknown>[]>
  stop(): Promise<void>
}

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The text as a value; undefined where there is none. */
  readonly json: unknown
}

export interface TestGatewayOptions {
  readonly files?: Readonly<Record<string, string | Config>>
  readonly env?: Readonly<Record<string, string>>
  readonly now?: () => number
  readonly catalogue?: readonly AnyPlugin[]
}

/** Starts a gateway on free ports. Rejects with ConfigurationError. */
export async function startTestGateway(config: string | Config, options: TestGatewayOptions = {}): Promise<TestGateway> {
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-'))
  await writeFiles(dir, { ...options.files, 'gateway.yaml': config })
  const gateway = await startGateway({
    configFile: join(dir, 'gateway.yaml'),
    catalogue: options.catalogue ?? plugins,
    env: options.env ?? {},
    version: '0.0.0-test',
    nodeVersion: 'v0',
    now: options.now ?? Date.now,
  }).catch(async (error: unknown) => {
    await rm(dir, { recursive: true, force: true })
    throw error
  })
  const url = `http://127.0.0.1:${gateway.address.port}`
  const adminUrl = `http://127.0.0.1:${gateway.adminAddress.port}`
  return {
    gateway,
    url,
    wsUrl: `ws://127.0.0.1:${gateway.address.port}`,
    adminUrl,
    dir,
    post: (path, body, headers = {}) => post(url + path, body, headers),
    write: (name, content) => writeFiles(dir, { [name]: content }),
    reload: () => gateway.reload(),
    metric: (name, labels) => metric(adminUrl, name, labels),
    logged: async () => {
      gateway.log.flush()
      const text = await readFile(join(dir, 'gateway.log'), 'utf8').catch(() => '')
      return text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    },
    stop: async () => {
      const metrics = await fetch(`${adminUrl}/metrics`).then(
        (answer) => answer.text(),
        () => '',
      ) // a test may have stopped it
      await gateway.stop()
      const log = await readFile(join(dir, 'gateway.log'), 'utf8').catch(() => '')
      await rm(dir, { recursive: true, force: true })
      expectNoSecret(config, metrics + log)
    },
  }
}

async function post(url: string, body: string | Uint8Array, headers: Readonly<Record<string, string>>): Promise<Answer> {
  const response = await fetch(url, {
    method: 'POST',
    body: typeof body === 'string' ? body : Buffer.from(body),
    headers: { 'content-type': 'application/json', ...headers },
    keepalive: false,
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, json: text === '' ? undefined : JSON.parse(text) }
}

/** What `basic` leaves open. */
export interface BasicOptions {
  /** The node. */
  readonly nodeUrl: string
  readonly nodeWsUrl?: string
  /** Further plugins of the route, or other configurations of its usual ones; `undefined` leaves one out. */
  readonly plugins?: Readonly<Record<string, Config | undefined>>
  /** More for the top of the configuration; replaces what is there. */
  readonly top?: Config
  readonly route?: Config
}

/** Methods and prices that the tests of `basic` rely on. */
export const basicFiles = {
  'whitelist.yaml': {
    networks: {
      eth: {
        free: ['eth_blockNumber', 'eth_chainId', 'eth_getBalance', 'eth_call', 'eth_getLogs', 'eth_sendRawTransaction', 'eth_subscribe', 'eth_unsubscribe'],
        paid: ['debug_*', 'trace_block'],
      },
    },
  },
  'cu-pricing.yaml': {
    default: 1,
    methods: { eth_blockNumber: 1, eth_chainId: 1, eth_getBalance: 2, eth_call: 5, eth_getLogs: 10, eth_sendRawTransaction: 5, 'debug_*': 20, trace_block: 50 },
  },
} satisfies Record<string, Config>

/** One network `eth`, free and paid consumers with the keys `free-key` and `paid-key`, and the whole chain. */
export function basic({ nodeUrl, nodeWsUrl, plugins: changed = {}, top = {}, route = {} }: BasicOptions): Config {
  const usual: Record<string, Config | undefined> = {
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
    ...changed,
  }
  return {
    listen: '127.0.0.1:0',
    admin: { listen: '127.0.0.1:0' },
    data_dir: './data',
    log: { level: 'debug', file: 'gateway.log' },
    upstreams: [
      {
        id: 'eth',
        nodes: [{ url: nodeUrl, ...(nodeWsUrl !== undefined && { ws_url: nodeWsUrl }) }],
        timeout: { connect: '1s', read: '5s' },
        retries: 0,
        coalesce: false,
      },
    ],
    routes: [
      {
        id: 'rpc',
        uris: ['/{network}', '/{network}/v1/{apikey}'],
        upstream_id: '{network}',
        plugins: Object.fromEntries(Object.entries(usual).filter(([, value]) => value !== undefined)),
        ...route,
      },
    ],
    plans: [
      { id: 'free', tier: 'free', seconds_quota: 300, monthly_quota: 1_000_000 },
      { id: 'pro', tier: 'paid', seconds_quota: 10_000, monthly_quota: 1_000_000_000 },
    ],
    consumers: [
      { username: 'frank', plan: 'free', plugins: { 'key-auth': { key: 'free-key' } } },
      { username: 'paula', plan: 'pro', plugins: { 'key-auth': { key: 'paid-key' } } },
    ],
    ...top,
  }
}
