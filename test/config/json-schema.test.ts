import { readFileSync } from 'node:fs'
import { Check } from 'typebox/schema'
import { describe, expect, test } from 'vitest'
import { readText } from '../../core/config/document.ts'
import { configSchema } from '../../core/config/json-schema.ts'
import { plugins } from '../../plugins/index.ts'
import { fixtures } from './fixtures.ts'

const valueOf = (text: string): unknown => readText('f.yaml', text, {}).value

describe('the schema for editors', () => {
  const schema = configSchema(fixtures)
  const isValid = (text: string): boolean => Check(schema, valueOf(text))

  test.for<[string, boolean]>([
    ['{}', true],
    ['listen: 127.0.0.1:80', true],
    ['listn: 127.0.0.1:80', false],
    ['routes: [{ id: a, uris: [/a], upstream_id: b, plugins: { limit: {} } }]', true],
    ['routes: [{ id: a, uris: [/a], upstream_id: b, plugins: { limit: { time_window: 0 } } }]', false],
    ['routes: [{ id: a, uris: [/a], upstream_id: b, plugins: { limit: { _meta: { disable: true } } } }]', true],
    ['routes: [{ id: a, uris: [/a], upstream_id: b, plugins: { limt: {} } }]', false],
    ['routes: [{ id: a, uris: [/a] }]', false],
    ['consumers: [{ username: a, plugins: { keys: { key: abcd }, limit: { burst: 1 } } }]', true],
    ['consumers: [{ username: a, plugins: { keys: { header: x } } }]', false],
    ['plugin_configs: [{ id: a, plugins: { keys: { key: abcd } } }]', false],
  ])('%s: %s', ([text, expected]) => {
    expect(isValid(text)).toBe(expected)
  })
})

test('the shipped configuration satisfies the schema for editors', () => {
  const text = readFileSync(new URL('../../conf/gateway.yaml', import.meta.url), 'utf8')
  expect(Check(configSchema(plugins), valueOf(text))).toBe(true)
})
