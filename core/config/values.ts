/** Schemas of single values that several parts of gateway.yaml have. */
import { Type } from '../plugin/schema.ts'

/** A string that fits a pattern; the pattern in words is what is said of one that does not. */
export const text = (pattern: string, patternErrorMessage: string, description: string, more: object = {}) =>
  Type.String({ pattern, patternErrorMessage, description, ...more })

/** A name that other parts refer to, and that logs and metrics show. */
export const id = (description: string) =>
  text('^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$', 'must be letters, digits, _ . or -, beginning with a letter or digit', description)

/** A size in bytes; required where it has no default. */
export const bytes = (description: string, fallback?: number) =>
  Type.Integer({ minimum: 1, maximum: 2 ** 32, ...(fallback !== undefined && { default: fallback }), description })
