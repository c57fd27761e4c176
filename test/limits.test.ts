/** The page of limits says what is so: names, defaults and words are those of the schemas and of the code. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { gatewaySchema } from '../core/config/schema.ts'
import { Type } from '../core/plugin/schema.ts'
import { plugins } from '../plugins/index.ts'
import type { TSchema } from 'typebox'

interface Row {
  readonly limit: string
  /** The file that a constant stands in, from core/. */
  readonly file: string | undefined
  readonly fallback: string
  /** Whole, as it stands. */
  readonly text: string
}

const page = readFileSync('core/README.md', 'utf8')
const rows: readonly Row[] = Array.from(
  page.matchAll(/^\| (?:`([^`]+)`|\[`([^`]+)`\]\(([^)]+)\)) \| (?:`([^`]*)`)? ?\| .*$/gm),
  ([text, key, name, file, fallback = '']) => ({
    limit: (key ?? name)!,
    file,
    fallback,
    text,
  }),
)

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>
  readonly items?: Schema
  readonly default?: unknown
}

const gateway = gatewaySchema(Type.Object({}), Type.Object({})) as Schema

/** The schema of a key such as `upstreams[].timeout.read`, or `plugin: key`. */
function schemaOf(limit: string): Schema | undefined {
  const [, plugin, key] = /^([\w-]+): (\w+)$/.exec(limit) ?? []
  if (plugin !== undefined) return plugins.find(({ name }) => name === plugin)?.config[key!] as TSchema | undefined
  let schema: Schema | undefined = gateway
  for (const part of limit.split('.')) {
    schema = schema?.properties?.[part.replace('[]', '')]
    if (part.endsWith('[]')) schema = schema?.items
  }
  return schema
}

/** The number that a constant stands for. */
function constant(file: string, name: string): number {
  const source = readFileSync(join('core', file), 'utf8')
  const factors = new RegExp(`^(?:export )?const ${name} = ([\\d_* ]+)$`, 'm').exec(source)?.[1]
  return (factors ?? 'none').split('*').reduce((product, factor) => product * Number(factor.replaceAll('_', '')), 1)
}

test('every limit of the configuration is on the page', () => {
  const listed = new Set(rows.map(({ limit }) => limit))
  const ofPlugin = (name: string): string[] =>
    Object.keys(plugins.find((plugin) => plugin.name === name)!.config)
      .filter((key) => /^max_|_interval$/.test(key))
      .map((key) => `${name}: ${key}`)
  const wanted = [
    ...Object.keys(gateway.properties!['limits']!.properties!).map((key) => `limits.${key}`),
    ...ofPlugin('jsonrpc-var'),
    ...ofPlugin('ws-jsonrpc-proxy'),
  ]
  expect(wanted.filter((key) => !listed.has(key))).toEqual([])
})

test('every constant that bounds what a client may do is on the page', () => {
  const files = execFileSync(
    'git',
    ['ls-files', '--cached', '--others', '--exclude-standard', 'core/transport', 'core/pipeline', 'core/admin', 'core/service.ts'],
    { encoding: 'utf8' },
  )
  const listed = new Set(rows.map(({ limit, file }) => `${file} ${limit}`))
  // Of the language.
  const others = new Set(['transport/limits.ts MAX_TIMER_MS'])
  const found = files
    .split('\n')
    .filter((path) => path.endsWith('.ts'))
    .flatMap((path) =>
      Array.from(
        readFileSync(path, 'utf8').matchAll(/^(?:export )?const ((?:MAX|LINGER)_\w+|\w+_TIMEOUT_MS) = /gm),
        ([, name]) => `${path.slice('core/'.length)} ${name}`,
      ),
    )
  expect(found.filter((one) => !listed.has(one) && !others.has(one))).toEqual([])
})

/** The default as the page writes it; undefined where there is no such limit. */
function fallbackOf({ limit, file }: Row): string | undefined {
  if (file !== undefined) return String(constant(file, limit))
  const schema = schemaOf(limit)
  if (schema === undefined) return undefined
  return typeof schema.default === 'string' ? schema.default : JSON.stringify(schema.default ?? '').replaceAll('"', '')
}

test.each(rows)('$limit has the default that is told', (row) => {
  expect(fallbackOf(row)).toBe(row.fallback)
})

test('the words of refusals are those that are used', () => {
  const source = execFileSync('git', ['grep', '-h', '--untracked', '-o', '-E', "'[a-z-]+'", '--', 'core/*.ts', 'plugins/*.ts'], { encoding: 'utf8' })
  const used = new Set(source.split('\n').map((word) => word.slice(1, -1)))
  const told = rows.flatMap(({ text }) =>
    Array.from(
      text
        .split(' | ')
        .at(-1)!
        .matchAll(/`([a-z-]+)`/g),
      ([, word]) => word!,
    ),
  )
  expect(told.length).toBeGreaterThan(25)
  expect(told.filter((word) => !used.has(word) && word !== 'heap' && word !== 'memory')).toEqual([])
})
