/**
 * One shared budget as one process sees it: what its store last said of it, what the process may spend of it by itself,
 * and what it has spent and not told yet. It is held against what it holds (`leased`), or while the store is away
 * against what it may serve on its own account (`alone`).
 */
import { windowCount } from './count.ts'
import { TELL_MS, TERM_MS } from './source.ts'
import type { MeterSettings, OnStoreFailure } from '../config/snapshot.ts'
import type { Moment } from './clock.ts'
import type { ClockWindow, Count, WindowCount } from './count.ts'
import type { Ask, BudgetName, Grant, Known, Return, Standing } from './source.ts'

/** A slice is to last so long at the rate at which the last one was spent; one that nobody touched for so long is given back. */
export const LEASE_MS = 100
/** Spending is measured over this at least: calls that come at once say little about a rate. */
const MIN_SAMPLE_MS = 5
/** For so long after a store had no room, calls are refused without asking again. */
const FULL_MS = 20

/** How much a process may do by itself. */
export type AccountRules = Pick<MeterSettings, 'leaseShare' | 'onStoreFailure' | 'overdraft'>

/** What an account needs of the process that it is part of. */
export interface AccountHolder {
  readonly rules: AccountRules
  /** Among how many processes a budget is shared. */
  readonly processes: number
  /** How often a connection to the store broke. */
  readonly breaks: number
  /** Accounts that have something to tell. */
  readonly dirty: Account[]
}

type Entry = [at: number, units: number]

/** How an account answers a frame: by what it holds, by what the store said, or while that is away by its own share. */
type Mode = 'leased' | 'exact' | 'alone'

export class Account implements Count {
  readonly of: BudgetName
  /** What its store calls it, once that has been worked out. */
  storeKey: string | undefined
  readonly #holder: AccountHolder
  /** What this process spent in the window; of a cycle what all spent, as far as is known. */
  readonly #own: Count
  /** As the store said last; undefined for a cycle. */
  readonly #seen: WindowCount | undefined
  mode: Mode = 'leased'
  /** What the frame at hand wants, and whether it wants it without a limit. Set by whoever lays the frame out. */
  wanted = 0
  isFree = false
  /** What waiting frames want, and the limit they want it under. */
  #need = 0
  limit = 0
  /** What may be spent by itself. Monotonic milliseconds. */
  left = 0
  #term = -1
  #lapsesAt = -Infinity
  #slice = 0
  /** What a frame wanted last. */
  #worth = 0
  #spentOfLate = 0
  #askedAt = -Infinity
  #touchedAt = -Infinity
  #fullUntil = -Infinity
  /** Not told yet. */
  #spent: Entry[] = []
  #freed: Entry[] = []
  /** What was spent and is not known to have been told. */
  #untold = 0
  /** What is held no longer, and not known to have been told. */
  #owed = 0
  #heldByOthers = 0
  #isKnown = false
  #incarnation = 0
  /** Breaks of the connection before it was told so. */
  #toldAfter = 0
  #known = 0
  #isDirty = false

  /** `book` is where usage of a cycle is kept; a window brings none. */
  constructor(of: BudgetName, holder: AccountHolder, book: Count | undefined) {
    this.of = of
    this.#holder = holder
    this.#own = book ?? windowCount(of.window as ClockWindow)
    this.#seen = book === undefined ? windowCount(of.window as ClockWindow) : undefined
    this.#known = book?.counted(NEVER) ?? 0
  }

  // As a count

  get epoch(): number {
    return this.#own.epoch
  }

  roll(now: Moment): void {
    this.#own.roll(now)
    this.#seen?.roll(now)
  }

