/** Opens the meter of a worker process: it asks the primary for budgets, or the Redis that holds them. */
import { Ledger } from './ledger.ts'
import { LeasedMeter } from './lease.ts'
import { RemotePlaces } from './remote-places.ts'
import { RemoteMeter } from './remote.ts'
import { RemoteSource } from './remote-source.ts'
import { StoreClock } from './store-clock.ts'
import { storeMetrics } from './store-metrics.ts'
import { UsageBook } from './usage.ts'
import { UsageStore } from './usage-store.ts'
import type { MeterSettings, StoreSpec } from '../config/snapshot.ts'
import type { Meter } from '../pipeline/ports.ts'
import type { MeterDeps } from './open.ts'
import type { RedisSpec } from './redis-client.ts'
import type { MeterReply, MeterRequest } from './remote.ts'
import type { Usage, UsageRecords } from './usage-store.ts'

/** How often keys are forgotten while nobody draws. */
const FORGET_MS = 10_000

/** What opening needs of the primary. */
export interface WorkerMeterOptions {
  readonly store: StoreSpec
  readonly meter: MeterSettings
  /** How many workers there are. */
  readonly workers: number
  /** Usage that the primary knows of; only where a Redis holds the budgets. */
  readonly usage: readonly Usage[]
  readonly send: (request: MeterRequest) => void
}

/** A worker's meter. */
export interface WorkerMeter {
  readonly meter: Meter
  /** Takes in an answer of the primary. */
  receive(this: void, reply: MeterReply): void
  /** Tells all that is left to tell. */
  close(this: void): Promise<void>
}

export async function openWorker(options: WorkerMeterOptions, deps: MeterDeps): Promise<WorkerMeter> {
  if (options.store.kind !== 'memory') return openOnRedis(options.store, options, deps)
  const places = new RemotePlaces(options.workers, options.send)
  deps.places?.share(places)
  const { meter, receive, close } = options.meter.lease === 'auto' ? openLeased(options, deps) : openExact(options)
  return {
    meter,
    receive: (reply) => (reply.kind === 'held' ? places.receive(reply) : receive(reply)),
    close: async () => {
      deps.places?.close()
      await close()
    },
  }
}

function openExact({ send }: WorkerMeterOptions): WorkerMeter {
  const meter = new RemoteMeter(send)
  return {
    meter,
    receive: (reply) => {
      if (reply.kind === 'drawn') meter.receive(reply)
    },
    close: async () => meter.flush(),
  }
}

function openLeased({ meter: rules, workers, send }: WorkerMeterOptions, { now, log, metrics }: MeterDeps): WorkerMeter {
  const shown = storeMetrics(metrics)
  const monotonicMs = (): number => performance.now()
  const clock = new StoreClock(monotonicMs, now())
  const source = new RemoteSource(workers, clock, monotonicMs, send)
  const usage = new UsageBook({ store: UsageStore.inMemory(), now, onStore: () => undefined })
  const ledger = new Ledger({ source, usage, rules, clock, unsettled: shown.unsettled })
  const meter = new LeasedMeter(source, ledger, monotonicMs, shown.frames)
  const forgetting = setInterval(() => ledger.forget(), FORGET_MS).unref()
  shown.up.value = 1
  shown.processes.value = workers
  return {
    meter,
    receive: (reply) => {
      if (reply.kind !== 'drawn' && reply.kind !== 'held') source.receive(reply)
    },
    close: async () => {
      clearInterval(forgetting)
      if (!(await meter.close())) log.error({ budgets: ledger.backlog }, 'the primary does not know all that was spent')
      usage.close()
    },
  }
}

/** Each worker has a line of its own to Redis; the disk with the copy of usage is the primary's. */
async function openOnRedis(store: RedisSpec, { meter: rules, usage: known, send }: WorkerMeterOptions, deps: MeterDeps): Promise<WorkerMeter> {
  const { openRedis } = await import('./open-redis.ts')
  const usage = new UsageBook({ store: new PrimaryRecords(known, send), now: deps.now, onStore: () => undefined })
  const { meter, close } = await openRedis(store, rules, { ...deps, shown: storeMetrics(deps.metrics), usage })
  return {
    meter,
    receive: () => undefined,
    close: async () => {
      await close()
      usage.close()
    },
  }
}

/** Usage that the primary keeps: what it knew when this process started, and what it is told since. */
class PrimaryRecords implements UsageRecords {
  readonly #known: readonly Usage[]
  readonly #send: (request: MeterRequest) => void

  constructor(known: readonly Usage[], send: (request: MeterRequest) => void) {
    this.#known = known
    this.#send = send
  }

  write(rows: readonly Usage[]): void {
    this.#send({ kind: 'usage', rows: rows.map(({ budget, key, cycle, used, endsAt }) => ({ budget, key, cycle, used, endsAt })) })
  }

  unfinished(nowMs: number): readonly { readonly budget: string; readonly id: string; readonly endsAt: number }[] {
    const cycles = new Map<string, { budget: string; id: string; endsAt: number }>()
    for (const { budget, cycle: id, endsAt } of this.#known) if (endsAt > nowMs) cycles.set(JSON.stringify([budget, id]), { budget, id, endsAt })
    return [...cycles.values()]
  }

  *cycle(budget: string, cycle: string): Iterable<readonly [key: string, used: number]> {
    for (const row of this.#known) if (row.budget === budget && row.cycle === cycle) yield [row.key, row.used]
  }

  history(): readonly Usage[] {
    return []
  }

  page(): readonly Usage[] {
    return []
  }

  close(): void {}
}
