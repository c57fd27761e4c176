/**
 * Method patterns, one meaning everywhere: an exact name beats the longest prefix (`trace_*`) beats `*`.
 * In a list, a pattern that starts with `!` denies. Matching is case-sensitive, as methods are.
 */
import { remembered } from './bounded-map.ts'

/** Finds the value of the pattern that fits a method best. */
export interface PatternMap<V> {
  find(method: string): V | undefined
  /** The pattern itself that fits best. */
  pattern(method: string): string | undefined
}

const PATTERN = /^(\*|[^*\s!][^*\s]*\*?)$/

/** What is wrong with a pattern, as a clause; undefined when nothing is. */
export function patternProblem(pattern: string): string | undefined {
  return PATTERN.test(pattern) ? undefined : 'must be a method, a prefix that ends in *, or *'
}

const PLAIN_METHOD = /^[!-~]+$/

/**
 * Whether a method is visible ASCII throughout, as all that nodes document are. Where a list is to keep something out, no
 * wildcard should let another one in: nodes have looked methods up without regard to characters of no width (Nethermind).
 */
export function isPlainMethod(method: string): boolean {
  return PLAIN_METHOD.test(method)
}

/** Compiles patterns and their values. The same pattern twice: the last one counts. */
export function patternMap<V>(entries: Iterable<readonly [pattern: string, value: V]>): PatternMap<V> {
  const exact = new Map<string, readonly [string, V]>()
  const prefixes: (readonly [string, readonly [string, V]])[] = []
  for (const [pattern, value] of entries) {
    const entry = [pattern, value] as const
    if (pattern.endsWith('*')) prefixes.push([pattern.slice(0, -1), entry])
    else exact.set(pattern, entry)
  }
  prefixes.reverse() // the last of two equal ones first; the sort is stable
  prefixes.sort(([a], [b]) => b.length - a.length)
  const byPrefix = remembered((method) => prefixes.find(([prefix]) => method.startsWith(prefix))?.[1])
  const best = prefixes.length === 0 ? (method: string) => exact.get(method) : (method: string) => exact.get(method) ?? byPrefix(method)
  return { find: (method) => best(method)?.[1], pattern: (method) => best(method)?.[0] }
}

/** Compiles a list in which `!pattern` denies: true, false, or undefined where no pattern fits. */
export function methodList(patterns: Iterable<string>): (method: string) => boolean | undefined {
  const map = patternMap([...patterns].map((pattern) => (pattern.startsWith('!') ? ([pattern.slice(1), false] as const) : ([pattern, true] as const))))
  return (method) => map.find(method)
}
