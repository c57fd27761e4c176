/**
 * What serves clients: the listener, the lanes of the snapshot in use, the nodes. A gateway of one process has one; where
 * several processes serve, each worker has one of its own.
 */
import { randomBytes } from 'node:crypto'
import { LiveSession } from './pipeline/session.ts'
import { buildLanes } from './route/lanes.ts'
import { networkFinder } from './route/networks.ts'
import { OverloadGuard, UNKNOWN_MACHINE } from './observe/overload.ts'
import { acceptWebSockets } from './transport/handshake.ts'
import { startHttp } from './transport/http.ts'
import { Chains } from './upstream/chains.ts'
import { UpstreamSet } from './upstream/set.ts'
import type { AddressInfo } from 'node:net'
import type { ListenAddress, Settings, Snapshot } from './config/snapshot.ts'
import type { CoreMetrics } from './observe/core-metrics.ts'
import type { Log } from './observe/log.ts'
import type { MetricsRegistry } from './observe/metrics.ts'
import type { Machine } from './observe/overload.ts'
import type { Pipeline } from './pipeline/frame-run.ts'
import type { Meter } from './pipeline/ports.ts'
import type { Destination, Origin } from './pipeline/session.ts'
import type { Lanes } from './route/lanes.ts'
import type { Door } from './transport/door.ts'
import type { SocketSessions } from './transport/handshake.ts'
import type { HttpListener } from './transport/http.ts'
import type { UpstreamReport } from './upstream/upstream.ts'

/** What a service needs of its process. */
export interface ServiceParts {
  readonly registry: MetricsRegistry
  readonly metrics: CoreMetrics
  readonly log: Log
  readonly meter: Meter
  /** Tollgate's own. */
  readonly version: string
  /** The wall clock in epoch milliseconds. */
  readonly now: () => number
  readonly machine?: Machine
  /** What plugins are shown of the chains behind networks. */
  readonly chains?: Chains
  /** Aborted once everything is answered: ends what plugins still wait for. */
  readonly stop: AbortController
}

/** A hook that has not answered by then is at fault. Longer than any delay that limit-req or limit-conn may ask for. */
const HOOK_TIMEOUT_MS = 30_000

/** Part of the files that the process may have open that clients' connections may take. */
const FILES_FOR_CLIENTS = 0.75

export class Service implements Door {
  readonly pipeline: Pipeline
  readonly sockets: CoreMetrics['sockets']
  private readonly parts: ServiceParts
  private readonly upstreams: UpstreamSet
  private readonly chains: Chains
  private readonly machine: Machine
  private readonly guard: OverloadGuard
  private readonly requestIdPrefix = randomBytes(6).toString('base64url')
  private requestCount = 0
  private snapshot: Snapshot
  private lanes: Lanes
  private http: HttpListener | undefined
  private socketSessions: SocketSessions | undefined
  private drained: Promise<void> | undefined

  constructor(parts: ServiceParts, snapshot: Snapshot) {
    this.parts = parts
    this.sockets = parts.metrics.sockets
    const { limits } = snapshot.settings
    this.machine = parts.machine ?? UNKNOWN_MACHINE
    this.guard = new OverloadGuard(limits, this.machine, parts.registry, parts.log)
    this.pipeline = {
      meter: parts.meter,
      log: parts.log,
      hookTimeoutMs: HOOK_TIMEOUT_MS,
      sessions: parts.metrics.sessions,
      framesInFlight: parts.metrics.frames,
      maxFramesInFlight: snapshot.settings.maxInFlight,
      load: this.guard,
      monotonicMs: () => performance.now(),
    }
    this.chains = parts.chains ?? new Chains(parts.log)
    this.upstreams = new UpstreamSet({
      metrics: parts.registry,
      log: parts.log,
      version: parts.version,
      room: this.guard.room,
      backlog: this.guard.backlog,
      chains: this.chains,
    })
    this.snapshot = snapshot
    this.lanes = this.lanesOf(snapshot)
  }

  get address(): AddressInfo {
    return this.http!.address
  }

  async listen(address: ListenAddress & { readonly reusePort?: boolean }, settings: Settings): Promise<void> {
    const { limits } = settings
    // The rest is for sockets to nodes and for files.
    const maxConnections = Math.min(limits.maxConnections, Math.floor(this.machine.maxOpenFiles * FILES_FOR_CLIENTS))
    if (maxConnections < limits.maxConnections)
      this.parts.log.warn({ maxConnections, maxOpenFiles: this.machine.maxOpenFiles }, 'the system allows fewer connections than limits.max_connections')
    this.http = await startHttp(this, { ...limits, maxConnections }, { ...address, trustedProxies: settings.trustedProxies })
    this.socketSessions = acceptWebSockets(this.http.server, this, limits)
    this.guard.start()
  }

  /** Makes a snapshot the one that new frames see; those under way keep theirs. Open WebSockets are judged anew. */
  use(snapshot: Snapshot): void {
    this.lanes = this.lanesOf(snapshot)
    this.snapshot = snapshot
    this.socketSessions?.rejudge()
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
    return this.parts.now()
  }

  isDraining(): boolean {
    return this.drained !== undefined
  }

  /** What an operator is told of the upstreams. */
  report(): UpstreamReport[] {
    return this.upstreams.report()
  }

  notReady(): readonly string[] {
    return this.isDraining() ? ['draining'] : []
  }

  refusedAtEdge(why: string): void {
    this.parts.metrics.httpRefusal(why).value++
  }

  /** Stops accepting, finishes what is in flight within `drain_timeout`, and lets go of the nodes. */
  drain(): Promise<void> {
    this.drained ??= this.drainNow()
    return this.drained
  }

  /** Cuts what is still open. */
  cut(): void {
    this.socketSessions?.cut()
    this.http?.cut()
  }

  private async drainNow(): Promise<void> {
    if (this.http !== undefined) {
      const cut = setTimeout(() => this.cut(), this.snapshot.settings.drainTimeoutMs)
      this.socketSessions?.drain()
      await this.http.drain()
      clearTimeout(cut)
    }
    this.guard.stop()
    this.parts.stop.abort()
    await this.upstreams.close()
  }

  private lanesOf(snapshot: Snapshot): Lanes {
    this.upstreams.update(snapshot.upstreams)
    const idOf = networkFinder(snapshot.routes, (id) => this.upstreams.get(id) !== undefined)
    this.chains.use(snapshot.generation, (network) => this.upstreams.get(idOf(network) ?? ''))
    return buildLanes(snapshot, (id) => this.upstreams.get(id), this.parts.registry)
  }
}
