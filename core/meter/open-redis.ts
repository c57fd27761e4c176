/**
 * Opens a meter of budgets that a Redis holds. A Redis that is away is no reason not to start. Loaded only where there is
 * one: the client takes 60 ms.
 */
import { randomBytes } from 'node:crypto'
import { Ledger } from './ledger.ts'
import { LeasedMeter } from './lease.ts'
import { connectRedis } from './redis-client.ts'
import { RedisLink } from './redis-link.ts'
import { RedisPlaces } from './redis-places.ts'
import { RedisSource } from './redis-source.ts'
import { RedisMeter } from './redis.ts'
import { StoreClock } from './store-clock.ts'
import type { MeterSettings } from '../config/snapshot.ts'
import type { Meter } from '../pipeline/ports.ts'
import type { PluginLog } from '../plugin/define.ts'
import type { PlaceBook } from './places.ts'
import type { RedisSpec } from './redis-client.ts'
import type { StoreMetrics } from './store-metrics.ts'
import type { UsageBook } from './usage.ts'

/** How long a start waits for Redis. */
const START_MS = 2000
/** How often keys are forgotten while nobody draws. */
const FORGET_MS = 10_000

export interface RedisDeps {
  /** The copy of usage on this machine. */
  readonly usage: UsageBook
  /** The wall clock in epoch milliseconds. */
  readonly now: () => number
  readonly log: Pick<PluginLog, 'info' | 'error'>
  /** What is to be shared of places; nothing where it is not said. */
  readonly places?: PlaceBook
  /** What is shown of the store. */
  readonly shown: StoreMetrics
  /** Replaces Redis's own clock, in tests. */
  readonly storeNow?: () => number
}

/** A meter that a Redis counts for. */
export interface RedisBudgets {
  readonly meter: Meter
  /** What this process keeps of the budgets. */
  readonly ledger: Ledger
  /** Tells Redis what is left to tell, and lets go of it. */
  close(this: void): Promise<void>
}

/** Connects to a Redis. Never rejects. */
export async function openRedis(spec: RedisSpec, settings: MeterSettings, deps: RedisDeps): Promise<RedisBudgets> {
  const { usage, log, shown, storeNow } = deps
  const monotonicMs = (): number => performance.now()
  const clock = new StoreClock(monotonicMs, deps.now())
  const client = connectRedis(spec, { ready: () => link.connected(), lost: (error) => link.lost(error) })
  const link: RedisLink = new RedisLink(client, {
    timeoutMs: settings.storeTimeoutMs,
    process: randomBytes(9).toString('base64url'),
    clock,
    monotonicMs,
    log,
    metrics: shown,
    back: () => ledger.settle(),
    ...(storeNow && { now: storeNow }),
  })
  const source = new RedisSource(link)
  const ledger: Ledger = new Ledger({ source, usage, rules: settings, clock, unsettled: shown.unsettled })
  const meter = settings.lease === 'auto' ? new LeasedMeter(source, ledger, monotonicMs, shown.frames) : new RedisMeter(link, ledger, shown.frames)
  deps.places?.share(new RedisPlaces(link))
  const forgetting = setInterval(() => ledger.forget(), FORGET_MS).unref()
  await link.opened(START_MS)
  return {
    meter,
    ledger,
    close: async () => {
      clearInterval(forgetting)
      deps.places?.close()
      if (!(await meter.close())) log.error({ budgets: ledger.backlog }, 'the store of budgets does not know all that was spent')
      link.close()
    },
  }
}
