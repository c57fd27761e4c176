/**
 * A snapshot: one configuration directory, validated as a whole and compiled. The gateway swaps snapshots as one
 * value; nothing in one ever changes.
 */
import type { AnyPlugin, PluginInstance, PluginLog } from '../plugin/define.ts'
import type { Metrics } from '../plugin/metrics.ts'
import type { Call } from '../plugin/session.ts'
import type { Consumer, Plan } from '../plugin/slots.ts'
import type { Problem } from './problem.ts'

/** A plugin at one place of the configuration, created and ready to take its place in a chain. */
export interface ConfiguredPlugin {
  readonly plugin: AnyPlugin
  readonly instance: PluginInstance
  /** The plugin's own, or what `_meta.priority` says. */
  readonly priority: number
  /** Where its configuration stands: `global_rules[0]`, `plugin_configs[1]`, `routes[2]`, `consumers[3]`. */
  readonly source: string
  /** Global rules run in addition to all others; of the others the consumer's replaces the route's, that the bundle's. */
  readonly level: 'global' | 'plugin_config' | 'route' | 'consumer'
  /** `_meta.filter`: the plugin has no say in calls for which this answers false. */
  readonly filter: ((call: Call) => boolean) | undefined
}

/** A route, its plugins merged and created. */
export interface CompiledRoute {
  readonly id: string
  readonly hosts: readonly string[]
  readonly uris: readonly string[]
  /** May hold `{variable}`s that the match binds. */
  readonly upstreamId: string
  readonly onBatchRefusal: 'each' | 'all'
  /** Global rules and the route's own, disabled ones left out, in the order of the configuration. They are a chain without problems. */
  readonly members: readonly ConfiguredPlugin[]
}

/** What a consumer's entry under `plugins` changes on every route. */
export interface ConsumerPlugins {
  /** Names of the plugins whose entry on the route no longer counts: those of `members`, and those that are disabled. */
  readonly replaces: ReadonlySet<string>
  readonly members: readonly ConfiguredPlugin[]
}

/** Where to listen. An empty host is every address; port 0 is any free port. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** Where budgets are counted. */
export type StoreSpec =
  | { readonly kind: 'memory' }
  | { readonly kind: 'redis'; readonly url: string }
  | { readonly kind: 'cluster'; readonly urls: readonly string[] }
  | { readonly kind: 'sentinel'; readonly urls: readonly string[]; readonly name: string }

/** What stands at the top of the configuration. */
export interface Settings {
  readonly listen: ListenAddress
  readonly adminListen: ListenAddress
  readonly store: StoreSpec
  /** Absolute. */
  readonly dataDir: string
  /** CIDRs. */
  readonly trustedProxies: readonly string[]
  readonly drainTimeoutMs: number
  readonly log: LogSettings
}

export interface LogSettings {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** Absolute; undefined writes to standard output. */
  readonly file: string | undefined
}

export interface NodeSpec {
  readonly url: string
  readonly wsUrl: string | undefined
  readonly weight: number
  /** Nodes of a lower priority are used only while none of a higher one is healthy. */
  readonly priority: number
}

export interface UpstreamSpec {
  readonly id: string
  readonly type: 'roundrobin' | 'least_conn' | 'chash' | 'ewma'
  readonly nodes: readonly NodeSpec[]
  readonly connectTimeoutMs: number
  readonly readTimeoutMs: number
  readonly retries: number
  readonly maxAnswerBytes: number
}

export interface Snapshot {
  readonly generation: number
  readonly settings: Settings
  readonly upstreams: readonly UpstreamSpec[]
  readonly plans: ReadonlyMap<string, Plan>
  /** By username. A disabled consumer is not among them. */
  readonly consumers: ReadonlyMap<string, Consumer>
  /** By username; only consumers that bring plugins of their own. */
  readonly consumerPlugins: ReadonlyMap<string, ConsumerPlugins>
  readonly routes: readonly CompiledRoute[]
}

/** The members of a route's chain for a consumer that brings plugins of its own. */
export function membersFor(route: CompiledRoute, own: ConsumerPlugins): ConfiguredPlugin[] {
  return [...route.members.filter((member) => member.level === 'global' || !own.replaces.has(member.plugin.name)), ...own.members]
}

/** A file that a snapshot was built from, and what it held then. */
export interface FileVersion {
  /** Absolute. A directory stands for the names in it. */
  readonly path: string
  /** Digest of the content; '' where there was none to read. */
  readonly digest: string
}

/** What building needs beside the file. */
export interface SnapshotDeps {
  /** The built-in plugins; `plugins_dir` adds to them. */
  readonly catalogue: readonly AnyPlugin[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly generation: number
  /** The wall clock in epoch milliseconds. */
  now(): number
  /** The log of a plugin, by its name. */
  log(plugin: string): PluginLog
  readonly metrics: Metrics
  /** Aborted when the gateway stops: ends what plugins wait for. */
  readonly stop: AbortSignal
}

export interface SnapshotResult {
  /** Undefined when there is any problem. */
  readonly snapshot: Snapshot | undefined
  readonly problems: readonly Problem[]
  readonly warnings: readonly Problem[]
  /** Everything that was read, or would have been: what to watch. */
  readonly files: readonly FileVersion[]
}

/** Builds a snapshot from a gateway.yaml. Never rejects: what is wrong is listed, all of it at once. */
export function buildSnapshot(_file: string, _deps: SnapshotDeps): Promise<SnapshotResult> {
  return Promise.resolve({ snapshot: undefined, problems: [], warnings: [], files: [] })
}
