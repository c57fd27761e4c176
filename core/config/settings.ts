/** What gateway.yaml says, checked already, as the rooms want it: absolute paths, milliseconds, quotas as numbers. */
import { resolve } from 'node:path'
import { freeze } from '../plugin/freeze.ts'
import { durationMs } from '../plugin/schema.ts'
import type { Plan } from '../plugin/slots.ts'
import type { Draft } from './draft.ts'
import type { Terms } from './register.ts'
import type { ConsumerYaml, GatewayYaml, PlanYaml, QuotaYaml } from './schema.ts'
import type { ListenAddress, Settings, StoreSpec } from './snapshot.ts'

/** Paths are relative to `directory`, the one that holds the configuration file. Undefined when a part is broken. */
export function toSettings(draft: Draft, directory: string): Settings | undefined {
  const workers = draft.top('workers')
  const listen = draft.top('listen')
  const admin = draft.top('admin')
  const store = draft.top('store')
  const meter = draft.top('meter')
  const dataDir = draft.top('data_dir')
  const trustedProxies = draft.top('trusted_proxies')
  const drainTimeout = draft.top('drain_timeout')
  const log = draft.top('log')
  const limits = draft.top('limits')
  if (!workers || !listen || !admin || !store || !meter || !dataDir || !trustedProxies || !drainTimeout || !log || !limits) return undefined
  return {
    workers,
    listen: toAddress(listen),
    adminListen: toAddress(admin.listen),
    store: toStore(store),
    meter: {
      lease: meter.lease,
      leaseShare: meter.lease_share,
      storeTimeoutMs: durationMs(meter.store_timeout),
      onStoreFailure: meter.on_store_failure,
      overdraft: meter.overdraft,
    },
    dataDir: resolve(directory, dataDir),
    trustedProxies,
    drainTimeoutMs: durationMs(drainTimeout),
    maxInFlight: limits.max_in_flight,
    limits: {
      maxBodyBytes: limits.max_body,
      maxMemoryShare: limits.max_memory,
      maxLagMs: durationMs(limits.max_event_loop_lag),
      maxHeldBytes: limits.max_held,
      maxHeaderBytes: limits.max_headers,
      maxHeaders: limits.max_header_count,
      maxConnections: limits.max_connections,
      maxConnectionsPerAddress: limits.max_connections_per_address,
      headersTimeoutMs: durationMs(limits.headers_timeout),
      requestTimeoutMs: durationMs(limits.request_timeout),
      writeTimeoutMs: durationMs(limits.write_timeout),
      keepAliveTimeoutMs: durationMs(limits.keep_alive_timeout),
      compressOverBytes: limits.compress_over,
    },
    log: { level: log.level, file: log.file === undefined ? undefined : resolve(directory, log.file) },
  }
}

/** `host:port`, `[::1]:port` or `:port`, as its parts. */
export function toAddress(listen: string): ListenAddress {
  const colon = listen.lastIndexOf(':')
  return { host: listen.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(listen.slice(colon + 1)) }
}

function toStore(store: GatewayYaml['store']): StoreSpec {
  if (store === 'memory') return { kind: 'memory' }
  if (typeof store === 'string') return { kind: 'redis', url: store }
  if (Array.isArray(store)) return { kind: 'cluster', urls: store }
  return { kind: 'sentinel', urls: store.sentinels, name: store.name }
}

export function toPlan(yaml: PlanYaml): Plan {
  return freeze({
    id: yaml.id,
    tier: yaml.tier,
    secondsQuota: toQuota(yaml.seconds_quota),
    monthlyQuota: toQuota(yaml.monthly_quota),
    billingDay: yaml.billing_day,
  })
}

export function toTerms(yaml: ConsumerYaml, plan: Plan | undefined): Terms {
  return { plan, secondsQuota: toQuota(yaml.seconds_quota), monthlyQuota: toQuota(yaml.monthly_quota) }
}

function toQuota(quota: QuotaYaml): number | undefined {
  if (quota === undefined) return undefined
  return quota === 'unlimited' || Number(quota) === -1 ? Infinity : Number(quota)
}
