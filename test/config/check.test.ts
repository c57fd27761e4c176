import { Type } from 'typebox'
import { Value } from 'typebox/value'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkOf } from '../../core/config/check.ts'
import type { TSchema } from 'typebox'

/** What a check says of a value, and the value with its defaults. */
function judge(schema: TSchema, value: unknown): { said: string[]; value: unknown } {
  const said: string[] = []
  const finder = {
    path: [] as (string | number)[],
    found: (message: string, hint?: string) => void said.push(`${finder.path.join('.')}: ${message}${hint === undefined ? '' : ` (${hint})`}`),
    unknownKey: (hint: string | undefined) => finder.found('unknown key', hint),
  }
  return { value: checkOf(schema)(value, finder), said }
}

const said = (schema: TSchema, value: unknown): string[] => judge(schema, value).said

describe('a check says what is wrong in words', () => {
  test.for<[string, TSchema, unknown, string]>([
    ['a string', Type.String(), 7, ': must be a string (quote it)'],
    ['an empty string', Type.String({ minLength: 1 }), '', ': must not be empty'],
    ['a short string', Type.String({ minLength: 3 }), 'ab', ': must have at least 3 characters'],
    ['a long string', Type.String({ maxLength: 3 }), 'abcd', ': must have at most 3 characters'],
    ['a pattern', Type.String({ pattern: '^a' }), 'b', ': must match ^a'],
    ['a pattern in words', Type.String({ pattern: '^a', patternErrorMessage: 'must begin with a' }), 'b', ': must begin with a'],
    ['a pattern in words, of a number', Type.String({ pattern: '^a', patternErrorMessage: 'must begin with a' }), 5, ': must begin with a'],
    ['an integer', Type.Integer(), 1.5, ': must be an integer'],
    ['a quoted integer', Type.Integer(), '15', ': must be an integer (remove the quotes)'],
    ['a number', Type.Number(), Number.NaN, ': must be a number'],
    ['a minimum', Type.Integer({ minimum: 1 }), 0, ': must be >= 1'],
    ['a maximum', Type.Integer({ maximum: 1 }), 2, ': must be <= 1'],
    ['an exclusive minimum', Type.Number({ exclusiveMinimum: 0 }), 0, ': must be > 0'],
    ['an exclusive maximum', Type.Number({ exclusiveMaximum: 1 }), 1, ': must be < 1'],
    ['a multiple', Type.Integer({ multipleOf: 5 }), 7, ': must be a multiple of 5'],
    ['a boolean', Type.Boolean(), 'true', ': must be true or false'],
    ['null', Type.Null(), 0, ': must be null'],
    ['a list', Type.Array(Type.String()), 'a', ': must be a list'],
    ['an item', Type.Array(Type.Object({ a: Type.Integer() })), [{ a: 1 }, { a: 'x' }], '1.a: must be an integer'],
    ['an empty list', Type.Array(Type.String(), { minItems: 1 }), [], ': must not be empty'],
    ['a long list', Type.Array(Type.String(), { maxItems: 1 }), ['a', 'b'], ': must have at most 1 items'],
    ['a list with an item twice', Type.Array(Type.String(), { uniqueItems: true }), ['a', 'b', 'a'], '2: stands twice'],
    ['a mapping', Type.Object({}), [], ': must be a mapping'],
    ['nothing for a mapping', Type.Object({}), null, ': must be a mapping (write {} for an empty one)'],
    ['an empty mapping', Type.Object({ a: Type.Optional(Type.String()) }, { minProperties: 1 }), {}, ': must not be empty'],
    ['a missing key', Type.Object({ a: Type.String() }), {}, 'a: is missing'],
    ['an unknown key', Type.Object({ time_window: Type.Optional(Type.String()) }), { 'time-windw': 1 }, 'time-windw: unknown key (did you mean time_window?)'],
    ['an unknown key far from all', Type.Object({ one: Type.Optional(Type.String()) }), { seventeen: 1 }, 'seventeen: unknown key (known: one)'],
    ['a value of a record', Type.Record(Type.String(), Type.Integer()), { a: 1, b: 'x' }, 'b: must be an integer'],
    ['a choice', Type.Enum(['drop', 'delay']), 'drpo', ': must be one of drop, delay (did you mean drop?)'],
    ['a literal', Type.Literal('all'), 'none', ': must be all'],
    ['one of literals', Type.Union([Type.Literal('a'), Type.Literal(2)]), 'c', ': must be one of a, 2 (did you mean a?)'],
    ['one of several kinds', Type.Union([Type.Integer(), Type.Array(Type.Integer())]), 'x', ': must be an integer or a list'],
    ['the kind that was meant', Type.Union([Type.Integer({ minimum: 1 }), Type.Array(Type.Integer())]), [1, 'x'], '1: must be an integer'],
    [
      'the nearest of two mappings',
      Type.Union([Type.Object({ a: Type.Integer(), b: Type.Integer() }), Type.Object({ c: Type.Integer() })]),
      { a: 1 },
      'b: is missing',
    ],
  ])('%s', ([, schema, value, expected]) => {
    expect(said(schema, value)).toEqual([expected])
  })

  test('all of it at once', () => {
    const schema = Type.Object({ a: Type.Integer(), b: Type.Array(Type.String()), c: Type.Object({ d: Type.Boolean() }) })
    expect(said(schema, { a: 'x', b: [1, 'y', 2], c: { e: 1 }, f: 1 })).toHaveLength(6)
  })
})

