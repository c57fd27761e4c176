/** Schemas that several plugins and the configuration share. The schema is the manual: every one has a description. */
import { Type } from 'typebox'

export { Type }

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
