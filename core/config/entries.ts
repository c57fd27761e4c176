/** The plugins of one place of the configuration: checked against their schemas, their files read, created. */
import { setTimeout as sleep } from 'node:timers/promises'
import { freeze } from '../plugin/freeze.ts'
import { OwnPlaces } from '../plugin/places.ts'
import { Type } from '../plugin/schema.ts'
import { isMapping } from './draft.ts'
import { judge } from './judge.ts'
import { Meta, compileFilter, filterProblems } from './meta.ts'
import { nearestHint } from './nearest.ts'
import { PLUGIN_TIMEOUT_MS, asInstance, within } from './plugin-work.ts'
import type { TSchema } from 'typebox'
import type { AnyPlugin, Fact, Host, PluginFile } from '../plugin/define.ts'
import type { Document } from './document.ts'
import type { PluginEntries } from './draft.ts'
import type { MetaYaml } from './meta.ts'
import type { Path, Problems } from './problem.ts'
import type { Consumers } from './register.ts'
import type { ConfiguredPlugin, SnapshotDeps } from './snapshot.ts'
import type { Sources } from './sources.ts'

/** A plugin that was created, with what it wants to tell others and to hear of them. */
export interface Created extends ConfiguredPlugin {
  readonly path: Path
  readonly told: (readonly [Fact<unknown>, unknown])[]
  readonly heard: (readonly [Fact<unknown>, (value: unknown) => void])[]
}

/** What became of one place's plugins. */
export interface ConfiguredPlace {
  /** All names that the place configures: whatever stood under them before counts no more. */
  readonly names: ReadonlySet<string>
  readonly members: readonly Created[]
  /** False when one that should be among the members could not be created. */
  readonly isComplete: boolean
}

/** What plugins are made from. */
export interface Materials {
  readonly catalogue: ReadonlyMap<string, AnyPlugin>
  readonly document: Document
  readonly sources: Sources
  readonly problems: Problems
  readonly deps: SnapshotDeps
  readonly trustedProxies: readonly string[]
  readonly consumers: Consumers
  /** By plugin: what its `credential` built. */
  readonly credentials: ReadonlyMap<string, unknown>
}

const schemas = new WeakMap<AnyPlugin, TSchema>()

/** The schema of a plugin's entry: its own keys and `_meta`. */
export function entrySchema(plugin: AnyPlugin): TSchema {
  let schema = schemas.get(plugin)
  if (schema === undefined) schemas.set(plugin, (schema = Type.Object({ ...plugin.config, _meta: Type.Optional(Meta) }, { description: plugin.summary })))
  return schema
}

/** Finds a plugin; one that nobody knows is a problem. */
export function findPlugin(
  name: string,
  path: Path,
  { catalogue, document, problems }: Pick<Materials, 'catalogue' | 'document' | 'problems'>,
): AnyPlugin | undefined {
  const plugin = catalogue.get(name)
  if (plugin === undefined) problems.add('error', document, path, 'unknown plugin', nearestHint(name, catalogue.keys()))
  return plugin
}

/** Makes plugins. */
export class Workshop {
  private readonly materials: Materials
  private readonly files = new Map<string, Promise<PluginFile | undefined>>()

  constructor(materials: Materials) {
    this.materials = materials
  }

  /** Creates all plugins of a place but those that are disabled or have problems. */
  async configure({ at, id, path, entries }: PluginEntries, level: ConfiguredPlugin['level']): Promise<ConfiguredPlace> {
    const members: Created[] = []
    let isComplete = true
    for (const [name, entry] of Object.entries(entries)) {
      const entryPath = [...path, name]
      const plugin = findPlugin(name, entryPath, this.materials)
      const config = plugin === undefined ? undefined : this.checked(plugin, entry, entryPath)
      if (config?.meta.disable) continue
      const created =
        plugin && config && (await this.create(plugin, config, entryPath, level, { source: `${path[0]}[${at}]`, place: `${path[0]} ${id} ${name}` }))
      if (created === undefined) isComplete = false
      else members.push(created)
    }
    return { names: new Set(Object.keys(entries)), members, isComplete }
  }

