/**
 * The one file that wires the rooms: configuration → snapshot → lanes → listeners; start, reload, drain, stop.
 * Nothing but main.ts imports it.
 */
import { randomBytes } from 'node:crypto'
import { startAdmin } from './admin/server.ts'
import { formatProblem } from './config/problem.ts'
import { buildSnapshot } from './config/snapshot.ts'
import { watchFiles } from './config/watch.ts'
import { openMeter } from './meter/open.ts'
import { coreMetrics } from './observe/core-metrics.ts'
import { openLog } from './observe/log.ts'
import { createMetrics } from './observe/metrics.ts'
import { LiveSession } from './pipeline/session.ts'
import { buildLanes } from './route/lanes.ts'
import { acceptWebSockets } from './transport/handshake.ts'
import { startHttp } from './transport/http.ts'
import { UpstreamSet } from './upstream/set.ts'
import type { AddressInfo } from 'node:net'
import type { AdminListener } from './admin/server.ts'
import type { Problem } from './config/problem.ts'
import type { FileVersion, Settings, Snapshot, SnapshotDeps } from './config/snapshot.ts'
import type { FileWatch } from './config/watch.ts'
import type { OpenMeter } from './meter/open.ts'
import type { CoreMetrics } from './observe/core-metrics.ts'
import type { Log } from './observe/log.ts'
import type { MetricsRegistry } from './observe/metrics.ts'
import type { Pipeline } from './pipeline/frame-run.ts'
import type { Destination, Origin } from './pipeline/session.ts'
import type { AnyPlugin } from './plugin/define.ts'
import type { Lanes } from './route/lanes.ts'
import type { Door, SocketCounts } from './transport/door.ts'
import type { SocketSessions } from './transport/handshake.ts'
import type { HttpListener } from './transport/http.ts'

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
}

/** A running gateway. */
export interface Gateway {
  readonly address: AddressInfo
  readonly adminAddress: AddressInfo
  readonly log: Log
  /** Reads the configuration again; answers whether it is now in use. With any problem the snapshot before it serves on. */
  reload(): Promise<boolean>
  /** Stops accepting, finishes what is in flight within `drain_timeout`, and ends. Asking again cuts what is still open. */
  stop(): Promise<void>
}

/** A hook that has not answered by then is at fault. Longer than any delay that limit-req or limit-conn may ask for. */
const HOOK_TIMEOUT_MS = 30_000

