/** Schemas that plugins and the configuration are declared with. The schema is the manual: every one has a description. */
import type {
  Static,
  TArray,
  TArrayOptions,
  TBoolean,
  TEnum,
  TEnumValue,
  TInteger,
  TLiteral,
  TLiteralValue,
  TNull,
  TNumber,
  TNumberOptions,
  TObject,
  TObjectOptions,
  TOptional,
  TProperties,
  TRecord,
  TSchema,
  TSchemaOptions,
  TString,
  TStringKey,
  TStringOptions,
  TUnion,
  TUnknown,
  TUnsafe,
} from 'typebox'

export type { Static }

/**
 * The kinds of schema that the configuration's check knows, made and typed as typebox does. Its own functions come with
 * those of a whole language of types: 373 modules, and 140 ms of every start (measured 2026-11 on two cores).
 */
export const Type = {
  Null: (options?: TSchemaOptions) => schema<TNull>({ type: 'null' }, options),
  Boolean: (options?: TSchemaOptions) => schema<TBoolean>({ type: 'boolean' }, options),
  Integer: (options?: TNumberOptions) => schema<TInteger>({ type: 'integer' }, options),
  Number: (options?: TNumberOptions) => schema<TNumber>({ type: 'number' }, options),
  String: (options?: TStringOptions) => schema<TString>({ type: 'string' }, options),
  Literal: <V extends TLiteralValue>(value: V, options?: TSchemaOptions) => schema<TLiteral<V>>({ type: typeof value, const: value }, options),
  Enum: <V extends TEnumValue[]>(values: readonly [...V], options?: TSchemaOptions) => schema<TEnum<V>>({ enum: values }, options),
  Union: <S extends TSchema[]>(anyOf: [...S], options?: TSchemaOptions) => schema<TUnion<S>>({ anyOf }, options),
  Array: <S extends TSchema>(items: S, options?: TArrayOptions) => schema<TArray<S>>({ type: 'array', items }, options),
  Object: <P extends TProperties>(properties: P, options?: TObjectOptions) =>
    schema<TObject<P>>({ type: 'object', ...required(properties), properties }, options),
  Record: <S extends TSchema>(_keys: TString, values: S, options?: TObjectOptions) =>
    schema<TRecord<TStringKey, S>>({ type: 'object', patternProperties: { '^.*$': values } }, options),
  Unknown: (options?: TSchemaOptions) => schema<TUnknown>({}, options),
  /** A schema of which only the type is told. */
  Unsafe: <T>(keywords: TSchema) => schema<TUnsafe<T>>(keywords),
  /** A member that may be missing. */
  Optional: <S extends TSchema>(member: S) => Object.defineProperty({ ...member }, OPTIONAL, { value: true }) as TOptional<S>,
}

/** What typebox calls it. Hidden, because it is no keyword of JSON Schema. */
const OPTIONAL = '~optional'

function schema<S extends TSchema>(keywords: TSchema, options?: TSchemaOptions): S {
  return { ...keywords, ...options } as S
}

function required(properties: TProperties): { readonly required?: readonly string[] } {
  const names = Object.keys(properties).filter((name) => !(OPTIONAL in properties[name]!))
  return names.length === 0 ? {} : { required: names }
}

const DURATION = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/
const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** A duration such as `250ms`, `2s`, `1.5m`, `12h`, `30d`. */
export function Duration(options: { description: string; default?: string }) {
  return Type.String({ pattern: DURATION.source, patternErrorMessage: 'must be a duration such as 250ms, 2s, 1.5m or 12h', ...options })
}

/** A duration's milliseconds. Throws RangeError on what `Duration` would not admit. */
export function durationMs(text: string): number {
  const match = DURATION.exec(text)
  if (match === null) throw new RangeError(`not a duration: ${text}`)
  return Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS]
}
