/**
 * Ten minutes of everything at once: load with an oracle, all attacks beside it, nodes, configuration and a disk that fail and
 * come back, a plugin that throws, in a heap of 256 MiB. Prints a table; exits with 1 when a promise was broken.
 *
 *     npm run soak          npm run soak -- 60        (seconds)
 */
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { basic, basicFiles } from '../support/gateway.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { Load, recordedUsage } from '../support/load.ts'
import { metric } from '../support/metric.ts'
import { answer, drip, endless, hang, reply, reset, startScriptedNode } from '../support/scripted-node.ts'
import { makeSmallDisk } from '../support/small-disk.ts'
import { attacks } from './attacks.ts'
import { NOTIFICATION_BYTES, startReaders } from './slow-readers.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import type { Script, ScriptedNode } from '../support/scripted-node.ts'
import type { SmallDisk } from '../support/small-disk.ts'
import type { Attack, Target } from './attacks.ts'
import type { Readers, ReadersReport } from './slow-readers.ts'

const seconds = Number(process.argv[2] ?? 600)
const MIB = 1024 * 1024
const MAX_HELD = 40 * MIB
/** What waits for readers has its own part beside that. */
const MAX_BACKLOG = MAX_HELD / 4
/** What is written around answers, and refusals, of all calls under way. */
const ENVELOPES = MIB / 2
/** Acts of one attack that run at once. */
const AT_ONCE = 4
/** A slow reader stops for so long. */
const STOPPED_MS = Math.min(60, seconds / 3) * 1000
/** Idle sockets that are held open all the time. */
const SLOW_SOCKETS = 1000
/** What was held is given back within this time once nobody asks any more. */
const LET_GO_MS = 15_000
/** What an HTTP answer of 5xx may be: the table's, but for `internal`. */
const OWN_5XX = new Set([502, 503, 504])

const clumsy = `import { definePlugin } from '#plugin'
let count = 0
const stumble = () => { if (++count % 100 === 0) throw new Error('stumbled'); return count % 100 === 50 ? Promise.reject(new Error('stumbled')) : undefined }
export default definePlugin({
  name: 'clumsy', priority: 2000, summary: 'Stumbles.', config: {}, examples: [{}], onFault: 'pass',
  create: () => ({ open: stumble, access: stumble, reply: stumble, log: stumble, close: stumble }),
})`

const bomb = gzipSync(Buffer.alloc(100 * MIB, 'x'))
const large = Buffer.from(`"${'x'.repeat(5 * MIB)}"}`)
const rogueScripts: readonly Script[] = [
  endless('HTTP/1.1 200 OK\r\n\r\n{"jsonrpc":"2.0","id":1,"result":"', Buffer.alloc(65_536, 'x')),
  (_request, socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}\r\n\r\n`)
    socket.write(bomb)
  },
  drip('HTTP/1.1 200 OK\r\nX: ', 'x', 20),
  (request, socket) => {
    const head = `{"jsonrpc":"2.0","id":${request.calls[0]?.id},"result":`
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${head.length + large.length}\r\n\r\n${head}`)
    socket.write(large)
  },
  reply('{"jsonrpc":"2.0","id":999999999,"result":1}'),
  reply('<html>no</html>', 200),
  reply('', 200),
  hang,
  reset,
  answer,
]

const { eth } = basicFiles['whitelist.yaml'].networks
const files = { ...basicFiles, 'whitelist.yaml': { networks: { eth, rogue: eth, feed: eth } }, 'own/clumsy.ts': clumsy }

function configOf(nodeUrl: string, rogueUrl: string, feed: Readers['feed'], load: Load): Record<string, unknown> {
  const timeout = { connect: '1s', read: '2s', total: '4s' }
  const config = basic({
    nodeUrl,
    plugins: { clumsy: {}, cors: {}, 'ws-jsonrpc-proxy': { mode: 'http' }, 'access-log': { sample: 0.01, errors: 'sampled' } },
    top: {
      log: { level: 'warn', file: 'gateway.log' },
      plugins_dir: './own',
      limits: { max_connections_per_address: 20_000, headers_timeout: '5s', request_timeout: '8s', write_timeout: '2s', max_held: MAX_HELD },
      upstreams: [
        { id: 'eth', nodes: [{ url: nodeUrl }], timeout, retries: 0 },
        { id: 'rogue', nodes: [{ url: rogueUrl }], timeout, retries: 0 },
        { id: 'feed', nodes: [{ url: feed.url, ws_url: feed.wsUrl }], timeout, retries: 0 },
      ],
      plans: [{ id: 'load', tier: 'free', seconds_quota: -1, monthly_quota: -1 }],
      consumers: [...load.consumers, { username: 'attacker', plan: 'load', plugins: { 'key-auth': { key: 'attacker-key' } } }],
    },
  })
  const [route] = config['routes'] as { plugins: Record<string, unknown> }[]
  const fed = (name: string, settings: Record<string, unknown>): Record<string, unknown> => ({
    id: name,
    uris: [`/{network}/${name}`],
    upstream_id: '{network}',
    plugins: { ...route!.plugins, 'ws-jsonrpc-proxy': { ...settings, ping_interval: '10m' } },
  })
  return { ...config, routes: [route, fed('close', { max_buffered_bytes: 16 * MIB }), fed('drop', { slow_consumer: 'drop-oldest' })] }
}