/** Starts a gateway. Rejects with ConfigurationError, or with what kept a listener or the store from opening. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const registry = createMetrics()
  const metrics = coreMetrics(registry, options.version, options.nodeVersion)
  const stop = new AbortController()
  const log = openLog({ level: 'info', file: undefined, now: options.now, onDropped: () => metrics.logLinesDropped.value++ })
  const deps: SnapshotDeps = { ...options, generation: 1, metrics: registry, log: (plugin) => log.forPlugin(plugin), stop: stop.signal }
  const { snapshot, problems, warnings, files } = await buildSnapshot(options.configFile, deps)
  if (snapshot === undefined) throw new ConfigurationError(problems)
  const { settings } = snapshot
  const meter = await openMeter(settings, { now: options.now, log, metrics: registry })
  const upstreams = new UpstreamSet({ metrics: registry, log, version: options.version })
  const gateway = new RunningGateway({ configFile: options.configFile, deps, registry, metrics, stop, log, meter, upstreams }, snapshot)
  try {
    await gateway.listen(settings, files)
  } catch (error) {
    await gateway.stop()
    throw error
  }
  reportWarnings(log, warnings)
  return gateway
}

interface Parts {
  readonly configFile: string
  readonly deps: SnapshotDeps
  readonly registry: MetricsRegistry
  readonly metrics: CoreMetrics
  readonly stop: AbortController
  readonly log: Log
  readonly meter: OpenMeter
  readonly upstreams: UpstreamSet
}

class RunningGateway implements Gateway, Door {
  readonly pipeline: Pipeline
  readonly log: Log
  readonly sockets: SocketCounts
  private readonly parts: Parts
  private readonly requestIdPrefix = randomBytes(6).toString('base64url')
  private requestCount = 0
  private logFile: string | undefined
  private snapshot: Snapshot
  private lanes: Lanes
  private http: HttpListener | undefined
  private socketSessions: SocketSessions | undefined
  private admin: AdminListener | undefined
  private watch: FileWatch | undefined
  private reloading: Promise<boolean> | undefined
  private stopped: Promise<void> | undefined

  constructor(parts: Parts, snapshot: Snapshot) {
    this.parts = parts
    this.log = parts.log
    this.sockets = parts.metrics.sockets
    this.pipeline = {
      meter: parts.meter.meter,
      log: parts.log,
      hookTimeoutMs: HOOK_TIMEOUT_MS,
      sessions: parts.metrics.sessions,
      framesInFlight: parts.metrics.frames,
      maxFramesInFlight: snapshot.settings.maxInFlight,
      monotonicMs: () => performance.now(),
    }
    this.snapshot = snapshot
    this.lanes = this.use(snapshot)
  }

  get address(): AddressInfo {
    return this.http!.address
  }

  get adminAddress(): AddressInfo {
    return this.admin!.address
  }

  async listen(settings: Settings, files: readonly FileVersion[]): Promise<void> {
    this.http = await startHttp(this, settings.limits, settings.listen)
    this.socketSessions = acceptWebSockets(this.http.server, this)
    this.admin = await startAdmin(
      {
        notReady: () => (this.isDraining() ? ['draining'] : []),
        metrics: () => this.parts.registry.text(),
        metricsType: this.parts.registry.contentType,
        reports: {},
      },
      { ...settings.adminListen, log: this.log },
    )
    this.watch = watchFiles(files, () => void this.reload())
    this.log.info({ listen: text(this.address), admin: text(this.adminAddress), generation: this.snapshot.generation }, 'listening')
  }

  enter(origin: Origin): LiveSession | undefined {
    const destination = this.lanes(origin.host, origin.path)
    if (destination === undefined) return undefined
    return new LiveSession(origin, destination, `${this.requestIdPrefix}${(this.requestCount++).toString(36)}`, this.now())
  }

  find(host: string, path: string): Destination | undefined {
    return this.lanes(host, path)
  }

  now(): number {
    return this.parts.deps.now()
  }

  isDraining(): boolean {
    return this.stopped !== undefined
  }

  refusedAtEdge(why: string): void {
    this.parts.metrics.httpRefusal(why).value++
  }

  reload(): Promise<boolean> {
    const next = (this.reloading ?? Promise.resolve()).then(() => this.reloadNow())
    this.reloading = next
    return next
  }

  private async reloadNow(): Promise<boolean> {
    if (this.isDraining()) return false
    const { config } = this.parts.metrics
    const { snapshot, problems, warnings, files } = await buildSnapshot(this.parts.configFile, { ...this.parts.deps, generation: this.snapshot.generation + 1 })
    this.watch?.update(files)
    config.lastReloadTimestamp.value = this.now() / 1000
    config.lastReloadSuccess.value = snapshot === undefined ? 0 : 1
    if (snapshot === undefined) {
      config.refused.value++
      this.log.error({ problems: problems.map(formatProblem) }, 'configuration refused, the last good one serves on')
      return false
    }
    config.reloaded.value++
    this.lanes = this.use(snapshot)
    this.socketSessions?.rejudge()
    this.log.info({ generation: snapshot.generation }, 'configuration reloaded')
    reportWarnings(this.log, warnings)
    return true
  }

  /** Makes a snapshot the one that new frames see; those under way keep theirs. */
  private use(snapshot: Snapshot): Lanes {
    this.parts.upstreams.update(snapshot.upstreams)
    const { level, file } = snapshot.settings.log
    this.log.setLevel(level)
    if (file !== this.logFile) this.log.moveTo((this.logFile = file))
    this.snapshot = snapshot
    this.parts.metrics.config.generation.value = snapshot.generation
    return buildLanes(snapshot, (id) => this.parts.upstreams.get(id), this.parts.registry)
  }

  stop(): Promise<void> {
    if (this.stopped === undefined) this.stopped = this.drain()
    else this.cut()
    return this.stopped
  }

  private cut(): void {
    this.socketSessions?.cut()
    this.http?.cut()
  }

  private async drain(): Promise<void> {
    this.watch?.close()
    if (this.http !== undefined) {
      const cut = setTimeout(() => this.cut(), this.snapshot.settings.drainTimeoutMs)
      this.socketSessions?.drain()
      await this.http.drain()
      clearTimeout(cut)
    }
    this.parts.stop.abort()
    await this.parts.upstreams.close()
    await this.parts.meter.close()
    await this.admin?.close()
    this.log.info({}, 'stopped')
    await this.log.close()
  }
}

function text({ address, family, port }: AddressInfo): string {
  return family === 'IPv6' ? `[${address}]:${port}` : `${address}:${port}`
}

function reportWarnings(log: Log, warnings: readonly Problem[]): void {
  for (const warning of warnings) log.warn({ problem: formatProblem(warning) }, 'configuration warning')
}
