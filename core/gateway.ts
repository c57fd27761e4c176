/**
 * The one file that wires the rooms: configuration → snapshot → what serves → admin listener; start, reload, drain, stop.
 * What serves is this process, or worker processes (worker.ts) of which this one is the primary. Nothing but main.ts
 * imports it.
 */
import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { startAdmin } from './admin/server.ts'
import { digestOfContent } from './config/digest.ts'
import { formatProblem } from './config/problem.ts'
import { buildSnapshot } from './config/snapshot.ts'
import { watchFiles } from './config/watch.ts'
import { openMeter } from './meter/open.ts'
import { PlaceBook } from './meter/places.ts'
import { coreMetrics } from './observe/core-metrics.ts'
import { openLog } from './observe/log.ts'
import { createMetrics } from './observe/metrics.ts'
import { Peers } from './peers/peers.ts'
import { Service } from './service.ts'
import { Chains } from './upstream/chains.ts'
import type { AddressInfo } from 'node:net'
import type { AdminListener } from './admin/server.ts'
import type { Problem } from './config/problem.ts'
import type { Content, ListenAddress, Settings, Snapshot, SnapshotDeps, SnapshotResult, StoreSpec } from './config/snapshot.ts'
import type { FileWatch } from './config/watch.ts'
import type { CoreMetrics } from './observe/core-metrics.ts'
import type { Log } from './observe/log.ts'
import type { MetricsRegistry } from './observe/metrics.ts'
import type { Machine } from './observe/overload.ts'
import type { PeersOptions } from './peers/peers.ts'
import type { AnyPlugin } from './plugin/define.ts'

/** A configuration that cannot be used, with everything that is wrong with it. */
export class ConfigurationError extends Error {
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'))
    this.name = 'ConfigurationError'
    this.problems = problems
  }
}

