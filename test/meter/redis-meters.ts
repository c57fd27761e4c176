/** Meters on a real Redis, each as a process of its own would have it. */
import { setTimeout as delay } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { openRedis } from '../../core/meter/open-redis.ts'
import { UsageBook } from '../../core/meter/usage.ts'
import { UsageStore } from '../../core/meter/usage-store.ts'
import { storeMetrics } from '../../core/meter/store-metrics.ts'
import { createMetrics } from '../../core/observe/metrics.ts'
import type { MeterSettings } from '../../core/config/snapshot.ts'
import type { RedisSpec } from '../../core/meter/redis-client.ts'
import type { Meter } from '../../core/pipeline/ports.ts'
import type { Draw } from '../../core/plugin/budget.ts'

export const SETTINGS: MeterSettings = {
  lease: 'auto',
  leaseShare: 0.05,
  storeTimeoutMs: 50,
  onStoreFailure: { windows: 'local', cycles: 'local' },
  overdraft: 0.01,
}

/** Waits for as long as a busy machine may take: for tests of what is counted, not of how long it takes. */
export const PATIENT: Partial<MeterSettings> = { storeTimeoutMs: 5000 }

export interface RedisMeterOptions extends Partial<MeterSettings> {
  /** This machine's clock. */
  readonly now?: () => number
  /** In place of Redis's own. */
  readonly storeNow?: () => number
  readonly usage?: UsageBook
}

export interface OpenedMeter {
  readonly meter: Meter
  readonly usage: UsageBook
  readonly lines: string[]
  /** Draws once; answers whether it was taken. */
  take(this: void, draw: Draw): Promise<boolean>
  /** The value of a metric: of all its series, or of the one with these labels as they are written. */
  metric(this: void, name: string, labels?: string): Promise<number>
  /** Resolves once the store has been told everything. */
  settled(this: void): Promise<void>
  close(this: void): Promise<void>
}

export async function openMeterOn(spec: RedisSpec, { now = Date.now, storeNow, usage: own, ...settings }: RedisMeterOptions = {}): Promise<OpenedMeter> {
  const lines: string[] = []
  const log = (level: string) => (_fields: unknown, message: string) => void lines.push(`${level} ${message}`)
  const usage = own ?? new UsageBook({ store: UsageStore.inMemory(), now, onStore: () => undefined })
  const metrics = createMetrics()
  const { meter, ledger, close } = await openRedis(
    spec,
    { ...SETTINGS, ...settings },
    { usage, now, log: { info: log('info'), error: log('error') }, shown: storeMetrics(metrics), ...(storeNow && { storeNow }) },
  )
  const closeAll = async (): Promise<void> => {
    await close()
    usage.close()
  }
  onTestFinished(closeAll)
  return {
    meter,
    usage,
    lines,
    take: async (draw) => (await meter.draw([[draw]], false))[0] === -1,
    metric: async (name, labels) => {
      const series = (await metrics.text())
        .split('\n')
        .filter((line) => (labels === undefined ? line.startsWith(`${name} `) || line.startsWith(`${name}{`) : line.startsWith(`${name}{${labels}}`)))
      return series.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
    },
    settled: async () => {
      for (ledger.settle(); ledger.backlog > 0; ledger.settle()) await delay(1)
    },
    close: closeAll,
  }
}
