/** Opens what the configuration says budgets are counted in. */
import { MemoryMeter } from './memory.ts'
import { storeMetrics } from './store-metrics.ts'
import { UsageBook } from './usage.ts'
import { UsageStore } from './usage-store.ts'
import type { openRedis } from './open-redis.ts'
import type { PlaceBook } from './places.ts'
import type { Meter } from '../pipeline/ports.ts'
import type { PluginLog } from '../plugin/define.ts'
import type { Metrics } from '../plugin/metrics.ts'
import type { Settings } from '../config/snapshot.ts'

/** How often keys are forgotten while nobody draws. */
const FORGET_MS = 10_000

/** What opening needs of its surroundings. */
export interface MeterDeps {
  /** The wall clock in epoch milliseconds. */
  readonly now: () => number
  readonly log: Pick<PluginLog, 'info' | 'error'>
  readonly metrics: Metrics
  /** Counts places, from now on with whatever other processes there are. */
  readonly places?: PlaceBook
}

/** What opening needs of the configuration. */
export type MeterOptions = Pick<Settings, 'store' | 'meter'> & { readonly dataDir: string | undefined }

/** A meter that counts. */
export interface OpenMeter {
  readonly meter: Meter
  /** What was used in billing cycles. */
  readonly usage: Pick<UsageBook, 'history' | 'page'>
  /** Writes what is left to the disk and lets go of it. Asking again does nothing. */
  close(this: void): Promise<void>
}

/** Opens the meter of a configuration; without `dataDir` usage is forgotten with the process. Rejects with UsageStoreError. */
export async function openMeter({ store, meter: rules, dataDir }: MeterOptions, deps: MeterDeps): Promise<OpenMeter> {
  const shown = storeMetrics(deps.metrics)
  const usage = openUsage(dataDir, deps)
  const { meter, close } = store.kind === 'memory' ? openMemory(usage, deps) : await openShared(store, rules, { ...deps, shown, usage })
  return {
    meter,
    usage,
    close: async () => {
      await close()
      usage.close()
    },
  }
}

/** Opens the book of usage, in a directory or in nothing. Throws UsageStoreError. */
export function openUsage(dataDir: string | undefined, { now, log, metrics }: MeterDeps): UsageBook {
  const failing = metrics.gauge(
    'tollgate_usage_store_failing',
    '1 while usage of billing cycles cannot be written to data_dir and is counted in memory only.',
    [],
    'max',
  )()
  return new UsageBook({
    store: dataDir === undefined ? UsageStore.inMemory() : UsageStore.open(dataDir),
    now,
    onStore(error) {
      failing.value = error === undefined ? 0 : 1
      if (error === undefined) log.info({}, 'usage is written to the disk again')
      else log.error({ err: error }, 'usage cannot be written to the disk: counting in memory and trying again')
    },
    onLost: (budgets) => log.error({ budgets }, 'usage since the disk failed is lost'),
  })
}

const openShared: typeof openRedis = async (...args) => (await import('./open-redis.ts')).openRedis(...args)

function openMemory(usage: UsageBook, { now }: MeterDeps): { meter: Meter; close: () => Promise<void> } {
  const meter = new MemoryMeter(now, usage)
  const forgetting = setInterval(() => meter.forget(), FORGET_MS).unref()
  return { meter, close: async () => clearInterval(forgetting) }
}
