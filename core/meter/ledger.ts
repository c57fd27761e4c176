/**
 * What one process keeps of budgets that it shares with others: an account for each, how to count while the store is
 * away, and what comes back or turns out dearer. The meters that draw on shared budgets have this in common.
 */
import { Account } from './account.ts'
import { Row, isAmount } from './row.ts'
import { Settlements } from './settlements.ts'
import { Shelves } from './shelves.ts'
import { toCu, toUnits } from './units.ts'
import type { Draw } from '../plugin/budget.ts'
import type { CounterHandle } from '../plugin/metrics.ts'
import type { AccountHolder, AccountRules } from './account.ts'
import type { StoreClock } from './store-clock.ts'
import type { BudgetSource } from './source.ts'
import type { UsageBook } from './usage.ts'

/** Keys of one budget and window that are remembered at once, some 800 bytes each. Beyond, the least recently used are forgotten early. */
const MAX_KEYS = 100_000
/** How long a stop waits until all is told. */
const CLOSE_MS = 1000

/** What a meter of shared budgets needs of its surroundings. */
export interface LedgerOptions {
  readonly source: BudgetSource
  /** The copy of usage on this machine. */
  readonly usage: UsageBook
  readonly rules: AccountRules
  readonly clock: StoreClock
  /** Shows how many budgets there is something to tell of. */
  readonly unsettled: CounterHandle
}

export class Ledger implements AccountHolder {
  readonly rules: AccountRules
  readonly clock: StoreClock
  readonly #source: BudgetSource
  readonly #usage: UsageBook
  readonly #settlements: Settlements
  readonly #accounts = new Shelves<Account>(MAX_KEYS)
  readonly #row = new Row<Account>()
  readonly #aloneOf = (draw: Draw): Account => this.alone(draw)

  constructor({ source, usage, rules, clock, unsettled }: LedgerOptions) {
    this.rules = rules
    this.clock = clock
    this.#source = source
    this.#usage = usage
    this.#settlements = new Settlements(source, clock, unsettled)
  }

  get dirty(): Account[] {
    return this.#settlements.dirty
  }

  get processes(): number {
    return this.#source.processes
  }

  get breaks(): number {
    return this.#source.breaks
  }

  /** How many budgets there is something to tell the store of. */
  get backlog(): number {
    return this.#settlements.backlog
  }

  /** The account of a draw's budget, at the clock's last reading. */
  account({ budget, key, window }: Draw): Account {
    const { steadyMs } = this.clock
    let account = this.#accounts.get(budget, key, window, steadyMs)
    if (account === undefined) {
      const book = window.kind === 'cycle' ? this.#usage.count(budget, key, window.id, window.endsAt) : undefined
      this.#accounts.set(budget, key, window, (account = new Account({ budget, key, window }, this, book)), steadyMs)
    }
    account.roll(this.clock)
    return account
  }

  /** The same, to be held against what this process may serve while the store is away. */
  alone(draw: Draw): Account {
    const account = this.account(draw)
    account.mode = 'alone'
    return account
  }

  /** Draws for a frame without the store. */
  drawAlone(wants: readonly (readonly Draw[])[], together: boolean): readonly number[] {
    this.clock.read()
    this.#row.lay(wants, this.#aloneOf)
    return this.finish(this.#row, wants, together)
  }

  /** Takes the draws of a frame that was laid out, and tells them how they stand. */
  finish(row: Row<Account>, wants: readonly (readonly Draw[])[], together: boolean): readonly number[] {
    const verdicts = row.take(wants, together, this.clock)
    row.report(wants, verdicts, together, this.clock)
    for (let at = 0; at < row.size; at++) {
      const draw = row.draws[at]!
      draw.isUncounted = draw.retryAfterMs > 0 && row.counts[at]!.isCutShort(toUnits(draw.cost), toUnits(draw.limit), this.clock)
    }
    return verdicts
  }

  refund(draw: Draw, amount: number): void {
    const held = toUnits(draw.held)
    const units = Math.min(held, toUnits(amount))
    if (!(units > 0)) return
    draw.held = toCu(held - units)
    this.clock.read()
    this.account(draw).correct(-units, draw.epoch)
  }

  overdraw(draw: Draw, amount: number): void {
    const units = toUnits(amount)
    if (!isAmount(units)) return
    draw.held = toCu(toUnits(draw.held) + units)
    this.clock.read()
    this.account(draw).correct(units, draw.epoch)
  }

  /** Forgets keys whose window has passed. Drawing does so too; this is for quiet times. */
  forget(): void {
    this.#accounts.forget(this.clock.read().steadyMs)
  }

  /** Tells the store what there is to tell, without waiting for it. */
  settle(): void {
    this.#settlements.flush()
  }

  /** Tells the store all that is left; answers whether it is known to have heard. */
  close(): Promise<boolean> {
    return this.#settlements.close(CLOSE_MS)
  }
}