/** Everything that is watched while it runs. */
class Soak {
  readonly statuses = new Map<string, Map<number, number>>()
  readonly rssMib: number[] = []
  /** The most bytes that were held in memory at once, and that waited for readers. */
  most = { held: 0, backlog: 0 }
  /** Bytes of both that are held although nobody asks for anything any more. */
  left = 0
  health = { asked: 0, unwell: 0 }
  /** How often the disk was full, and how often the gateway said so. */
  disk = { filled: 0, noticed: 0 }
  isOver = false
  hasEnded: string | undefined
  private readonly gateway: GatewayProcess

  constructor(gateway: GatewayProcess) {
    this.gateway = gateway
    void gateway.ended.then(({ code, signal }) => (this.hasEnded = String(code ?? signal)))
  }

  async attack(name: string, act: Attack, target: Target): Promise<void> {
    const seen = new Map<number, number>()
    this.statuses.set(name, seen)
    const again = async (): Promise<void> => {
      while (!this.isOver) {
        const met = await act(target).catch(() => [0])
        for (const status of met) seen.set(status, (seen.get(status) ?? 0) + 1)
        await delay(20 + Math.random() * 80)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, again))
  }

  async watchHealth(): Promise<void> {
    while (!this.isOver) {
      const { status } = await fetch(`${this.gateway.adminUrl}/healthz`, { signal: AbortSignal.timeout(5000) }).catch(() => ({ status: 0 }))
      this.health.asked++
      if (status !== 200) this.health.unwell++
      await delay(250)
    }
  }

  async watchMemory(): Promise<void> {
    while (!this.isOver) {
      const text = await readFile(`/proc/${this.gateway.pid}/status`, 'utf8').catch(() => '')
      const { held, backlog } = await this.heldNow()
      this.most = { held: Math.max(this.most.held, held), backlog: Math.max(this.most.backlog, backlog) }
      this.rssMib.push(Number(/VmRSS:\s+(\d+)/.exec(text)?.[1] ?? NaN) / 1024)
      await delay(200)
    }
  }

  private async heldNow(): Promise<{ held: number; backlog: number }> {
    const [held = 0, backlog = 0] = await Promise.all(['held', 'backlog'].map((name) => metric(this.gateway.adminUrl, `tollgate_${name}_bytes`).catch(() => 0)))
    return { held, backlog }
  }

  /** Waits until nothing is held any more. */
  async watchEnd(): Promise<void> {
    const until = performance.now() + LET_GO_MS
    do {
      await delay(200)
      const { held, backlog } = await this.heldNow()
      this.left = held + backlog
    } while (this.left > 0 && performance.now() < until)
  }

  /** The main node goes away, hangs and comes back. */
  async breakNode(node: { current: ScriptedNode }): Promise<void> {
    const { port } = node.current
    for (let at = 0; !this.isOver; at++) {
      await delay(8000)
      if (at % 2 === 0) {
        await node.current.stop()
        await delay(1000)
        node.current = await startScriptedNode({ port })
        node.current.results.set('eth_getLogs', LARGE)
      } else {
        node.current.script(hang)
        await delay(1000)
        node.current.script(undefined)
      }
    }
  }

  /** The disk is full for a while, and then is not. */
  async breakDisk(disk: SmallDisk): Promise<void> {
    while (!this.isOver) {
      await delay(10_000)
      await disk.fill(this.gateway.pid)
      await delay(3000)
      this.disk.filled++
      if ((await metric(this.gateway.adminUrl, 'tollgate_usage_store_failing').catch(() => 0)) === 1) this.disk.noticed++
      await disk.clear(this.gateway.pid)
    }
  }

