/**
 * The manual, written from what the code declares: the plugins from their schemas, the errors from their table. What
 * it says of a key, a default or a code cannot be out of date.
 */
import { dump } from 'js-yaml'
import { errors } from '../jsonrpc/errors.ts'
import { Duration, Type } from '../plugin/schema.ts'
import type { TSchema } from 'typebox'
import type { ErrorRow } from '../jsonrpc/errors.ts'
import type { AnyPlugin, ConfigSchema } from '../plugin/define.ts'

/** The parts of a JSON Schema that the manual shows. */
interface Schema {
  readonly type?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly patternProperties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
  readonly pattern?: string
  readonly default?: unknown
  readonly description?: string
}

/** The table of plugins, in the order in which a phase asks them. `page` is where their sections are. */
export function pluginTable(catalogue: readonly AnyPlugin[], page: string): string {
  const rows = inOrder(catalogue).map(({ name, priority, summary }) => [`[${name}](${page}#${name})`, String(priority), summary])
  return table(['plugin', 'priority', 'what it does'], rows)
}

/** The table of errors. */
export function errorTable(): string {
  const rows = Object.entries<ErrorRow>(errors).map(([name, row]) => [name, row.code, row.status, row.message, row.from, row.retry].map(String))
  return table(['name', 'code', 'HTTP', 'message', 'whose doing', 'ask again'], rows)
}

/** The page of gateway.yaml: its keys, what they take, and what they mean. */
export function configurationManual(schema: TSchema): string {
  return `# Configuration\n\n${NOTICE}\n\nThe keys of \`gateway.yaml\`. A duration is \`250ms\`, \`2s\`, \`1.5m\`, \`12h\` or \`30d\`.\n\n${keyTable(schema)}\n`
}

/** The page of all plugins: what each does, its keys, its files, its credentials, and configurations that work. */
export function pluginManual(catalogue: readonly AnyPlugin[]): string {
  return ['# Plugins', INTRODUCTION, pluginTable(catalogue, ''), ...inOrder(catalogue).map(pluginSection)].join('\n\n') + '\n'
}

const NOTICE = '<!-- Written from the schemas in the code by `npm run docs`; a test compares. -->'

const INTRODUCTION = `${NOTICE}

Within a phase (open, decode, access, charge, reply, push, log, close) the plugin with the higher priority is asked first;
\`reply\` and \`close\` go in reverse. \`tollgate plan ROUTE\` prints the order of a route. Each entry may also hold \`_meta\`:
\`disable: true\` leaves the plugin out, \`priority\` moves it, \`filter\` limits it to some calls.`

function inOrder(catalogue: readonly AnyPlugin[]): AnyPlugin[] {
  return catalogue.toSorted((a, b) => b.priority - a.priority)
}

function pluginSection({ name, priority, summary, onFault, config, files, credential, examples }: AnyPlugin): string {
  const fault = onFault === 'refuse' ? 'a fault in it refuses the call' : 'a fault in it is passed over'
  const parts = [`## ${name}`, `${summary} Priority ${priority}; ${fault}. Source: [${name}.ts](${name}.ts)`]
  parts.push(Object.keys(config as ConfigSchema).length === 0 ? 'It has no keys.' : keyTable(Type.Object(config as ConfigSchema)))
  for (const [key, schema] of Object.entries<TSchema>(files ?? {})) parts.push(`The file that \`${key}\` names:`, keyTable(schema))
  if (credential !== undefined) {
    parts.push(`A consumer's credential, under \`consumers[].plugins.${name}\`:`, keyTable(Type.Object(credential.schema as ConfigSchema)))
  }
  const yaml = examples.map((example) => dump({ [name]: example }, { lineWidth: 120 })).join('\n')
  return [...parts, `\`\`\`yaml\n${yaml}\`\`\``].join('\n\n')
}

/** A table of every key of an object's schema and of the objects in it. */
function keyTable(schema: Schema): string {
  const rows: string[][] = []
  addKeys(rows, schema, '')
  return table(['key', 'value', 'default', 'what it means'], rows)
}

function addKeys(rows: string[][], { properties = {}, patternProperties = {}, required = [] }: Schema, prefix: string): void {
  for (const [key, value] of Object.entries(properties)) {
    const fallback = value.default === undefined ? (required.includes(key) ? '**required**' : '') : code(value.default)
    addKey(rows, value, `${prefix}${key}`, fallback)
  }
  for (const value of Object.values(patternProperties)) addKey(rows, value, `${prefix}NAME`, '')
}

/** The row of a key, and those of the object that its value is, or lists, or may be. */
function addKey(rows: string[][], value: Schema, path: string, fallback: string): void {
  rows.push([code(path), valueText(value), fallback, value.description ?? ''])
  let inner = value
  while (inner.items !== undefined) {
    inner = inner.items
    path += '[]'
  }
  for (const one of [inner, ...(inner.anyOf ?? [])]) addKeys(rows, one, `${path}.`)
}

const DURATION_PATTERN = (Duration({ description: '' }) as Schema).pattern

/** What a value may be, in words. */
function valueText(schema: Schema): string {
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(valueText))].join(' or ')
  if (schema.enum !== undefined) return schema.enum.map(code).join(' or ')
  if (schema.const !== undefined) return code(schema.const)
  if (schema.items !== undefined) return `list of ${valueText(schema.items)}`
  if (schema.pattern !== undefined && schema.pattern === DURATION_PATTERN) return 'duration'
  if (schema.type === 'object') return 'mapping'
  return `${schema.type ?? 'anything'}${rangeText(schema)}`
}

function rangeText({ minimum, exclusiveMinimum, maximum }: Schema): string {
  if (minimum !== undefined && maximum !== undefined) return ` ${minimum}..${maximum}`
  if (exclusiveMinimum !== undefined) return ` > ${exclusiveMinimum}${maximum === undefined ? '' : `, <= ${maximum}`}`
  if (minimum !== undefined) return ` >= ${minimum}`
  return maximum === undefined ? '' : ` <= ${maximum}`
}

function code(value: unknown): string {
  return `\`${typeof value === 'string' && value !== '' ? value : JSON.stringify(value)}\``
}

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n')
}
