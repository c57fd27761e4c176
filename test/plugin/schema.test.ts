import { Type as TypeBox } from 'typebox'
import { expect, test } from 'vitest'
import { Type } from '#plugin'
import type { TSchema } from 'typebox'

/** The same schema by either's functions. */
function drawn(type: Pick<typeof TypeBox, keyof typeof Type>): readonly TSchema[] {
  const options = { description: 'What it is for.', default: 1 }
  return [
    type.Null(),
    type.Boolean(options),
    type.Integer({ minimum: 1, ...options }),
    type.Number({ exclusiveMinimum: 0 }),
    type.String({ minLength: 1, pattern: '^a' }),
    type.Literal('a', options),
    type.Literal(1),
    type.Literal(true),
    type.Enum(['a', 2], options),
    type.Union([type.String(), type.Null()], options),
    type.Array(type.Integer(), { uniqueItems: true, minItems: 1 }),
    type.Object({}),
    type.Object({ a: type.String(), b: type.Optional(type.Integer(options)) }, { additionalProperties: false, ...options }),
    type.Object({ a: type.Optional(type.Null()) }),
    type.Record(type.String(), type.Boolean(), { minProperties: 1 }),
    type.Optional(type.Array(type.Optional(type.String()))),
    type.Unknown(options),
    type.Unsafe<Date>({ type: 'string', format: 'date' }),
  ]
}

test('schemas are written as typebox writes them, to the order of their keywords', () => {
  expect(JSON.stringify(drawn(Type as unknown as typeof TypeBox), undefined, 1)).toBe(JSON.stringify(drawn(TypeBox), undefined, 1))
})

test("a member is optional in typebox's objects as it is in ours, and theirs in ours", () => {
  expect(TypeBox.Object({ a: Type.Optional(Type.String()) }).required).toBeUndefined()
  expect(Type.Object({ a: TypeBox.Optional(TypeBox.String()) }).required).toBeUndefined()
})