  counted(now: Moment): number {
    if (this.#seen === undefined || this.mode === 'alone') return this.#own.counted(now)
    return this.#seen.counted(now) + this.#untold + this.#heldByOthers
  }

  fits(units: number, limit: number, now: Moment): boolean {
    return this.mode === 'alone' ? this.#fitsAlone(units, limit, now) : this.isFree || units <= this.left
  }

  add(units: number, epoch: number): void {
    if (units === 0) return
    this.correct(units, epoch)
    if (this.mode === 'alone' || this.isFree) return
    this.left -= units
    this.#spentOfLate += units
    this.#owe(units)
  }

  resetMs(now: Moment): number {
    if (this.#seen === undefined || this.mode === 'alone') return this.#own.resetMs(now)
    return this.#untold > 0 ? Math.max(this.#seen.resetMs(now), this.#own.resetMs(now)) : this.#seen.resetMs(now)
  }

  /** Where only what others hold is in the way, that is soon spent or given back. */
  waitMs(units: number, limit: number, now: Moment): number {
    const waitMs = (this.#seen ?? this.#own).waitMs(units, limit, now)
    return this.mode === 'leased' && waitMs <= 0 ? LEASE_MS : waitMs
  }

  // As a slice

  /** Whether what is held does for the frame at hand. Not before it is known how the budget stands. Lets go of what has lapsed. */
  covers(nowMs: number): boolean {
    if (nowMs >= this.#lapsesAt) this.left = 0
    return this.#isKnown && (this.isFree || this.wanted <= this.left)
  }

  /** Notes what the frame at hand waits for. */
  wait(): void {
    this.#worth = this.wanted
    if (!this.isFree) this.#need += this.wanted
    this.wanted = 0 // it may draw more than once
  }

  /** Whether the store had no room only just now. */
  isFull(nowMs: number): boolean {
    return nowMs < this.#fullUntil
  }

  /** Notes that somebody spends of the slice. Answers whether a new one is due, so that the next frame need not wait for it. */
  touch(nowMs: number): boolean {
    this.#touchedAt = nowMs
    this.#worth = this.wanted
    return !this.isFree && this.#slice > 0 && (this.left < this.#slice / 2 || this.#lapsesAt - nowMs < LEASE_MS)
  }

  /** What to ask for: what frames wait for, and ahead as much as was spent of late in the time that a slice is to last. */
  ask(nowMs: number): Ask {
    const { of, known, limit } = this
    const need = this.#need
    const perMs = this.#spentOfLate / Math.max(MIN_SAMPLE_MS, nowMs - this.#askedAt)
    const slice = Math.floor(Math.min(perMs * LEASE_MS, limit * this.#holder.rules.leaseShare))
    // Less than a frame's worth would lie idle.
    this.#slice = this.isFree || slice < this.#worth ? 0 : slice
    this.#need = this.#spentOfLate = 0
    this.#askedAt = nowMs
    return { of, known, limit, need, ahead: this.#slice }
  }

  /** Takes in what was granted on an ask that was sent at a monotonic moment. Answers whether it is good still. */
  hold({ units, term, standing }: Grant, need: number, askedAt: number, nowMs: number): boolean {
    if (nowMs >= this.#lapsesAt) this.left = 0
    if (units < need) this.#fullUntil = nowMs + FULL_MS
    const lapsesAt = askedAt + (term + 2) * TERM_MS - standing.atMs - TELL_MS
    const isGood = nowMs < lapsesAt
    if (units > 0 && isGood) {
      if (term !== this.#term) this.free()
      this.#term = term
      this.#lapsesAt = lapsesAt
      this.#touchedAt = nowMs
      this.left += units
    }
    this.see(standing)
    return isGood
  }

  /** Whether nobody has spent of the slice for as long as one is to last. */
  isIdle(nowMs: number): boolean {
    return nowMs - this.#touchedAt > LEASE_MS
  }

  /** Gives the slice back. */
  free(): void {
    if (this.left <= 0) return
    this.#owe(this.left)
    this.left = 0
    this.#mark()
  }

  // As an account

  /** Records what was spent or, below zero, came back, to be told to the store. */
  correct(units: number, epoch: number): void {
    if (units === 0) return
    this.#own.add(units, epoch)
    tally(this.#spent, epoch, units)
    this.#untold += units
    this.#mark()
  }

  /** Records what the store itself has counted as spent by this process. */
  drawn(units: number, epoch: number): void {
    if (this.#seen !== undefined) this.#own.add(units, epoch)
  }

  /** Takes in how the budget stands. */
  see({ epoch, current, previous, held }: Standing): void {
    this.#isKnown = true
    this.#heldByOthers = Math.max(0, held - this.left - this.#owed)
    if (this.#seen !== undefined) return this.#seen.become(epoch, current, previous)
    this.#incarnation = epoch
    this.#toldAfter = this.#holder.breaks
    this.#known = current
    this.#own.add(current + this.#untold - this.#own.counted(NEVER), this.#own.epoch)
  }

  get known(): Known {
    return { incarnation: this.#toldAfter === this.#holder.breaks ? this.#incarnation : -this.#incarnation, units: this.#known }
  }

  /** What there is to tell. */
  drain(): Return {
    const { of, known } = this
    const spent = this.#spent
    const freed = this.#freed
    this.#spent = []
    this.#freed = []
    this.#isDirty = false
    return { of, known, spent, freed }
  }

  /**
   * Forgets what is to be told of windows that have passed and of what was held, which has lapsed: for times when nothing
   * can be told. Answers whether there is anything left.
   */
  prune(now: Moment): boolean {
    this.roll(now)
    for (const [epoch, units] of this.#spent) if (!this.#matters(epoch)) this.#untold -= units
    this.#spent = this.#spent.filter(([epoch]) => this.#matters(epoch))
    for (const [, units] of this.#freed) this.#owed -= units
    this.#freed = []
    this.#isDirty = this.#spent.length > 0
    return this.#isDirty
  }

  /** Takes in that something was told, and how the budget stands since. */
  told({ spent, freed }: Return, standing: Standing): void {
    for (const [, units] of spent) this.#untold -= units
    for (const [, units] of freed) this.#owed -= units
    this.see(standing)
  }

  /** Whether a draw that was blocked while the store is away is refused for that, and not because its budget is spent. */
  isCutShort(units: number, limit: number, now: Moment): boolean {
    if (this.mode !== 'alone') return false
    if (this.#policy === 'refuse') return true
    return this.#policy === 'local' && this.#seen === undefined && this.#own.fits(units, limit, now)
  }

  get #policy(): OnStoreFailure {
    const { windows, cycles } = this.#holder.rules.onStoreFailure
    return this.#seen === undefined ? cycles : windows
  }

  /** Each process serves its share: of a window's limit, or of what was left of a cycle, and some more of that. */
  #fitsAlone(units: number, limit: number, now: Moment): boolean {
    const { processes, rules } = this.#holder
    if (this.#policy !== 'local') return this.#policy === 'pass'
    if (this.#seen !== undefined) return this.#own.fits(units, Math.floor(limit / processes), now)
    const share = Math.max(0, limit - this.#known) / processes + rules.overdraft * limit
    return this.#own.fits(units, limit, now) && this.#untold + units <= share
  }

  #matters(epoch: number): boolean {
    return epoch >= this.#own.epoch - 1
  }

  #owe(units: number): void {
    this.#owed += units
    tally(this.#freed, this.#term, units)
  }

  #mark(): void {
    if (this.#isDirty) return
    this.#isDirty = true
    this.#holder.dirty.push(this)
  }
}

/** A moment for counts that do not ask for it. */
const NEVER: Moment = { wallMs: 0, steadyMs: 0 }

/** Adds to the entry of a window or term. There are a handful at most. */
function tally(list: Entry[], at: number, units: number): void {
  for (const entry of list) {
    if (entry[0] === at) {
      entry[1] += units
      return
    }
  }
  list.push([at, units])
}
