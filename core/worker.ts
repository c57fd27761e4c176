/**
 * A worker process: serves clients as a gateway of one process does, with what the primary hands it. It reads no
 * configuration file, has no admin listener, and where no Redis holds the budgets the primary does. It ends when
 * the primary asks for it, and with the primary. Nothing but main.ts imports this.
 */
import { formatProblem } from './config/problem.ts'
import { buildSnapshot } from './config/snapshot.ts'
import { openWorker } from './meter/open-worker.ts'
import { PlaceBook } from './meter/places.ts'
import { coreMetrics } from './observe/core-metrics.ts'
import { openLog } from './observe/log.ts'
import { createMetrics } from './observe/metrics.ts'
import { Service } from './service.ts'
import { Chains } from './upstream/chains.ts'
import { PrimaryLink } from './workers/primary-link.ts'
import type { Snapshot, SnapshotDeps, SnapshotResult, UpstreamSpec } from './config/snapshot.ts'
import type { WorkerMeter } from './meter/open-worker.ts'
import type { CoreMetrics } from './observe/core-metrics.ts'
import type { Log } from './observe/log.ts'
import type { MetricsRegistry } from './observe/metrics.ts'
import type { Machine } from './observe/overload.ts'
import type { AnyPlugin } from './plugin/define.ts'
import type { MeterRequest } from './meter/remote.ts'
import type { Assignment, NumberedContent } from './workers/messages.ts'

/** What a worker is given by its own process. */
export interface WorkerOptions {
  /** The built-in plugins. */
  readonly catalogue: readonly AnyPlugin[]
  readonly env: Readonly<Record<string, string | undefined>>
  /** Tollgate's version and the runtime's. */
  readonly version: string
  readonly nodeVersion: string
  /** The wall clock in epoch milliseconds. */
  readonly now: () => number
  /** What the system lets the process have. */
  readonly machine: Machine
}

/** A worker that serves. */
export interface Worker {
  readonly log: Log
  /** Stops accepting, finishes what is in flight within `drain_timeout`, and ends. Asking again does nothing. */
  drain(): Promise<void>
  /** Resolves once it has ended, whoever asked for it. */
  readonly ended: Promise<void>
}

/** Serves what the primary says. Undefined where it cannot: the primary has then been told why. */
export async function startWorker(options: WorkerOptions): Promise<Worker | undefined> {
  const link = new PrimaryLink()
  const { generation, content, ...assignment } = await link.hello()
  try {
    const worker = new RunningWorker(options, link, assignment)
    await worker.start({ generation, content })
    return worker
  } catch (error) {
    await link.send({ kind: 'failed', problem: (error as Error).message })
    return undefined
  }
}

class RunningWorker implements Worker {
  readonly log: Log
  readonly ended: Promise<void>
  private readonly options: WorkerOptions
  private readonly link: PrimaryLink
  private readonly assignment: Omit<Assignment, keyof NumberedContent>
  private readonly registry: MetricsRegistry = createMetrics()
  private readonly metrics: CoreMetrics
  private readonly chains: Chains
  private readonly places = new PlaceBook()
  private readonly stop = new AbortController()
  private meter: WorkerMeter | undefined
  private service: Service | undefined
  private configuring: Promise<readonly string[]> = Promise.resolve([])
  private drained: Promise<void> | undefined
  private hasEnded: () => void = () => undefined

  constructor(options: WorkerOptions, link: PrimaryLink, assignment: RunningWorker['assignment']) {
    this.options = options
    this.link = link
    this.assignment = assignment
    this.metrics = coreMetrics(this.registry, options.version, options.nodeVersion)
    const { worker } = assignment
    this.log = openLog({ level: 'info', file: undefined, now: options.now, worker, onDropped: () => this.metrics.logLinesDropped.value++ })
    this.chains = new Chains(this.log)
    this.ended = new Promise((resolve) => (this.hasEnded = resolve))
  }

