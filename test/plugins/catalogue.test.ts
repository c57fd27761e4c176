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

/** What is wrong with a value, as sentences. */
function problemsOf(schema: TSchema, value: unknown): string[] {
  const problems: string[] = []
  const path: (string | number)[] = []
  checkOf(schema)(structuredClone(value), { path, found: (message) => problems.push(`${path.join('.')}: ${message}`) })
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

  test('says of each key what it means, and what is taken where it is missing', () => {
    const { required = [], properties = {} } = Type.Object(plugin.config as Record<string, TSchema>) as {
      required?: string[]
      properties?: Record<string, object>
    }
    for (const [key, schema] of Object.entries(properties)) {
      expect(schema, key).toHaveProperty('description', expect.stringMatching(/^[^a-z].*\.$/))
      if (!required.includes(key)) continue
      expect(schema, `${key} is optional, or has a default`).toHaveProperty('default')
    }
  })

  test('takes its own defaults', () => {
    for (const [key, schema] of Object.entries(plugin.config as Record<string, TSchema & { default?: unknown }>)) {
      if ('default' in schema) expect(problemsOf(schema, schema.default), key).toEqual([])
    }
  })

  test('has examples, and all of them are valid', () => {
    expect(plugin.examples.length).toBeGreaterThan(0)
    const schema = Type.Object(plugin.config as Record<string, TSchema>)
    for (const example of plugin.examples) expect(problemsOf(schema, example), JSON.stringify(example)).toEqual([])
  })

  test('keeps the secrets of its credentials among their keys', () => {
    const { schema = {}, secrets = [] } = plugin.credential ?? {}
    for (const secret of secrets) expect(Object.keys(schema as object)).toContain(secret)
  })
})
