/**
 * A snapshot: one configuration directory, validated as a whole and compiled. The gateway swaps snapshots as one
 * value; nothing in one ever changes.
 */
import { freeze } from '../plugin/freeze.ts'
import { Assembly } from './assembly.ts'
import { readConsumers } from './consumers.ts'
import { Draft } from './draft.ts'
import { Workshop } from './entries.ts'
import { PLUGIN_TIMEOUT_MS } from './plugin-work.ts'
import { loadPluginsDir } from './plugins-dir.ts'
import { Problems } from './problem.ts'
import { checkReferences } from './references.ts'
import { toPlan, toSettings } from './settings.ts'
import { Sources } from './sources.ts'
import { readUpstreams } from './upstreams.ts'
import type { AnyPlugin, ChainView, PluginInstance, PluginLog } from '../plugin/define.ts'
import type { Metrics } from '../plugin/metrics.ts'
import type { Places } from '../plugin/places.ts'
import type { Call } from '../plugin/session.ts'
import type { Plan } from '../plugin/slots.ts'
import type { UpstreamSpec } from '../upstream/spec.ts'
import type { Document } from './document.ts'
import type { Problem } from './problem.ts'
import type { Consumers } from './register.ts'

export { membersFor } from './assembly.ts'
export type { UpstreamSpec } from '../upstream/spec.ts'

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

/** How budgets are drawn on that a store holds for several processes. */
export interface MeterSettings {
  /** `auto` takes slices ahead, `exact` asks for every frame. */
  readonly lease: 'auto' | 'exact'
  /** The largest slice that is held ahead, as a part of the limit. */
  readonly leaseShare: number
  /** How long a frame waits for the store. */
  readonly storeTimeoutMs: number
  /** What is done while the store is away, for windows of seconds and for billing cycles. */
  readonly onStoreFailure: { readonly windows: OnStoreFailure; readonly cycles: OnStoreFailure }
  /** What is served beyond the own share of a cycle while the store is away, as a part of its limit. */
  readonly overdraft: number
}

/** `local` serves the process's own share, `refuse` nothing, `pass` everything. */
export type OnStoreFailure = 'local' | 'refuse' | 'pass'

/** What stands at the top of the configuration. */
export interface Settings {
  /** Processes that serve clients; `auto` is one for each CPU. */
  readonly workers: number | 'auto'
  readonly listen: ListenAddress
  readonly adminListen: ListenAddress
  readonly store: StoreSpec
  readonly meter: MeterSettings
  /** Absolute. */
  readonly dataDir: string
  /** CIDRs. */
  readonly trustedProxies: readonly string[]
  readonly drainTimeoutMs: number
  /** Frames that are worked on at once. */
  readonly maxInFlight: number
  readonly limits: ClientLimits
  readonly log: LogSettings
}

/** What is taken from clients at most. */
interface ClientLimits {
  readonly maxBodyBytes: number
  /** Part of the memory from which on new work is refused. */
  readonly maxMemoryShare: number
  /** Of the event loop. */
  readonly maxLagMs: number
  /** Bytes of bodies and answers in memory; undefined is a quarter of the memory. */
  readonly maxHeldBytes: number | undefined
  readonly maxHeaderBytes: number
  readonly maxHeaders: number
  readonly maxConnections: number
  readonly maxConnectionsPerAddress: number
  readonly headersTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly writeTimeoutMs: number
  readonly keepAliveTimeoutMs: number
  /** Answers under this many bytes are not compressed. */
  readonly compressOverBytes: number
}

interface LogSettings {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent'
  /** Absolute; undefined writes to standard output. */
  readonly file: string | undefined
}

export interface Snapshot {
  readonly generation: number
  readonly settings: Settings
  readonly upstreams: readonly UpstreamSpec[]
  readonly plans: ReadonlyMap<string, Plan>
  /** A disabled consumer is not among them, and neither is one that another gateway has revoked. */
  readonly consumers: Consumers
  /** Usernames of those that the configuration disables. */
  readonly disabled: readonly string[]
  /** By username; only consumers that bring plugins of their own. */
  readonly consumerPlugins: ReadonlyMap<string, ConsumerPlugins>
  readonly routes: readonly CompiledRoute[]
}

/** A file that a snapshot was built from, and what it held then. */
export interface FileVersion {
  /** Absolute. A directory stands for the names in it. */
  readonly path: string
  /** Digest of the content; '' where there was none to read. */
  readonly digest: string
}