  private checked(plugin: AnyPlugin, entry: unknown, path: Path): { config: Record<string, unknown>; meta: MetaYaml } | undefined {
    const { document, problems } = this.materials
    try {
      if (judge(entrySchema(plugin), entry, { in: document, path }, problems).length > 0 || !isMapping(entry)) return undefined
    } catch (error) {
      problems.add('error', document, path, `the plugin's schema cannot be used: ${(error as Error).message}`)
      return undefined
    }
    const { _meta: meta = { disable: false }, ...config } = entry as Record<string, unknown> & { _meta?: MetaYaml }
    for (const [at, problem] of filterProblems(meta.filter ?? {})) problems.add('error', document, [...path, '_meta', 'filter', 'methods', at], problem)
    return { config: freeze(config), meta }
  }

  private async create(
    plugin: AnyPlugin,
    { config, meta }: { config: Record<string, unknown>; meta: MetaYaml },
    path: Path,
    level: ConfiguredPlugin['level'],
    { source, place }: { readonly source: string; readonly place: string },
  ): Promise<Created | undefined> {
    const { document, problems, credentials, deps } = this.materials
    if (plugin.credential !== undefined && !credentials.has(plugin.name)) return undefined
    const files = await this.filesOf(plugin, config, path)
    if (files === undefined) return undefined
    const told: [Fact<unknown>, unknown][] = []
    const heard: [Fact<unknown>, (value: unknown) => void][] = []
    const host = this.host(plugin, path, place, files, {
      tell: (fact, value) => void told.push([fact, value]),
      hear: (fact, use) => void heard.push([fact, use as (value: unknown) => void]),
    })
    try {
      const instance = asInstance(await within(deps.pluginTimeoutMs ?? PLUGIN_TIMEOUT_MS, plugin.create(config, host)))
      const { filter } = meta
      if (filter !== undefined && !instance.access && !instance.charge && !instance.reply)
        problems.add('error', document, [...path, '_meta', 'filter'], `has no effect: ${plugin.name} does not judge single calls`)
      return {
        plugin,
        instance,
        priority: meta.priority ?? plugin.priority,
        source,
        level,
        filter: filter && compileFilter(filter),
        path,
        told,
        heard,
      }
    } catch (error) {
      problems.add('error', document, path, `cannot be created: ${(error as Error).message}`)
      return undefined
    }
  }

  private host(
    plugin: AnyPlugin,
    path: Path,
    place: string,
    files: Record<string, PluginFile>,
    facts: Pick<Host, 'tell' | 'hear'>,
  ): Host<Record<string, PluginFile>, unknown> {
    const { document, problems, deps, trustedProxies, consumers, credentials } = this.materials
    return {
      ...facts,
      now: () => deps.now(),
      delay: (ms) => delay(ms, deps.stop),
      log: deps.log(plugin.name),
      metrics: deps.metrics,
      files,
      credentials: credentials.get(plugin.name),
      trustedProxies,
      consumer: (which) => consumers.get(which),
      chain: (network) => deps.chain?.(network, deps.generation),
      places: () => deps.places?.(place) ?? new OwnPlaces(),
      report: (severity, inside, message, hint) => problems.add(severity, document, [...path, ...inside], message, hint),
    }
  }

  /** The files that a configuration names, by key; undefined when one of them has problems. */
  private async filesOf(plugin: AnyPlugin, config: Readonly<Record<string, unknown>>, path: Path): Promise<Record<string, PluginFile> | undefined> {
    const files: Record<string, PluginFile> = {}
    let isComplete = true
    for (const [key, schema] of Object.entries((plugin.files ?? {}) as Record<string, TSchema>)) {
      const name = config[key]
      if (typeof name !== 'string') continue
      const identity = JSON.stringify([plugin.name, key, name])
      let file = this.files.get(identity)
      if (file === undefined) this.files.set(identity, (file = this.loadFile(name, schema, [...path, key])))
      const loaded = await file
      if (loaded === undefined) isComplete = false
      else files[key] = loaded
    }
    return isComplete ? files : undefined
  }

  private async loadFile(name: string, schema: TSchema, path: Path): Promise<PluginFile | undefined> {
    const { document, sources, problems } = this.materials
    const file = await sources.document(name, { in: document, path })
    if (file.value === undefined || judge(schema, file.value, { in: file, path: [] }, problems).length > 0) return undefined
    return { value: freeze(file.value), report: (severity, inside, message, hint) => problems.add(severity, file, inside, message, hint) }
  }
}

/** The longest that a timer can be set to. */
const MAX_TIMER_MS = 2 ** 31 - 1

async function delay(ms: number, stop: AbortSignal): Promise<void> {
  try {
    await sleep(Math.min(ms, MAX_TIMER_MS), undefined, { signal: stop, ref: false })
  } catch {
    // The gateway stops: nobody waits for anything any more.
  }
}