  /** The configuration is broken, mended, and read again. */
  async breakConfiguration(config: Record<string, unknown>): Promise<void> {
    for (let at = 0; !this.isOver; at++) {
      await delay(5000)
      await this.gateway.write('gateway.yaml', at % 2 === 0 ? '{ broken' : { ...config, drain_timeout: `${30 + at}s` })
      if (at % 5 === 0) this.gateway.signal('SIGHUP')
    }
  }
}

const LARGE = JSON.stringify('x'.repeat(200_000))

/** Sockets that say nothing, or too little; whoever is ended is replaced. */
async function holdSlowSockets(soak: Soak, port: number): Promise<void> {
  const { connect } = await import('node:net')
  const hold = (): void => {
    if (soak.isOver) return
    const socket = connect(port, '127.0.0.1', () => socket.write('POST /eth HTTP/1.1\r\nHost: x\r\n'))
    socket.on('error', () => undefined)
    socket.on('close', () => setTimeout(hold, 500).unref())
  }
  for (let at = 0; at < SLOW_SOCKETS; at++) hold()
}

/** Attacks that wait for no answer. */
const SILENT = new Set(['callers that leave', 'answers that nobody reads'])

const inMib = (bytes: number): string => (bytes / MIB).toFixed(1)

const mean = (numbers: readonly number[]): number => numbers.reduce((sum, number) => sum + number, 0) / numbers.length

interface Row {
  readonly what: string
  readonly found: string
  readonly isGood: boolean
}

function judge(soak: Soak, load: Load, readers: ReadersReport, violations: readonly string[], ending: string, faults: number): Row[] {
  const rss = soak.rssMib.filter((mib) => !Number.isNaN(mib))
  const early = mean(rss.slice(rss.length / 4, rss.length / 2))
  const late = mean(rss.slice((rss.length * 3) / 4))
  const odd5xx = [...soak.statuses].flatMap(([name, seen]) =>
    [...seen.keys()].filter((status) => status >= 500 && !OWN_5XX.has(status)).map((status) => `${status} to ${name}`),
  )
  const unmade = [...soak.statuses].filter(([name, seen]) => seen.size === 0 && !SILENT.has(name)).map(([name]) => name)
  const own = [...load.outcomes.keys()].filter((outcome) => ['internal', 'frame-broken', 'plugin-fault', 'upstream-fault', 'meter-fault'].includes(outcome))
  return [
    {
      what: 'ended only when asked, with 0',
      found: `${soak.hasEnded === undefined ? '' : `early (${soak.hasEnded}), `}${ending}`,
      isGood: soak.hasEnded === undefined && ending === '0',
    },
    { what: 'answers of 5xx that are not the table’s', found: odd5xx.join(', ') || 'none', isGood: odd5xx.length === 0 },
    { what: 'calls that broke the gateway', found: own.join(', ') || 'none', isGood: own.length === 0 },
    { what: 'answers that cannot be', found: load.odd.slice(0, 3).join('; ') || 'none', isGood: load.odd.length === 0 },
    { what: 'acknowledged ≤ recorded ≤ attempted', found: violations.slice(0, 3).join('; ') || 'no violation', isGood: violations.length === 0 },
    { what: 'health answered', found: `${soak.health.asked - soak.health.unwell} of ${soak.health.asked}`, isGood: soak.health.unwell === 0 },
    {
      what: 'memory flat after warm-up',
      found: `${early.toFixed(0)} MiB in the second quarter, ${late.toFixed(0)} MiB in the last`,
      isGood: late <= early * 1.15 + 16,
    },
    {
      what: 'held in memory at once',
      found: `${inMib(soak.most.held)} of ${inMib(MAX_HELD)} MiB at most; for readers ${inMib(soak.most.backlog)} of ${inMib(MAX_BACKLOG)} MiB`,
      isGood: soak.most.held <= MAX_HELD + ENVELOPES && soak.most.backlog <= MAX_BACKLOG,
    },
    { what: 'all of it given back in the end', found: soak.left === 0 ? 'yes' : `but for ${soak.left} bytes`, isGood: soak.left === 0 },
    {
      what: 'readers lost nothing while others stopped reading',
      found:
        readers.odd.slice(0, 3).join('; ') ||
        `${readers.received} notifications, ${((readers.received * NOTIFICATION_BYTES) / seconds / 1e6).toFixed(1)} MB/s, ${readers.stops} stops of ${STOPPED_MS / 1000} s`,
      isGood: readers.odd.length === 0 && readers.stops > 0 && readers.received > readers.sent - 100 && readers.sent > seconds * 20,
    },
    {
      what: 'every attack was made',
      found: unmade.join(', ') || 'yes',
      isGood: unmade.length === 0,
    },
    {
      what: 'a full disk cost nothing',
      found: `full ${soak.disk.filled} times, noticed ${soak.disk.noticed} times`,
      isGood: soak.disk.noticed > 0, // SQLite needs no room for what fits into the log that it has
    },
    { what: 'load was served', found: `${load.count('ok')} of ${load.frames} calls`, isGood: load.count('ok') > load.frames / 2 },
    { what: 'a clumsy plugin was passed over', found: `${faults} faults`, isGood: faults > 0 },
  ]
}

