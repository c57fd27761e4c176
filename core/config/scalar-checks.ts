/** Checks of single values, and what every check has in common. */
import { nearestHint } from './nearest.ts'

/** Where a check says what is wrong. */
export interface Finder {
  /** Keys and positions from the top to the value that is being checked. The check changes and restores it. */
  readonly path: (string | number)[]
  found(message: string, hint?: string): void
  /** A key that the schema does not have: wrong, but it does not make the rest of the value unusable. */
  unknownKey(hint: string | undefined): void
}

/** Judges a value and returns it with defaults filled in. Objects and arrays are changed in place. */
export type Check = (value: unknown, finder: Finder) => unknown

/** The keywords that are understood; `patternErrorMessage` is what editors call a pattern in words. */
export interface JsonSchema {
  readonly type?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly JsonSchema[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>
  readonly additionalProperties?: boolean | JsonSchema
  readonly minProperties?: number
  readonly maxProperties?: number
  readonly items?: JsonSchema
  readonly minItems?: number
  readonly maxItems?: number
  readonly uniqueItems?: boolean
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
  readonly multipleOf?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly pattern?: string
  readonly patternErrorMessage?: string
  readonly default?: unknown
}

/** Types in words. */
export const NAMES: Readonly<Record<string, string>> = {
  object: 'a mapping',
  array: 'a list',
  string: 'a string',
  integer: 'an integer',
  number: 'a number',
  boolean: 'true or false',
  null: 'null',
}

/** Whether a value is of a JSON Schema type. */
export function isOf(type: string, value: unknown): boolean {
  switch (type) {
    case 'object':
      return value !== null && typeof value === 'object' && !Array.isArray(value)
    case 'array':
      return Array.isArray(value)
    case 'integer':
      return Number.isInteger(value)
    case 'number':
      return Number.isFinite(value)
    case 'null':
      return value === null
    default:
      return typeof value === type
  }
}

/** A value of a type without further rules. */
export function typed(type: string): Check {
  return (value, finder) => {
    if (!isOf(type, value)) finder.found(`must be ${NAMES[type]}`)
    return value
  }
}

/** A string. */
export function string({ minLength = 0, maxLength = Infinity, pattern, patternErrorMessage }: JsonSchema): Check {
  const regex = pattern === undefined ? undefined : new RegExp(pattern)
  return (value, finder) => {
    if (typeof value !== 'string') {
      const wantsQuotes = patternErrorMessage === undefined && value !== null && typeof value !== 'object'
      finder.found(patternErrorMessage ?? 'must be a string', wantsQuotes ? 'quote it' : undefined)
    } else if (value.length < minLength) finder.found(minLength === 1 ? 'must not be empty' : `must have at least ${minLength} characters`)
    else if (value.length > maxLength) finder.found(`must have at most ${maxLength} characters`)
    else if (regex?.test(value) === false) finder.found(patternErrorMessage ?? `must match ${pattern}`)
    return value
  }
}

/** A number or an integer. */
export function number(schema: JsonSchema): Check {
  const { type = 'number', minimum = -Infinity, maximum = Infinity, exclusiveMinimum = -Infinity, exclusiveMaximum = Infinity, multipleOf } = schema
  return (value, finder) => {
    if (!isOf(type, value)) {
      const isQuoted = typeof value === 'string' && value.trim() !== '' && isOf(type, Number(value))
      finder.found(`must be ${NAMES[type]}`, isQuoted ? 'remove the quotes' : undefined)
      return value
    }
    const amount = value as number
    if (amount < minimum) finder.found(`must be >= ${minimum}`)
    else if (amount > maximum) finder.found(`must be <= ${maximum}`)
    else if (amount <= exclusiveMinimum && exclusiveMinimum !== -Infinity) finder.found(`must be > ${exclusiveMinimum}`)
    else if (amount >= exclusiveMaximum && exclusiveMaximum !== Infinity) finder.found(`must be < ${exclusiveMaximum}`)
    else if (multipleOf !== undefined && amount % multipleOf !== 0) finder.found(`must be a multiple of ${multipleOf}`)
    return value
  }
}

/** One of some constants. */
export function choice(allowed: readonly unknown[]): Check {
  const message = allowed.length === 1 ? `must be ${show(allowed[0])}` : `must be one of ${allowed.map(show).join(', ')}`
  const words = allowed.filter((word) => typeof word === 'string')
  return (value, finder) => {
    if (!allowed.includes(value)) {
      const hint = typeof value === 'string' ? nearestHint(value, words) : undefined
      finder.found(message, hint?.startsWith('did') ? hint : undefined)
    }
    return value
  }
}

/** A constant as people write it. */
export function show(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
