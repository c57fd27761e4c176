/** gateway.yaml as JSON Schema, for editors: completion, descriptions, and the mistakes that need no second file to see. */
import { Type } from '../plugin/schema.ts'
import { credentialSchema } from './consumers.ts'
import { entrySchema } from './entries.ts'
import { gatewaySchema } from './schema.ts'
import type { TSchema } from 'typebox'
import type { AnyPlugin } from '../plugin/define.ts'

/** A JSON Schema document. */
export type JsonSchemaDocument = Readonly<Record<string, unknown>>

/** The schema of gateway.yaml with these plugins. */
export function configSchema(catalogue: readonly AnyPlugin[]): JsonSchemaDocument {
  const plugins = [...catalogue].sort((a, b) => (a.name < b.name ? -1 : 1))
  const definitions: Record<string, TSchema> = {}
  const define = (name: string, schema: TSchema): TSchema => {
    definitions[name] = schema
    return Type.Unsafe({ $ref: `#/$defs/${name}`, default: {} })
  }
  const entries: Record<string, TSchema> = {}
  const ofConsumer: Record<string, TSchema> = {}
  for (const plugin of plugins) {
    const credential = credentialSchema(plugin)
    const entry = define(plugin.name, entrySchema(plugin))
    entries[plugin.name] = Type.Optional(entry)
    ofConsumer[plugin.name] = Type.Optional(credential === undefined ? entry : define(`${plugin.name}-credential`, credential))
  }
  const shape = gatewaySchema(define('plugins', Type.Object(entries)), define('consumer-plugins', Type.Object(ofConsumer)))
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'gateway.yaml of Tollgate',
    ...closed(shape as AnySchema),
    $defs: closedAll(definitions),
  }
}

interface AnySchema {
  readonly type?: string
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, AnySchema>>
  readonly patternProperties?: Readonly<Record<string, AnySchema>>
  readonly additionalProperties?: boolean | AnySchema
  readonly items?: AnySchema
  readonly anyOf?: readonly AnySchema[]
}

/** The schema as it is checked: objects are closed, and a key that has a default may be missing. */
function closed({ required = [], ...schema }: AnySchema): AnySchema {
  const { properties, patternProperties, items, anyOf } = schema
  const needed = required.filter((key) => !('default' in properties![key]!))
  return {
    ...schema,
    ...(needed.length > 0 && { required: needed }),
    ...(properties && { properties: closedAll(properties), additionalProperties: schema.additionalProperties ?? false }),
    ...(patternProperties && { patternProperties: closedAll(patternProperties) }),
    ...(items && { items: closed(items) }),
    ...(anyOf && { anyOf: anyOf.map(closed) }),
  }
}

function closedAll(schemas: Readonly<Record<string, AnySchema>>): Record<string, AnySchema> {
  return Object.fromEntries(Object.entries(schemas).map(([key, schema]) => [key, closed(schema)]))
}