/** What a gateway is given. */
export interface GatewayOptions {
  /** Path of gateway.yaml. */
  readonly configFile: string
  /** The built-in plugins. */
  readonly catalogue: readonly AnyPlugin[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** Tollgate's version and the runtime's. */
  readonly version: string
  readonly nodeVersion: string
  /** The wall clock in epoch milliseconds. */
  readonly now: () => number
  /** What the system lets the process have; without it nothing is known. */
  readonly machine?: Machine
}

/** A running gateway. */
export interface Gateway {
  readonly address: AddressInfo
  readonly adminAddress: AddressInfo
  readonly log: Log
  /** Reads the configuration again; answers whether it is now in use. With any problem the snapshot before it serves on. */
  reload(): Promise<boolean>
  /** Opens log files anew, after logrotate moved them. */
  reopenLog(): void
  /** Stops accepting, finishes what is in flight within `drain_timeout`, and ends. Asking again cuts what is still open. */
  stop(): Promise<void>
  /** The last thing that the process does: writes the log's last lines, and ends workers that are left. */
  abort(): void
}

/** What serves clients: a service of this process, or several processes. */
interface Engine {
  /** Processes that serve. */
  readonly workers: number
  /** Where it listens, once it does. */
  readonly address: AddressInfo
  listen(address: ListenAddress, settings: Settings): Promise<void>
  /** Serves this from now on. Answers what went wrong where only a part of it could. */
  use(snapshot: Snapshot, content: Content): Promise<readonly string[]>
  /** Why traffic should not come, as sentences. */
  notReady(): readonly string[]
  metrics(): Promise<string>
  /** What is known of the nodes, by every process that serves. */
  upstreams(): Promise<readonly object[]>
  reopenLog(): void
  /** Answers what is under way, and lets go of everything. */
  drain(): Promise<void>
  cut(): void
}

/** Starts a gateway. Rejects with ConfigurationError, or with what kept a listener or the store from opening. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const registry = createMetrics()
  const metrics = coreMetrics(registry, options.version, options.nodeVersion)
  const stop = new AbortController()
  const log = openLog({ level: 'info', file: undefined, now: options.now, onDropped: () => metrics.logLinesDropped.value++ })
  const chains = new Chains(log)
  const places = new PlaceBook()
  const deps: SnapshotDeps = {
    ...options,
    generation: 1,
    metrics: registry,
    log: (plugin) => log.forPlugin(plugin),
    chain: (network, generation) => chains.view(network, generation),
    places: (place) => places.of(place),
    stop: stop.signal,
  }
  const loaded = await buildSnapshot(options.configFile, deps)
  const { snapshot } = loaded
  if (snapshot === undefined) throw new ConfigurationError(loaded.problems)
  log.follow(snapshot.settings.log)
  const parts: Parts = { options, deps, registry, metrics, chains, places, stop, log }
  const gateway = new RunningGateway(parts, await engineOf(parts, snapshot, loaded.content), snapshot)
  try {
    await gateway.start(loaded, snapshot)
  } catch (error) {
    await gateway.stop()
    throw error
  }
  return gateway
}

interface Parts {
  readonly options: GatewayOptions
  readonly deps: SnapshotDeps
  readonly registry: MetricsRegistry
  readonly metrics: CoreMetrics
  readonly chains: Chains
  readonly places: PlaceBook
  readonly stop: AbortController
  readonly log: Log
}

/** What worker processes run. */
const PROGRAM = fileURLToPath(import.meta.resolve('#main'))

/** Rejects with what kept the store from opening. */
function engineOf(parts: Parts, snapshot: Snapshot, content: Content): Promise<Engine> {
  const workers = snapshot.settings.workers === 'auto' ? availableParallelism() : snapshot.settings.workers
  return workers > 1 ? severalProcesses(workers, parts, snapshot, content) : thisProcess(parts, snapshot)
}

async function thisProcess({ options, registry, metrics, chains, places, stop, log }: Parts, snapshot: Snapshot): Promise<Engine> {
  const { now, version, machine } = options
  const { meter, close } = await openMeter(snapshot.settings, { now, log, metrics: registry, places })
  const service = new Service({ registry, metrics, log, meter, version, now, ...(machine && { machine }), chains, stop }, snapshot)
  return {
    workers: 1,
    get address() {
      return service.address
    },
    listen: async (address, settings) => {
      await service.listen(address, settings)
      metrics.workers.serving.value = 1
    },
    use: (next) => {
      service.use(next)
      return Promise.resolve([])
    },
    notReady: () => [],
    metrics: () => registry.text(),
    upstreams: () => Promise.resolve(service.report()),
    reopenLog: () => undefined,
    drain: () => service.drain().then(close),
    cut: () => service.cut(),
  }
}

async function severalProcesses(workers: number, { options, registry, metrics, log }: Parts, snapshot: Snapshot, content: Content): Promise<Engine> {
  const { now, configFile } = options
  const { openPrimary } = await import('./meter/open-primary.ts')
  const { Workforce } = await import('./workers/workforce.ts')
  const held = openPrimary(snapshot.settings, { now, log, metrics: registry })
  const workforce = new Workforce({ program: PROGRAM, workers, configFile, held, registry, counts: metrics.workers, log }, snapshot, content)
  return {
    workers,
    get address() {
      return workforce.address
    },
    listen: (address) => workforce.listen(address),
    use: (next, its) => workforce.use(next, its),
    notReady: () => workforce.notReady(),
    metrics: () => workforce.metrics(),
    upstreams: () => workforce.upstreams(),
    reopenLog: () => workforce.reopenLog(),
    drain: () => workforce.drain().then(held.close),
    cut: () => workforce.cut(),
  }
}

class RunningGateway implements Gateway {
  readonly log: Log
  private readonly parts: Parts
  private readonly engine: Engine
  private generation: number
  /** Of the configuration that serves; kept where others may revoke somebody, which has it built again. */
  private content: Content | undefined
  private peers: Peers | undefined
  private isListening = false
  private admin: AdminListener | undefined
  private watch: FileWatch | undefined
  private reloading: Promise<boolean> | undefined
  private stopped: Promise<void> | undefined

  constructor(parts: Parts, engine: Engine, { generation }: Snapshot) {
    this.parts = parts
    this.engine = engine
    this.log = parts.log
    this.generation = generation
  }

  get address(): AddressInfo {
    return this.engine.address
  }

  get adminAddress(): AddressInfo {
    return this.admin!.address
  }

  async start({ files, warnings, content }: SnapshotResult, snapshot: Snapshot): Promise<void> {
    const { settings } = snapshot
    const openChannel = await channelTo(settings.store)
    this.admin = await startAdmin(
      {
        notReady: () => this.notReady(),
        metrics: () => this.engine.metrics(),
        metricsType: this.parts.registry.contentType,
        reports: { upstreams: async () => ({ upstreams: await this.engine.upstreams() }) },
      },
      { ...settings.adminListen, log: this.log },
    )
    await this.engine.listen(settings.listen, settings)
    this.isListening = true
    this.noteOutcome(true)
    this.watch = watchFiles(files, () => void this.reload())
    const { workers } = this.engine
    this.log.info({ listen: text(this.address), admin: text(this.adminAddress), workers, generation: this.generation }, 'listening')
    reportWarnings(this.log, warnings)
    this.peers = openChannel && this.meet(openChannel)
    this.tellPeers(snapshot, content)
  }

  private tellPeers({ disabled }: Snapshot, content: Content): void {
    if (this.peers === undefined) return
    this.content = content
    this.peers.tell(digestOfContent(content), disabled)
  }

