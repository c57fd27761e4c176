/** Consumers: who pays, with which credentials, and which plugins they bring. Read in slices, because there may be a million. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Type } from '../plugin/schema.ts'
import { entrySchema, findPlugin } from './entries.ts'
import { isMapping } from './draft.ts'
import { judge } from './judge.ts'
import { nearestHint } from './nearest.ts'
import { within } from './plugin-work.ts'
import { ConsumerSchema } from './schema.ts'
import { toConsumer } from './settings.ts'
import type { TSchema } from 'typebox'
import type { AnyPlugin, Credential, CredentialReport } from '../plugin/define.ts'
import type { Consumer, Plan } from '../plugin/slots.ts'
import type { Document } from './document.ts'
import type { PluginEntries } from './draft.ts'
import type { Path, Problems } from './problem.ts'
import type { ConsumerYaml } from './schema.ts'

type AnyCredential = Credential<Readonly<Record<string, unknown>>>

/** What is known of consumers. Of the disabled ones nothing is: to the outside their keys are like keys that never were. */
export interface Registry {
  readonly consumers: ReadonlyMap<string, Consumer>
  /** Usernames of those that are disabled here. */
  readonly disabled: readonly string[]
  /** By plugin: the credentials, and the position of each one's consumer. */
  readonly credentials: ReadonlyMap<string, { readonly list: readonly AnyCredential[]; readonly at: readonly number[] }>
  /** Plugins that consumers bring, by username. */
  readonly own: readonly (readonly [username: string, PluginEntries])[]
}

interface Context {
  readonly catalogue: ReadonlyMap<string, AnyPlugin>
  readonly document: Document
  readonly problems: Problems
  readonly plans: ReadonlyMap<string, Plan>
  /** Ids of all plans, of those with problems too. */
  readonly planIds: ReadonlySet<string>
  /** Usernames of those that are disabled elsewhere. */
  readonly revoked: ReadonlySet<string>
  readonly pluginTimeoutMs: number
}

/** Work goes on for so long before others have a turn: a call should not notice a reload. */
const SLICE_MS = 5

const schemas = new WeakMap<AnyPlugin, TSchema>()

/** The schema of a plugin's credential; undefined where it has none. */
export function credentialSchema(plugin: AnyPlugin): TSchema | undefined {
  let schema = schemas.get(plugin)
  if (schema === undefined && plugin.credential !== undefined) {
    schema = Type.Object({ ...plugin.credential.schema }, { description: `A credential for ${plugin.name}.` })
    schemas.set(plugin, schema)
  }
  return schema
}

/** Checks and collects all consumers. */
export async function readConsumers(items: readonly unknown[], context: Context): Promise<Registry> {
  const reader = new ConsumerReader(context)
  let until = performance.now() + SLICE_MS
  for (const [at, item] of items.entries()) {
    reader.read(item, at)
    if (performance.now() < until) continue
    await nextTurn()
    until = performance.now() + SLICE_MS
  }
  return reader
}

class ConsumerReader implements Registry {
  readonly consumers = new Map<string, Consumer>()
  readonly disabled: string[] = []
  readonly credentials = new Map<string, { list: AnyCredential[]; at: number[] }>()
  readonly own: (readonly [string, PluginEntries])[] = []
  private readonly usernames = new Set<string>()
  private readonly context: Context

  constructor(context: Context) {
    this.context = context
  }

  read(item: unknown, at: number): void {
    const { document, problems, plans, planIds, revoked } = this.context
    const path = ['consumers', at]
    const isSound = judge(ConsumerSchema, item, { in: document, path }, problems).length === 0
    if (!isSound) {
      if (isMapping(item) && isMapping(item['plugins'])) this.readPlugins(item['plugins'], [...path, 'plugins'], undefined, at)
      return
    }
    const yaml = item as ConsumerYaml
    if (yaml.plan !== undefined && !planIds.has(yaml.plan))
      problems.add('error', document, [...path, 'plan'], `no plan has the id ${yaml.plan}`, nearestHint(yaml.plan, planIds))
    if (this.usernames.has(yaml.username)) problems.add('error', document, [...path, 'username'], `another consumer has the username ${yaml.username}`)
    this.usernames.add(yaml.username)
    const consumer = toConsumer(yaml, yaml.plan === undefined ? undefined : plans.get(yaml.plan))
    if (yaml.disabled) this.disabled.push(yaml.username)
    const isOut = yaml.disabled || revoked.has(yaml.username)
    if (!isOut) this.consumers.set(yaml.username, consumer)
    this.readPlugins(yaml.plugins, [...path, 'plugins'], isOut ? undefined : consumer, at)
  }

  /** Without a consumer the entries are only checked. */
  private readPlugins(entries: Readonly<Record<string, unknown>>, path: Path, consumer: Consumer | undefined, at: number): void {
    const { document, problems } = this.context
    const overrides: Record<string, unknown> = {}
    for (const [name, config] of Object.entries(entries)) {
      const entryPath = [...path, name]
      const plugin = findPlugin(name, entryPath, this.context)
      if (plugin === undefined) continue
      const schema = credentialSchema(plugin)
      if (schema === undefined && consumer !== undefined) overrides[name] = config
      else {
        const isSound = judge(schema ?? entrySchema(plugin), config, { in: document, path: entryPath }, problems).length === 0
        if (isSound && consumer !== undefined) this.addCredential(name, { consumer, config: config as Readonly<Record<string, unknown>> }, at)
      }
    }
    if (consumer !== undefined && Object.keys(overrides).length > 0) this.own.push([consumer.username, { at, id: consumer.username, path, entries: overrides }])
  }

  private addCredential(plugin: string, credential: AnyCredential, at: number): void {
    let known = this.credentials.get(plugin)
    if (known === undefined) this.credentials.set(plugin, (known = { list: [], at: [] }))
    known.list.push(credential)
    known.at.push(at)
  }
}

/** Builds each plugin's index of credentials. */
export async function buildIndexes({ credentials }: Registry, { catalogue, document, problems, pluginTimeoutMs }: Context): Promise<Map<string, unknown>> {
  const indexes = new Map<string, unknown>()
  for (const plugin of catalogue.values()) {
    if (plugin.credential === undefined) continue
    const { list, at } = credentials.get(plugin.name) ?? { list: [], at: [] }
    try {
      const report: CredentialReport = (position, message, hint) =>
        problems.add('error', document, ['consumers', at[position] ?? 0, 'plugins', plugin.name], message, hint)
      indexes.set(plugin.name, await within<unknown>(pluginTimeoutMs, plugin.credential.index(list, report)))
    } catch (error) {
      problems.add('error', document, ['consumers'], `${plugin.name} cannot index the credentials: ${(error as Error).message}`)
    }
  }
  return indexes
}
