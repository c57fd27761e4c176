import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { checkOf } from '../../core/config/check.ts'
import { Type } from '../../core/plugin/schema.ts'
import { plugins } from '../../plugins/index.ts'
import type { TSchema } from 'typebox'

const folder = new URL('../../plugins/', import.meta.url)
const files = readdirSync(folder)
  .filter((name) => name.endsWith('.ts') && name !== 'index.ts')
  .toSorted()

type Schema = TSchema & { readonly description?: string; readonly default?: unknown }

const closed = (config: Readonly<Record<string, Schema>>) => Type.Object(config) as TSchema

/** What is wrong with a value, as sentences. */
function problemsOf(schema: TSchema, value: unknown): string[] {
  const problems: string[] = []
  const path: (string | number)[] = []
  const found = (message: string): void => void problems.push(`${path.join('.')}: ${message}`)
  checkOf(schema)(structuredClone(value), { path, found, unknownKey: () => found('unknown key') })
  return problems
}

test('the catalogue lists every file of plugins/, in the order of their names', () => {
  expect(plugins.map((plugin) => `${plugin.name}.ts`)).toEqual(files)
})

test('no two plugins have the same priority', () => {
  expect(new Set(plugins.map((plugin) => plugin.priority)).size).toBe(plugins.length)
})

describe.each(plugins.map((plugin) => [plugin.name, plugin] as const))('%s', (name, plugin) => {
  test('is a plain word and one sentence', () => {
    expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/)
    expect(plugin.summary).toMatch(/^[A-Z][^\n]{10,120}\.$/)
    expect(Number.isInteger(plugin.priority)).toBe(true)
  })

  const config = plugin.config as Readonly<Record<string, Schema>>

  test('says of each key what it means, as a sentence', () => {
    expect(Object.keys(config).filter((key) => !/^[^a-z].*\.$/.test(config[key]!.description ?? ''))).toEqual([])
  })

  test('takes its own defaults', () => {
    const withDefault = Object.entries(config).filter(([, schema]) => schema.default !== undefined)
    expect(withDefault.flatMap(([key, schema]) => problemsOf(closed({ [key]: schema }), { [key]: schema.default }))).toEqual([])
  })

  test('has examples, and all of them are valid', () => {
    expect(plugin.examples.length).toBeGreaterThan(0)
    expect(plugin.examples.flatMap((example) => problemsOf(closed(config), example))).toEqual([])
  })

  test('keeps the secrets of its credentials among their keys', () => {
    const { schema = {}, secrets = [] } = plugin.credential ?? {}
    for (const secret of secrets) expect(Object.keys(schema as object)).toContain(secret)
  })
})