  async start(wanted: NumberedContent): Promise<void> {
    const { listen, workers } = this.assignment
    const { snapshot, problems } = await this.build(wanted)
    if (snapshot === undefined) throw new Error(problems.map(formatProblem).join('\n'))
    this.log.follow(snapshot.settings.log)
    const meter = await this.openMeter()
    const own = shareOf(snapshot, workers)
    const { registry, metrics, log, stop } = this
    const { version, now, machine } = this.options
    const service = new Service(
      { registry, metrics, log, meter: meter.meter, version, now, machine: shareOfMachine(machine, workers), chains: this.chains, stop },
      own,
    )
    this.service = service
    await service.listen(listen, own.settings)
    this.uses(snapshot)
    this.link.serve({
      answers: {
        configure: (wanted) => this.configure(wanted),
        notReady: () => service.notReady(),
        metrics: () => registry.dump(),
        upstreams: () => service.report(),
      },
      meterReply: (reply) => meter.receive(reply),
      reopenLog: () => log.reopen(),
      drain: () => void this.drain(),
    })
    await this.link.send({ kind: 'serving', address: service.address })
  }

  private async openMeter(): Promise<WorkerMeter> {
    const { workers, budgets } = this.assignment
    const send = (request: MeterRequest): void => void this.link.send({ kind: 'meter', request })
    this.meter = await openWorker({ ...budgets, workers, send }, { now: this.options.now, log: this.log, metrics: this.registry, places: this.places })
    return this.meter
  }

  drain(): Promise<void> {
    this.drained ??= this.drainNow()
    return this.drained
  }

  private async drainNow(): Promise<void> {
    await this.service?.drain()
    await this.meter?.close()
    await this.link.send({ kind: 'farewell', metrics: await this.registry.dump() })
    await this.log.close()
    this.hasEnded()
  }

  /** One after the other, in the order in which they were sent. */
  private configure(wanted: NumberedContent): Promise<readonly string[]> {
    this.configuring = this.configuring.then(() => this.configureNow(wanted))
    return this.configuring
  }

  /** Never rejects. */
  private async configureNow(wanted: NumberedContent): Promise<readonly string[]> {
    this.metrics.config.lastReloadSuccess.value = 0
    try {
      const { snapshot, problems } = await this.build(wanted)
      if (snapshot === undefined) return problems.map(formatProblem)
      this.log.follow(snapshot.settings.log)
      this.service?.use(shareOf(snapshot, this.assignment.workers))
      this.uses(snapshot)
      return []
    } catch (error) {
      return [String(error)]
    }
  }

  private uses({ generation }: Snapshot): void {
    this.metrics.config.generation.value = generation
    this.metrics.config.lastReloadSuccess.value = 1
  }

  private build({ generation, content }: NumberedContent): Promise<SnapshotResult> {
    const { catalogue, env, now } = this.options
    const log: SnapshotDeps['log'] = (plugin) => this.log.forPlugin(plugin)
    const chain: SnapshotDeps['chain'] = (network, its) => this.chains.view(network, its)
    const places: SnapshotDeps['places'] = (place) => this.places.of(place)
    return buildSnapshot(this.assignment.configFile, {
      catalogue,
      env,
      now,
      generation,
      content,
      metrics: this.registry,
      log,
      chain,
      places,
      stop: this.stop.signal,
    })
  }
}

/** What one of several workers may occupy of what the system gives all of them together. Files are each process's own. */
function shareOfMachine(machine: Machine, workers: number): Machine {
  return { ...machine, memoryLimitBytes: machine.memoryLimitBytes / workers }
}

/** What one of several workers may take where the configuration limits all of them together. */
function shareOf(snapshot: Snapshot, workers: number): Snapshot {
  const share = (limit: number): number => Math.ceil(limit / workers)
  const { settings, upstreams } = snapshot
  const { maxConnections, maxConnectionsPerAddress, maxHeldBytes } = settings.limits
  const limits = {
    ...settings.limits,
    maxConnections: share(maxConnections),
    maxConnectionsPerAddress: share(maxConnectionsPerAddress),
    maxHeldBytes: maxHeldBytes && share(maxHeldBytes),
  }
  const ofUpstream = (upstream: UpstreamSpec): UpstreamSpec => ({ ...upstream, maxConnections: share(upstream.maxConnections) })
  return { ...snapshot, settings: { ...settings, limits, maxInFlight: share(settings.maxInFlight) }, upstreams: upstreams.map(ofUpstream) }
}
