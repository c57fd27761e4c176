/**
 * Budgets as Redis knows them: a key for each, and what the scripts are told of it. All budgets of one consumer have one
 * hash tag, so they lie in one slot of a Redis Cluster: `tollgate:{alice}:limit-cu:s1000`.
 */
import { createHash } from 'node:crypto'
import type { BudgetName, Known, Standing } from './source.ts'

/** Longer keys are told apart by their digest. A username has 128 characters at most, a header may have thousands. */
const MAX_TAG = 160

/** What the braces of a hash tag hold: whose budget it is, and nothing else, so that it lies in the same place for all. */
export function tagOf(key: string): string {
  if (key.length > MAX_TAG) return `#${createHash('sha256').update(key).digest('base64url')}`
  if (key === '') return '%'
  return key.search(SPECIAL) === -1 ? key : key.replaceAll(SPECIAL, encodeURIComponent)
}

/** What would end a hash tag, and what stands for it. */
const SPECIAL = /[{}%]/g

/** The key of a budget. */
export function redisKey({ budget, key, window }: BudgetName): string {
  const suffix = window.kind === 'cycle' ? `c${window.id}` : `${window.kind === 'sliding' ? 's' : 'f'}${window.ms}`
  return `tollgate:{${tagOf(key)}}:${budget}:${suffix}`
}

/** What every script is told of a budget: its kind, its length (of a cycle, when it ends), and what is known of a cycle. */
export function describeBudget(args: (string | number)[], { window }: BudgetName, known: Known): void {
  if (window.kind === 'cycle') args.push('c', window.endsAt, known.incarnation, known.units)
  else args.push(window.kind === 'sliding' ? 's' : 'f', window.ms, 0, 0)
}

/** A limit as scripts take it. */
export function limitArgument(limit: number): number {
  return limit === Infinity ? -1 : limit
}

/** How many numbers of an answer say how a budget stands. */
export const STANDING_SIZE = 4

/** Those numbers, from a position on. */
export function standingAt(reply: readonly number[], at: number): Standing {
  return { atMs: reply[0]!, epoch: reply[at]!, current: reply[at + 1]!, previous: reply[at + 2]!, held: reply[at + 3]! }
}
