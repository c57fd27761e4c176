/** What the gateway is measured beside, all in front of the same stub node. Each runs in a directory and on a port of its own. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { load } from 'js-yaml'
import { startProcess } from '../test/support/owned-process.ts'
import { NETWORK, configurationFiles, keyOf } from './configuration.ts'
import { HOST, startServer, template } from './server.ts'
import type { SpawnOptions } from 'node:child_process'
import type { OwnedProcess } from '../test/support/owned-process.ts'
import type { ReferenceMode } from './peers/node-reference.ts'
import type { Server } from './server.ts'

const PEERS = join(import.meta.dirname, 'peers')
const MODULES = '/usr/lib/nginx/modules'
const CONSUMERS = Array.from({ length: 64 }, (_, n) => n)
const QUIET: SpawnOptions = { stdio: ['ignore', 'pipe', 'pipe'] }

export type PeerName = 'nginx' | 'nginx-lua' | 'haproxy' | 'node-request' | 'node-dispatch' | 'node-pipe' | 'node-raw' | 'node-local'

/** A peer. */
export interface Peer {
  /** For the reader of the tables. */
  readonly title: string
  /** Whether it is machine code from the start. */
  readonly isCompiled: boolean
  /** What its `install` brings; undefined where nothing is missing. */
  readonly missing: string | undefined
  readonly start: (nodePort: number) => Promise<Server>
}

export const peers: Readonly<Record<PeerName, Peer>> = {
  nginx: {
    title: 'nginx, plain proxy',
    isCompiled: true,
    missing: lacking('apt-get install nginx', '/usr/sbin/nginx'),
    start: (nodePort) => startNginx('nginx.conf', nodePort),
  },
  'nginx-lua': {
    title: 'nginx + Lua that does the same job by hand, but sets no X-RateLimit headers, draws no request ids and measures no durations',
    isCompiled: true,
    missing: lacking('apt-get install nginx libnginx-mod-http-lua lua-cjson', '/usr/sbin/nginx', `${MODULES}/ngx_http_lua_module.so`),
    start: (nodePort) => startNginx('nginx-lua.conf', nodePort),
  },
  haproxy: {
    title: 'HAProxy, plain proxy',
    isCompiled: true,
    missing: lacking('apt-get install haproxy', '/usr/sbin/haproxy'),
    start: (nodePort) =>
      startServer('haproxy', (port, dir) => {
        writeFileSync(join(dir, 'haproxy.cfg'), template('peers/haproxy.cfg', { PORT: port, NODE_PORT: nodePort }))
        return ready(port, startProcess('/usr/sbin/haproxy', ['-db', '-f', join(dir, 'haproxy.cfg')], QUIET))
      }),
  },
  'node-request': {
    title: 'node:http + undici `request`, no policy',
    isCompiled: false,
    missing: undefined,
    start: (nodePort) => startReference('request', nodePort),
  },
  'node-dispatch': {
    title: 'node:http + undici `dispatch`, no policy',
    isCompiled: false,
    missing: undefined,
    start: (nodePort) => startReference('dispatch', nodePort),
  },
  'node-raw': {
    title: 'node:http + a bare socket per request, no policy, no checks',
    isCompiled: false,
    missing: undefined,
    start: (nodePort) => startReference('raw', nodePort),
  },
  'node-local': {
    title: 'node:http that answers by itself, no policy, no node asked',
    isCompiled: false,
    missing: undefined,
    start: (nodePort) => startReference('local', nodePort),
  },
  'node-pipe': {
    title: 'node:http + undici `stream`, no policy, nothing collected',
    isCompiled: false,
    missing: undefined,
    start: (nodePort) => startReference('pipe', nodePort),
  },
}

function lacking(install: string, ...files: readonly string[]): string | undefined {
  return files.every((file) => existsSync(file)) ? undefined : install
}

function ready(port: number, process: OwnedProcess): { process: OwnedProcess; readyUrl: string } {
  return { process, readyUrl: `http://${HOST}:${port}/${NETWORK}` }
}

function startReference(mode: ReferenceMode, nodePort: number): Promise<Server> {
  return startServer(mode, (port) =>
    ready(port, startProcess(process.execPath, [join(PEERS, 'node-reference.ts'), String(port), String(nodePort), mode], QUIET)),
  )
}

function startNginx(configuration: string, nodePort: number): Promise<Server> {
  return startServer('nginx', (port, dir) => {
    writeFileSync(join(dir, 'policy.json'), JSON.stringify(policy()))
    writeFileSync(join(dir, 'consumers.map'), CONSUMERS.map((n) => `${keyOf(n)} consumer-${n};\n`).join(''))
    writeFileSync(join(dir, 'nginx.conf'), template(`peers/${configuration}`, { PORT: port, NODE_PORT: nodePort, DIR: dir, PEERS, MODULES }))
    return ready(port, startProcess('/usr/sbin/nginx', ['-p', dir, '-c', join(dir, 'nginx.conf')], QUIET))
  })
}

interface Whitelist {
  readonly sets: Readonly<Record<string, readonly string[]>>
  readonly networks: Readonly<Record<string, { readonly free: readonly string[]; readonly paid?: readonly string[] }>>
}

interface Pricing {
  readonly default: number
  readonly methods: Readonly<Record<string, number | { readonly base: number }>>
}

/** The gateway's lists and keys, spelled out as the Lua code looks them up. */
function policy(): object {
  const files = configurationFiles({ nodePort: 0, listen: '', admin: '' })
  const { sets, networks } = load(files['whitelist.yaml']!) as Whitelist
  const prices = load(files['cu-pricing.yaml']!) as Pricing
  const spelledOut = (entries: readonly string[]): string[] => entries.flatMap((entry) => (entry.startsWith('+') ? spelledOut(sets[entry.slice(1)]!) : entry))
  const offered = (entries: readonly string[]): object => Object.fromEntries(spelledOut(entries).map((method) => [method, true]))
  const consumer = (n: number): object => ({ name: `consumer-${n}`, tier: 'paid', seconds_quota: 1e9, monthly_quota: 1e12 })
  return {
    consumers: Object.fromEntries(CONSUMERS.map((n) => [keyOf(n), consumer(n)])),
    networks: Object.fromEntries(
      Object.entries(networks).map(([name, { free, paid = [] }]) => [`/${name}`, { free: offered(free), paid: offered([...free, ...paid]) }]),
    ),
    // Prices that look at a call's params are its base here.
    prices: Object.fromEntries(Object.entries(prices.methods).map(([method, price]) => [method, typeof price === 'number' ? price : price.base])),
    default: prices.default,
  }
}
