/** Consumers: who pays, with which credentials, and which plugins they bring. Read in slices, because there may be a million. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Type } from '../plugin/schema.ts'
import { CredentialIndexes } from './credential-indexes.ts'
import { entrySchema, findPlugin } from './entries.ts'
import { isMapping } from './draft.ts'
import { judge } from './judge.ts'
import { nearestHint } from './nearest.ts'
import { Register } from './register.ts'
import { ConsumerSchema } from './schema.ts'
import { toTerms } from './settings.ts'
import type { TSchema } from 'typebox'
import type { AnyPlugin } from '../plugin/define.ts'
import type { Plan } from '../plugin/slots.ts'
import type { IndexContext } from './credential-indexes.ts'
import type { Slices } from './document.ts'
import type { PluginEntries } from './draft.ts'
import type { Path } from './problem.ts'
import type { Consumers } from './register.ts'
import type { ConsumerYaml } from './schema.ts'

/** What is known of consumers. Of the disabled ones nothing is: to the outside their keys are like keys that never were. */
export interface Registry {
  readonly consumers: Consumers
  /** By plugin: what its `credential.index` built. */
  readonly credentials: ReadonlyMap<string, unknown>
  /** Usernames of those that are disabled here. */
  readonly disabled: readonly string[]
  /** Plugins that consumers bring, by username. */
  readonly own: readonly (readonly [username: string, PluginEntries])[]
}

interface Context extends IndexContext {
  readonly plans: ReadonlyMap<string, Plan>
  /** Ids of all plans, of those with problems too. */
  readonly planIds: ReadonlySet<string>
  /** Usernames of those that are disabled elsewhere. */
  readonly revoked: ReadonlySet<string>
}

/** Work goes on for so long before others have a turn: a call should not notice a reload. */
const SLICE_MS = 5

/** The number of a consumer whose username is another's: a problem, and so may be the credentials. */
const NOBODY = -1

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

/** Checks and collects all consumers. Keeps nothing of what it is handed. */
export async function readConsumers(slices: Slices, context: Context): Promise<Registry> {
  const reader = new ConsumerReader(context)
  let at = 0
  let until = performance.now() + SLICE_MS
  for await (const slice of slices) {
    for (const item of slice) {
      reader.read(item, at++)
      if (reader.waiting.length > 0) await Promise.all(reader.waiting.splice(0))
      if (performance.now() < until) continue
      await nextTurn()
      until = performance.now() + SLICE_MS
    }
  }
  const { register: consumers, indexes, disabled, own } = reader
  return { consumers, credentials: await indexes.done(), disabled, own }
}

class ConsumerReader {
  readonly register = new Register()
  readonly indexes: CredentialIndexes
  readonly disabled: string[] = []
  readonly own: (readonly [string, PluginEntries])[] = []
  /** What plugins still do with credentials that they were handed. */
  readonly waiting: Promise<void>[] = []
  private readonly context: Context

  constructor(context: Context) {
    this.context = context
    this.indexes = new CredentialIndexes(context)
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
    const { username, plan } = yaml
    if (plan !== undefined && !planIds.has(plan)) problems.add('error', document, [...path, 'plan'], `no plan has the id ${plan}`, nearestHint(plan, planIds))
    if (yaml.disabled) this.disabled.push(username)
    const isOut = yaml.disabled || revoked.has(username)
    const number = this.register.add(username, isOut ? undefined : toTerms(yaml, plan === undefined ? undefined : plans.get(plan)))
    if (number === undefined) problems.add('error', document, [...path, 'username'], `another consumer has the username ${username}`)
    this.readPlugins(yaml.plugins, [...path, 'plugins'], isOut ? undefined : { number: number ?? NOBODY, username }, at)
  }

  /** Without a consumer the entries are only checked. */
  private readPlugins(
    entries: Readonly<Record<string, unknown>>,
    path: Path,
    consumer: { readonly number: number; readonly username: string } | undefined,
    at: number,
  ): void {
    const { document, problems } = this.context
    let overrides: Record<string, unknown> | undefined
    for (const [name, config] of Object.entries(entries)) {
      const entryPath = [...path, name]
      const plugin = findPlugin(name, entryPath, this.context)
      if (plugin === undefined) continue
      const schema = credentialSchema(plugin)
      if (schema === undefined && consumer !== undefined) (overrides ??= {})[name] = config
      else {
        const isSound = judge(schema ?? entrySchema(plugin), config, { in: document, path: entryPath }, problems).length === 0
        const work = isSound && consumer !== undefined ? this.indexes.add(name, { consumer: consumer.number, config }, at) : undefined
        if (work !== undefined) this.waiting.push(work)
      }
    }
    if (consumer !== undefined && overrides !== undefined) this.own.push([consumer.username, { at, id: consumer.username, path, entries: overrides }])
  }
}