const say = (text: string): void => void process.stdout.write(`${text}\n`)

function print(title: string, rows: readonly (readonly string[])[]): void {
  say(`\n## ${title}\n`)
  for (const row of rows) say(`| ${row.join(' | ')} |`)
}

async function main(): Promise<number> {
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-soak-'))
  const load = new Load({ http: 50, ws: 50, perSecond: 250 })
  const node = { current: await startScriptedNode() }
  node.current.results.set('eth_getLogs', LARGE)
  const rogue = await startScriptedNode()
  rogue.script((...request) => rogueScripts[Math.floor(Math.random() * rogueScripts.length)]!(...request))
  const readers = await startReaders(STOPPED_MS)
  const config = configOf(node.current.url, rogue.url, readers.feed, load)
  const disk = await makeSmallDisk(join(dir, 'data'))
  const command = [...disk.command, '--max-old-space-size=256', 'core/main.ts']
  const gateway = await startGatewayProcess({ ...config, log: { level: 'info' } }, { files, dir, program: disk.program, command })
  const soak = new Soak(gateway)
  const target = { port: Number(new URL(gateway.url).port), key: 'attacker-key' }
  say(`soaking for ${seconds} s: ${load.clients.length} clients, ${Object.keys(attacks).length} attacks, ${SLOW_SOCKETS} slow sockets`)

  load.start(`${gateway.url}/eth`)
  readers.start({ wsUrl: `${gateway.wsUrl}/feed`, key: target.key })
  await holdSlowSockets(soak, target.port)
  const running = [
    ...Object.entries(attacks).map(([name, act]) => soak.attack(name, act, target)),
    soak.watchHealth(),
    soak.watchMemory(),
    soak.breakNode(node),
    soak.breakDisk(disk),
    soak.breakConfiguration({ ...config, log: { level: 'info' } }),
  ]
  await delay(seconds * 1000)
  soak.isOver = true
  const read = await readers.end()
  await Promise.all(running)
  await load.stop()
  await soak.watchEnd()
  const early = soak.hasEnded
  const faults = early === undefined ? await metric(gateway.adminUrl, 'tollgate_plugin_faults_total') : 0
  const refusals = early === undefined ? await metric(gateway.adminUrl, 'tollgate_http_refusals_total') : 0
  gateway.signal('SIGTERM')
  const { code, signal } = await gateway.ended
  soak.hasEnded = early
  await cp(disk.path, join(dir, 'saved'), { recursive: true })
  const rows = judge(soak, load, read, load.violations(recordedUsage(join(dir, 'saved'))), String(code ?? signal), faults)

  print(
    'Load',
    [...load.outcomes].sort(([, a], [, b]) => b - a).map(([outcome, count]) => [outcome, String(count)]),
  )
  print(
    'Attacks, by status',
    [...soak.statuses].map(([name, seen]) => [
      name,
      [...seen]
        .sort(([a], [b]) => a - b)
        .map(([status, count]) => `${status || 'none'}: ${count}`)
        .join(', '),
    ]),
  )
  print('Promises', [
    ...rows.map(({ what, found, isGood }) => [isGood ? 'kept' : 'BROKEN', what, found]),
    ['', 'refused before they were sessions', String(refusals)],
  ])
  const told = gateway.output.split('\n').filter((line) => !line.includes('"plugin":') && !line.includes('configuration'))
  if (rows.some(({ isGood }) => !isGood)) say(told.slice(-40).join('\n'))
  await Promise.all([node.current.stop(), rogue.stop(), disk.stop(), rm(dir, { recursive: true, force: true })])
  return rows.every(({ isGood }) => isGood) ? 0 : 1
}

process.exit(await main())
