/** The manuals are what the schemas say. `npm run docs` writes them anew. */
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { configurationManual, pluginManual } from '../../core/config/manual.ts'
import { gatewaySchema } from '../../core/config/schema.ts'
import { Type } from '../../core/plugin/schema.ts'
import { plugins } from '../../plugins/index.ts'

const pathOf = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url))

test('plugins/README.md is the manual of the plugins', async () => {
  await expect(pluginManual(plugins)).toMatchFileSnapshot(pathOf('plugins/README.md'))
})

test('conf/README.md is the manual of gateway.yaml', async () => {
  const routePlugins = Type.Object({}, { default: {}, description: 'Plugins by name, see [the plugins](../plugins/README.md).' })
  const consumerPlugins = Type.Object({}, { default: {}, description: 'Credentials, and plugins that replace those of a route for this consumer.' })
  await expect(configurationManual(gatewaySchema(routePlugins, consumerPlugins))).toMatchFileSnapshot(pathOf('conf/README.md'))
})

test('a table cell cannot be broken by a bar or a line break', () => {
  const manual = configurationManual(Type.Object({ key: Type.String({ description: 'either | or\nso', default: 'a|b' }) }))
  expect(manual).toContain('| `key` | string | `a\\|b` | either \\| or so |')
})

test('objects, lists of objects and mappings are opened up', () => {
  const inner = Type.Object({ url: Type.String({ description: 'Where.' }) })
  const manual = configurationManual(
    Type.Object({
      one: Type.Optional(inner),
      many: Type.Array(Type.Array(inner)),
      named: Type.Record(Type.String(), Type.Integer({ minimum: 1 })),
      either: Type.Union([Type.Literal('auto'), Type.Integer({ minimum: 1, maximum: 9 }), inner]),
    }),
  )
  const cells = manual
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.split(' | ').slice(0, 3).join(' | '))
  expect(cells).toEqual([
    '| `one` | mapping | ',
    '| `one.url` | string | **required**',
    '| `many` | list of list of mapping | **required**',
    '| `many[][].url` | string | **required**',
    '| `named` | mapping | **required**',
    '| `named.NAME` | integer >= 1 | ',
    '| `either` | `auto` or integer 1..9 or mapping | **required**',
    '| `either.url` | string | **required**',
  ])
})
