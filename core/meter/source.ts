/**
 * Budgets that several processes share, and the port to what holds them: a Redis, or the primary of some workers.
 *
 * A process takes a slice of a budget ahead and spends it by itself. What it holds counts against the limit for all
 * others, so together they never spend more than the limit; others may be refused what somebody holds and does not
 * spend. What was spent is told in the background, and moves from what is held to what is counted. What is held comes free
 * by itself at the end of the term after the one in which it was taken: so does what a process that was killed held, or
 * what it was granted by an answer that it never heard. Nobody spends of it in the last TELL_MS before.
 */
import type { Window } from '../plugin/budget.ts'

/** Long beside the time between a spend and its being told, short beside the patience of a client who is refused. */
export const TERM_MS = 1000
/** What was spent is known to the store after so long, with a second and third attempt where the first was not answered. */
export const TELL_MS = 250
/** Of what is left beyond the calls that wait, at most one part in so many is granted ahead: room for other processes. */
export const AHEAD_PART = 8

/** Which budget: the plugin's word, whose, and how it forgets. */
export interface BudgetName {
  readonly budget: string
  readonly key: string
  readonly window: Window
}

/**
 * What a process knows of a cycle's usage, in units, so that a store that lost it learns it from whoever knows most. The
 * incarnation is that of the record of which it was told, below zero where a connection has broken since; 0 where nobody
 * told it, and it was read from the disk. Of a window nothing needs to be known.
 */
export interface Known {
  readonly incarnation: number
  readonly units: number
}

/** What a process wants of one budget. Amounts in units (units.ts). */
export interface Ask {
  readonly of: BudgetName
  readonly known: Known
  /** Infinity only records. */
  readonly limit: number
  /** For calls that wait: granted as far as there is room. */
  readonly need: number
  /** For calls to come. */
  readonly ahead: number
}

/** How a budget stands, by the clock of its store. */
export interface Standing {
  /** Epoch milliseconds. */
  readonly atMs: number
  /** The window, counted from the epoch; of a cycle the incarnation of its record. */
  readonly epoch: number
  /** What is counted in the window or cycle, without what is held. */
  readonly current: number
  /** And in the window before. */
  readonly previous: number
  /** What all processes hold and have not told of. */
  readonly held: number
}

/** What a process may spend. */
export interface Grant {
  readonly units: number
  readonly term: number
  readonly standing: Standing
}

/** What a process tells of one budget. */
export interface Return {
  readonly of: BudgetName
  readonly known: Known
  /** What was spent in which window; below zero where it came back. */
  readonly spent: readonly Tally[]
  /** What of a term's grants is no longer held. */
  readonly freed: readonly Tally[]
}

/** An amount, and the window or the term that it belongs to. */
type Tally = readonly [at: number, units: number]

/** What holds budgets. Its answers are heard in the order in which it gave them. */
export interface BudgetSource {
  /** Asking is in vain for now: nobody should wait for it. */
  readonly isAway: boolean
  /** How many processes share the budgets, as far as is known. */
  readonly processes: number
  /** How often a connection broke: what is said afterwards may be older than what was said before. */
  readonly breaks: number
  /**
   * Grants what there is of each ask, each in one atomic step. `hear` is called once for each, with its position: with
   * undefined where it could not be asked. It may be called at once.
   */
  take(asks: readonly Ask[], hear: (position: number, grant: Grant | undefined) => void): void
  /**
   * Tells what was spent and what is no longer held. The same `id` counts once, however often it is told; within a group
   * ids rise. `hear` is called once, with how the budgets stand, or with undefined where they are not known to have been
   * told, and are to be told again.
   */
  give(id: number, returns: readonly Return[], hear: (standings: readonly Standing[] | undefined) => void): void
  /** Returns of one group may be told together. */
  groupOf(of: BudgetName): string
}
