/**
 * Several processes that serve clients on one address, as one gateway: one configuration, one set of budgets, one set of
 * metrics. The primary process serves nobody. It hands each worker the content of the configuration that it found good,
 * so that all of them serve the same, also one that takes a dead one's place while the files on disk are broken.
 *
 * Where the system can (SO_REUSEPORT), each worker has a listening socket of its own and the system spreads connections
 * over them; elsewhere they accept from one socket that the primary holds.
 */
import cluster from 'node:cluster'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { mergedFamilies, mergedText } from '../observe/exposition.ts'
import { Member } from './member.ts'
import type { AddressInfo, ListenOptions } from 'node:net'
import type { ListenAddress, Snapshot } from '../config/snapshot.ts'
import type { FamilyDump, MetricsDump } from '../observe/exposition.ts'
import type { CoreMetrics } from '../observe/core-metrics.ts'
import type { MetricsRegistry } from '../observe/metrics.ts'
import type { PluginLog } from '../plugin/define.ts'
import type { HeldBudgets } from '../meter/open-primary.ts'
import type { NumberedContent } from './messages.ts'
import type { MemberDeps } from './member.ts'

/** A worker that has not told its metrics by then is shown as it was when it last did. */
const METRICS_WITHIN_MS = 1000
/** Beyond the drain timeout, for a worker that did not keep to it. */
const KILL_AFTER_MS = 2000
/** A worker that says nothing for so long is taken to hang: no snapshot takes longer to build, no pause of the GC. */
const HANGS_AFTER_MS = 30_000
/** The label that the metrics of the primary process itself have for `worker`. */
const PRIMARY = 'primary'

export interface WorkforceOptions {
  /** What a worker process runs. */
  readonly program: string
  readonly workers: number
  readonly configFile: string
  /** What this process holds for its workers. */
  readonly held: Pick<HeldBudgets, 'answer' | 'ended' | 'usage'>
  /** What this process counts itself, and of it what it counts of its workers. */
  readonly registry: MetricsRegistry
  readonly counts: CoreMetrics['workers']
  readonly log: PluginLog
  readonly hangsAfterMs?: number
  /** False has workers share a socket even where each could have its own. */
  readonly reusePort?: boolean
}

export class Workforce {
  readonly #options: WorkforceOptions
  readonly #members: readonly Member[]
  #current: NumberedContent
  #drainTimeoutMs: number
  #listen: { readonly host: string; readonly port: number; readonly reusePort: boolean } | undefined
  #address: AddressInfo | undefined
  /** What ended processes counted: a sum must not fall when one of them dies. */
  #ended: readonly FamilyDump[] = []

  constructor(options: WorkforceOptions, snapshot: Snapshot, content: NumberedContent['content']) {
    this.#options = options
    this.#current = { generation: snapshot.generation, content }
    this.#drainTimeoutMs = snapshot.settings.drainTimeoutMs
    cluster.schedulingPolicy = cluster.SCHED_NONE // the other policy loses connections that a dying worker is handed
    cluster.setupPrimary({ exec: options.program, args: [], serialization: 'advanced' })
    const { serving, restarts } = options.counts
    const { store, meter } = snapshot.settings
    const deps: MemberDeps = {
      assignment: (worker) => ({
        ...this.#current,
        worker,
        workers: options.workers,
        configFile: options.configFile,
        listen: this.#listen!,
        budgets: { store, meter, usage: options.held.usage() },
      }),
      meter: (request, worker) => options.held.answer(request, worker),
      serves: () => serving.value++,
      ended: (metrics, hasServed, worker) => {
        options.held.ended(worker)
        if (hasServed) serving.value--
        if (metrics !== undefined) this.#remember(metrics.families)
      },
      restarts,
      log: options.log,
      hangsAfterMs: options.hangsAfterMs ?? HANGS_AFTER_MS,
    }
    this.#members = Array.from({ length: options.workers }, (_, at) => new Member(at + 1, deps))
  }

  get address(): AddressInfo {
    return this.#address!
  }

  /** Starts all workers. Rejects with what kept the first of them that failed from serving, once none is left. */
  async listen(address: ListenAddress): Promise<void> {
    this.#listen = await claim(address, this.#options.reusePort ?? true)
    try {
      const [first] = await Promise.all(this.#members.map((member) => member.start()))
      this.#address = first
    } catch (error) {
      await this.drain()
      throw error
    }
  }

  /** Has all workers serve this from now on. A worker that cannot serves what it did before. Answers what they had to say. */
  async use(snapshot: Snapshot, content: NumberedContent['content']): Promise<readonly string[]> {
    this.#current = { generation: snapshot.generation, content }
    this.#drainTimeoutMs = snapshot.settings.drainTimeoutMs
    const answers = await Promise.all(this.#members.map((member) => member.configure(this.#current)))
    return answers.flatMap((problems, at) => (problems ?? []).map((problem) => `worker ${at + 1}: ${problem}`))
  }

  /** Traffic may come as long as there is one worker that takes it. */
  notReady(): readonly string[] {
    const reasons = this.#members.map((member) => member.notReady)
    return reasons.some((some) => some.length === 0) ? [] : reasons.flat()
  }

  /** What all processes counted, as one text. */
  async metrics(): Promise<string> {
    const late = delay(METRICS_WITHIN_MS, undefined, { ref: false })
    const parts = new Map<string, MetricsDump>([[PRIMARY, await this.#options.registry.dump()]])
    await Promise.all(
      this.#members.map(async (member) => {
        const metrics = await Promise.race([member.ask('metrics', undefined), late])
        if (metrics !== undefined) member.metrics = metrics
      }),
    )
    for (const member of this.#members) if (member.metrics !== undefined) parts.set(String(member.number), member.metrics)
    return mergedText(parts, this.#ended)
  }

  /** What each worker knows of the nodes; nothing of one that does not say it in time. */
  async upstreams(): Promise<readonly object[]> {
    const late = delay(METRICS_WITHIN_MS, undefined, { ref: false })
    const reports = await Promise.all(
      this.#members.map(async (member) => {
        const upstreams = await Promise.race([member.ask('upstreams', undefined), late])
        return (upstreams ?? []).map((upstream) => Object.assign({ worker: member.number }, upstream))
      }),
    )
    return reports.flat()
  }

  reopenLog(): void {
    for (const member of this.#members) member.tell({ kind: 'reopen-log' })
  }

  /** Lets all workers answer what they have begun, and end. */
  async drain(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.stop(this.#drainTimeoutMs + KILL_AFTER_MS)))
  }

  /** Ends all workers at once. */
  cut(): void {
    for (const member of this.#members) member.kill()
  }

  #remember(families: readonly FamilyDump[]): void {
    this.#ended = mergedFamilies([this.#ended, families.filter(({ declared }) => declared.type !== 'gauge')])
  }
}

/**
 * Makes sure that the address is free: on a shared port, a gateway that runs already would otherwise go on to get some of
 * the connections. Finds out on the way which port it is where any will do, and whether processes can share it.
 */
async function claim({ host, port }: ListenAddress, wantsOwn: boolean): Promise<{ readonly host: string; readonly port: number; readonly reusePort: boolean }> {
  const claimed = await tryListen({ ...(host !== '' && { host }), port })
  const reusePort = await tryListen({ host: '127.0.0.1', port: 0, reusePort: true }).then(
    () => wantsOwn,
    () => false,
  )
  return { host, port: claimed.port, reusePort }
}

/** Listens for a moment. */
function tryListen(options: ListenOptions): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(options, () => {
      const address = server.address() as AddressInfo
      server.close(() => resolve(address))
    })
  })
}
