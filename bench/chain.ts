/**
 * The chain without I/O: a session and its frame through the plugins of a production gateway, budgets counted in memory, the
 * node's answer at hand. `node bench/chain.ts` prints CPU microseconds per call, and what each further plugin without an
 * opinion adds.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { buildSnapshot } from '../core/config/snapshot.ts'
import { tuneEngine } from '../core/engine.ts'
import { openMeter } from '../core/meter/open.ts'
import { coreMetrics } from '../core/observe/core-metrics.ts'
import { openLog } from '../core/observe/log.ts'
import { createMetrics } from '../core/observe/metrics.ts'
import { FrameRun } from '../core/pipeline/frame-run.ts'
import { closeSession, openSession } from '../core/pipeline/open.ts'
import { Service } from '../core/service.ts'
import { answer, definePlugin } from '#plugin'
import { plugins } from '../plugins/index.ts'
import { NETWORK, configurationFiles, keyOf } from './configuration.ts'
import { spread } from './cost.ts'
import type { AnyPlugin } from '#plugin'
import type { Upstream } from '../core/pipeline/ports.ts'
import type { Destination, LiveSession, Origin } from '../core/pipeline/session.ts'
import type { Spread } from './cost.ts'

/** A chain that is ready to be measured. */
export interface PreparedChain {
  /** Sends so many calls through it, one after the other: each a session of its own, as over HTTP, or all in one, as over WebSocket. */
  run(calls: number, wire: 'http' | 'ws'): Promise<void>
  stop(): Promise<void>
}

const BODY = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}')
/** What stands in for the node. */
const ANSWERS = Promise.resolve([answer('"0x1312d00"')])
/** So that timers and the log have their turn, as they have between requests. */
const CALLS_PER_TURN = 500

/** Builds the chain that is measured, with so many plugins more that look at everything and say nothing. */
export async function prepareChain(furtherPlugins: number): Promise<PreparedChain> {
  tuneEngine() // as a gateway does
  const idle = Array.from({ length: furtherPlugins }, (_, i) => idlePlugin(`idle-${i}`, 100 + i))
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-bench-'))
  const names = Object.fromEntries(idle.map(({ name }) => [name, {}]))
  const files = configurationFiles({ nodePort: 1, listen: '127.0.0.1:0', admin: '127.0.0.1:0', plugins: names })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text)

  const registry = createMetrics()
  const stop = new AbortController()
  const now = Date.now
  const log = openLog({ level: 'info', file: join(dir, 'gateway.log'), now })
  const { snapshot, problems } = await buildSnapshot(join(dir, 'gateway.yaml'), {
    catalogue: [...plugins, ...idle],
    env: {},
    generation: 1,
    now,
    log: (plugin) => log.forPlugin(plugin),
    metrics: registry,
    stop: stop.signal,
  })
  if (snapshot === undefined) throw new Error(problems.map(({ message }) => message).join('\n'))
  const meter = await openMeter(snapshot.settings, { now, log, metrics: registry })
  const service = new Service({ registry, metrics: coreMetrics(registry, 'bench', ''), log, meter: meter.meter, version: 'bench', now, stop }, snapshot)
  const chain = new Chain(service)
  return {
    run: (calls, wire) => chain.run(calls, wire),
    stop: async () => {
      await service.drain()
      await meter.close()
      await log.close()
      rmSync(dir, { recursive: true })
    },
  }
}

/** A plugin that is asked in every phase and has no opinion. */
function idlePlugin(name: string, priority: number): AnyPlugin {
  return definePlugin({
    name,
    priority,
    summary: 'Has no opinion.',
    config: {},
    examples: [],
    onFault: 'pass',
    create: () => ({
      open: () => undefined,
      access: () => undefined,
      charge: () => undefined,
      reply: () => undefined,
      log: () => undefined,
      close: () => undefined,
    }),
  })
}

class Chain {
  private readonly service: Service
  private readonly destination: Destination

  constructor(service: Service) {
    this.service = service
    const upstream: Upstream = { id: NETWORK, exchange: () => ANSWERS, reach: () => Promise.resolve(true) }
    this.destination = { ...this.enter('http').destination, upstream }
  }

  async run(calls: number, wire: 'http' | 'ws'): Promise<void> {
    for (let left = calls; left > 0; left -= CALLS_PER_TURN) {
      await new Promise<void>((resolve) => {
        const batch = Math.min(left, CALLS_PER_TURN)
        if (wire === 'http') this.sessions(batch, resolve)
        else this.frames(this.open('ws'), batch, resolve)
      })
      await nextTurn()
    }
  }

  /** One call per session. */
  private sessions(left: number, done: () => void): void {
    if (left === 0) return done()
    this.frames(this.open('http'), 1, () => this.sessions(left - 1, done))
  }

  private frames(session: LiveSession, left: number, done: () => void): void {
    const { pipeline } = this.service
    const run = new FrameRun(session, session.requestId, BODY.length, pipeline, ({ status }) => {
      if (status !== 200) throw new Error(`status ${status}`)
      if (left > 1) return this.frames(session, left - 1, done)
      closeSession(session, pipeline)
      done()
    })
    run.start(BODY)
  }

  private open(wire: 'http' | 'ws'): LiveSession {
    const session = this.enter(wire)
    session.destination = this.destination
    openSession(session, this.service.pipeline, () => undefined)
    return session
  }

  private enter(scheme: 'http' | 'ws'): LiveSession {
    // What node:http makes of a request of the load.
    const headers = { host: '127.0.0.1:9080', apikey: keyOf(0), 'content-type': 'application/json', 'content-length': String(BODY.length) }
    const origin: Origin = { scheme, httpMethod: 'POST', peer: '127.0.0.1', host: '127.0.0.1', path: `/${NETWORK}`, query: '', headers }
    return this.service.enter(origin)!
  }
}

/** What `measureChain` finds, in CPU microseconds. */
export interface ChainCost {
  readonly http: Spread
  readonly ws: Spread
  readonly furtherPlugin: Spread
}

const FURTHER_PLUGINS = 16

/** Measures rounds of so many calls each, the chain and the longer chain in turns. */
export async function measureChain(rounds: number, calls: number): Promise<ChainCost> {
  const plain = await prepareChain(0)
  const longer = await prepareChain(FURTHER_PLUGINS)
  const cost = async (chain: PreparedChain, wire: 'http' | 'ws'): Promise<number> => {
    const before = process.cpuUsage()
    await chain.run(calls, wire)
    const { user, system } = process.cpuUsage(before)
    return (user + system) / calls
  }
  const found = { http: [] as number[], ws: [] as number[], furtherPlugin: [] as number[] }
  for (let round = -1; round < rounds; round++) {
    const http = await cost(plain, 'http')
    const ws = await cost(plain, 'ws')
    const long = await cost(longer, 'http')
    if (round === -1) continue // what compiles, compiles here
    found.http.push(http)
    found.ws.push(ws)
    found.furtherPlugin.push((long - http) / FURTHER_PLUGINS)
  }
  await plain.stop()
  await longer.stop()
  return { http: spread(found.http), ws: spread(found.ws), furtherPlugin: spread(found.furtherPlugin) }
}

/** Each some 0.2 s on a quiet machine. */
const ROUNDS = 15
const CALLS = 20_000

if (import.meta.main) {
  const cost = await measureChain(ROUNDS, CALLS)
  process.stdout.write(`${JSON.stringify(cost)}\n`)
}