  /** Gets in touch with other gateways on the same store. */
  private meet(open: PeersOptions['open']): Peers {
    const { metrics, log } = this.parts
    return new Peers({
      open,
      gateway: randomBytes(9).toString('base64url'),
      log,
      shown: metrics.peers,
      onRevoked: () => void this.inTurn(() => this.revokeNow()),
    })
  }

  private notReady(): readonly string[] {
    if (this.isDraining()) return ['draining']
    return this.isListening ? this.engine.notReady() : ['starting']
  }

  private isDraining(): boolean {
    return this.stopped !== undefined
  }

  reopenLog(): void {
    this.log.reopen()
    this.engine.reopenLog()
  }

  reload(): Promise<boolean> {
    return this.inTurn(() => this.reloadNow())
  }

  private inTurn(work: () => Promise<boolean>): Promise<boolean> {
    const next = (this.reloading ?? Promise.resolve()).then(work)
    this.reloading = next
    return next
  }

  /** Never rejects. */
  private async reloadNow(): Promise<boolean> {
    if (this.isDraining()) return false
    const { options, deps, metrics } = this.parts
    const generation = this.generation + 1
    const { snapshot, problems, warnings, files, content } = await buildSnapshot(options.configFile, { ...deps, generation, revoked: this.revoked })
    this.watch?.update(files)
    const wrong = snapshot === undefined ? problems.map(formatProblem) : this.logProblems(snapshot.settings)
    this.noteOutcome(wrong.length === 0)
    if (snapshot === undefined || wrong.length > 0) {
      metrics.config.refused.value++
      this.log.error({ problems: wrong }, 'configuration refused, the last good one serves on')
      return false
    }
    metrics.config.reloaded.value++
    const isWhole = await this.use(snapshot, content)
    this.noteOutcome(isWhole)
    this.log.info({ generation }, 'configuration reloaded')
    reportWarnings(this.log, warnings)
    return isWhole
  }

  /** Consumers that other gateways have revoked. */
  private get revoked(): readonly string[] {
    return this.peers?.revoked ?? []
  }

  /** Has the configuration that serves go on without the consumers that are revoked elsewhere. Never rejects. */
  private async revokeNow(): Promise<boolean> {
    if (this.isDraining()) return false
    const { options, deps, metrics } = this.parts
    const generation = this.generation + 1
    const { snapshot, content } = await buildSnapshot(options.configFile, { ...deps, generation, content: this.content!, revoked: this.revoked })
    if (snapshot === undefined) return false // it was good before
    const isWhole = await this.use(snapshot, content)
    metrics.config.generation.value = generation
    return isWhole
  }

  /** Answers whether all of it is in use everywhere. */
  private async use(snapshot: Snapshot, content: Content): Promise<boolean> {
    this.generation = snapshot.generation
    const late = await this.engine.use(snapshot, content)
    if (late.length > 0) this.log.error({ problems: late }, 'configuration refused by a worker, its last good one serves on there')
    this.tellPeers(snapshot, content)
    return late.length === 0
  }

  /** Follows the configuration with the log; answers what is wrong when that fails. */
  private logProblems({ log }: Settings): readonly string[] {
    try {
      this.log.follow(log)
      return []
    } catch (error) {
      return [`log.file: cannot be opened (${(error as Error).message})`]
    }
  }

  private noteOutcome(isGood: boolean): void {
    const { config } = this.parts.metrics
    config.generation.value = this.generation
    config.lastReloadTimestamp.value = this.parts.options.now() / 1000
    config.lastReloadSuccess.value = isGood ? 1 : 0
  }

  stop(): Promise<void> {
    if (this.stopped === undefined) this.stopped = this.drain()
    else this.engine.cut()
    return this.stopped
  }

  abort(): void {
    this.engine.cut()
    this.log.flush()
  }

  private async drain(): Promise<void> {
    this.watch?.close()
    this.peers?.close()
    await this.engine.drain()
    this.parts.stop.abort()
    await this.admin?.close()
    this.log.info({}, 'stopped')
    await this.log.close()
  }
}

/** How to reach the other gateways on a store. Loaded only where there may be any, and before calls come. */
async function channelTo(store: StoreSpec): Promise<PeersOptions['open'] | undefined> {
  if (store.kind === 'memory') return undefined
  const { openRedisChannel } = await import('./peers/redis-channel.ts')
  return (events) => openRedisChannel(store, events)
}

function text({ address, family, port }: AddressInfo): string {
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`
}

function reportWarnings(log: Log, warnings: readonly Problem[]): void {
  for (const warning of warnings) log.warn({ problem: formatProblem(warning) }, 'configuration warning')
}