/** What the files of a configuration held when it was read, by absolute path, and who was revoked: enough to build the same snapshot again. */
export interface Content {
  /** Consumers that other gateways disable. */
  readonly revoked: readonly string[]
  readonly files: ReadonlyMap<string, FileContent>
  readonly directories: ReadonlyMap<string, readonly DirectoryEntry[]>
}

/** What a file holds, and the digest of that. */
export interface FileContent {
  readonly digest: string
  readonly bytes: Uint8Array
}

export interface DirectoryEntry {
  readonly name: string
  readonly isDirectory: boolean
}

/** What building needs beside the file. */
export interface SnapshotDeps {
  /** The built-in plugins; `plugins_dir` adds to them. */
  readonly catalogue: readonly AnyPlugin[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly generation: number
  /** What the files hold, where they are not to be read. */
  readonly content?: Content
  /** Consumers that other gateways disable; where it is not said, those of the content. */
  readonly revoked?: readonly string[]
  /** The wall clock in epoch milliseconds. */
  now(): number
  /** The log of a plugin, by its name. */
  log(plugin: string): PluginLog
  readonly metrics: Metrics
  /** The chain behind a network, for a plugin of a snapshot of this generation. */
  chain?(network: string, generation: number): ChainView | undefined
  /** Places for a plugin at one place of the configuration; where it is not said, each counts by itself. */
  places?(place: string): Places
  /** How long a plugin may take to be created, and to index credentials; half a minute where it is not said. */
  readonly pluginTimeoutMs?: number
  /** How long a large file may take to be read; five minutes where it is not said. */
  readonly readingTimeoutMs?: number
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
  readonly content: Content
}

/** Builds a snapshot from a gateway.yaml. Never rejects for what stands in a file: what is wrong is listed, all of it at once. */
export async function buildSnapshot(file: string, { content: given, ...deps }: SnapshotDeps): Promise<SnapshotResult> {
  const problems = new Problems()
  const sources = new Sources(file, deps.env, problems, given, deps.readingTimeoutMs)
  const revoked = deps.revoked ?? given?.revoked ?? []
  const snapshot = await assemble(sources, problems, deps, new Set(revoked)).finally(() => sources.close())
  const errors = problems.list('error')
  return {
    snapshot: errors.length > 0 ? undefined : snapshot,
    problems: errors,
    warnings: problems.list('warning'),
    files: sources.versions(),
    content: { ...sources.content, revoked },
  }
}

/** Looks at everything, whatever problems there are. */
async function assemble(sources: Sources, problems: Problems, deps: SnapshotDeps, revoked: ReadonlySet<string>): Promise<Snapshot | undefined> {
  const document = await sources.main('consumers')
  if (document.value === undefined) return undefined
  const draft = new Draft(document, problems)
  const settings = toSettings(draft, sources.directory)
  checkReferences(
    draft,
    (path, message, hint) => problems.add('error', document, path, message, hint),
    (path, message, hint) => problems.add('warning', document, path, message, hint),
  )
  const plugins = [...deps.catalogue, ...(await ownPlugins(draft, document, sources, problems, deps))]
  const catalogue = new Map(plugins.map((plugin) => [plugin.name, plugin]))
  const plans = new Map(draft.items('plans').map(([, yaml]) => [yaml.id, toPlan(yaml)]))
  const { pluginTimeoutMs = PLUGIN_TIMEOUT_MS } = deps
  const context = { catalogue, document, problems, plans, planIds: draft.ids('plans'), revoked, pluginTimeoutMs }
  const registry = await readConsumers(document.apart, context)
  const { consumers, credentials, disabled } = registry
  const trustedProxies = settings?.trustedProxies ?? []
  const workshop = new Workshop({ catalogue, document, sources, problems, deps, trustedProxies, consumers, credentials })
  const assembly = new Assembly(draft, workshop, (path, message) => problems.add('error', document, path, message))
  const routes = await assembly.routes()
  const consumerPlugins = await assembly.consumerPlugins(registry)
  const upstreams = await readUpstreams(draft, document, sources, problems)
  return (
    settings && { generation: deps.generation, settings: freeze(settings), upstreams: freeze(upstreams), plans, consumers, disabled, consumerPlugins, routes }
  )
}

async function ownPlugins(draft: Draft, document: Document, sources: Sources, problems: Problems, deps: SnapshotDeps): Promise<AnyPlugin[]> {
  const directory = draft.top('plugins_dir')
  return directory === undefined ? [] : loadPluginsDir(directory, deps.catalogue, sources, { in: document, path: ['plugins_dir'] }, problems)
}