describe('defaults', () => {
  const schema = Type.Object({
    plain: Type.Integer({ default: 3 }),
    optional: Type.Optional(Type.Integer()),
    inner: Type.Object({ list: Type.Array(Type.String(), { default: [] }) }, { default: {} }),
    either: Type.Union([Type.Integer(), Type.Object({ weight: Type.Integer({ default: 1 }) })], { default: 1 }),
  })

  test('are filled in, within each other too', () => {
    expect(judge(schema, { either: {} }).value).toEqual({ plain: 3, inner: { list: [] }, either: { weight: 1 } })
  })

  test('are not shared by those who get them', () => {
    const [one, other] = [judge(schema, {}).value, judge(schema, {}).value] as { inner: { list: string[] } }[]
    one!.inner.list.push('x')
    expect(other!.inner.list).toEqual([])
  })

  test('do not stand in for what is null', () => {
    expect(said(schema, { plain: null })).toEqual(['plain: must be an integer'])
  })
})

test('a schema keyword that is not understood is refused, not passed over', () => {
  expect(() => checkOf(Type.Unsafe({ type: 'string', format: 'email' }))).toThrow('keyword format')
  expect(() => checkOf(Type.Intersect([Type.Object({}), Type.Object({})]))).toThrow('keyword allOf')
  expect(() => checkOf(Type.Unsafe({ type: 'date' }))).toThrow('type date')
})

test('a check and typebox agree on what is valid', () => {
  const leaf = fc.oneof(
    fc.record({ minimum: fc.integer({ min: -3, max: 3 }) }).map((options) => Type.Integer(options)),
    fc.constant(Type.Number({ exclusiveMaximum: 2 })),
    fc.record({ minLength: fc.integer({ min: 0, max: 2 }) }).map((options) => Type.String(options)),
    fc.constant(Type.String({ pattern: '^[ab]' })),
    fc.constantFrom<TSchema>(Type.Boolean(), Type.Null(), Type.Unknown(), Type.Enum(['a', 'b']), Type.Literal(1)),
  )
  const { schema } = fc.letrec<{ schema: TSchema }>((tie) => ({
    schema: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      leaf,
      tie('schema').map((items) => Type.Array(items, { maxItems: 2, uniqueItems: true })),
      tie('schema').map((values) => Type.Record(Type.String(), values, { minProperties: 1 })),
      fc.tuple(tie('schema'), tie('schema')).map((branches) => Type.Union(branches)),
      fc.tuple(tie('schema'), tie('schema')).map(([a, b]) => Type.Object({ a, b: Type.Optional(b) }, { additionalProperties: false })),
    ),
  }))
  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3, depthSize: 'small' },
      fc.constantFrom<unknown>(null, true, 0, 1, 2, 1.5, -2, '', 'a', 'b', 'abc'),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom('a', 'b', 'c'), tie('value'), { maxKeys: 3 }),
    ),
  })).value
  fc.assert(
    fc.property(schema, value, (schema, value) => {
      expect(said(schema, structuredClone(value)).length === 0).toBe(Value.Check(schema, value))
    }),
    { numRuns: 3000 },
  )
})
