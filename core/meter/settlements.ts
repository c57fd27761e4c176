/**
 * What was spent and what is given back, told to the store in the background: a few times a second, many budgets at
 * once, and never waited for. What is not known to have been told is told again, under the same number, so that it
 * counts once. Nothing is dropped but what is said of windows that have passed.
 */
import type { CounterHandle } from '../plugin/metrics.ts'
import type { Account } from './account.ts'
import type { StoreClock } from './store-clock.ts'
import type { BudgetSource, Return } from './source.ts'

/** Long enough to gather, short beside any window: so much may a killed process leave untold. */
const SETTLE_MS = 50
/** Budgets that are told of at once, so that a store is not held up for longer than a millisecond. */
const MAX_RETURNS = 100

interface Parcel {
  readonly id: number
  readonly accounts: readonly Account[]
  readonly returns: readonly Return[]
}

/** What goes to one group, one parcel after the other. */
interface Line {
  waiting: Account[]
  parcel: Parcel | undefined
  isSending: boolean
}

export class Settlements {
  /** Accounts that have something to tell; they put themselves here. */
  readonly dirty: Account[] = []
  readonly #source: BudgetSource
  readonly #clock: StoreClock
  readonly #lines = new Map<string, Line>()
  readonly #unsettled: CounterHandle
  readonly #timer: NodeJS.Timeout
  #id = 0

  /** `unsettled` shows how many budgets there is something to tell of. */
  constructor(source: BudgetSource, clock: StoreClock, unsettled: CounterHandle) {
    this.#source = source
    this.#clock = clock
    this.#unsettled = unsettled
    this.#timer = setInterval(() => this.flush(), SETTLE_MS).unref()
  }

  /** How many budgets there is something to tell of. */
  get backlog(): number {
    let backlog = this.dirty.length
    for (const { waiting, parcel } of this.#lines.values()) backlog += waiting.length + (parcel?.accounts.length ?? 0)
    return backlog
  }

  /** Tells what there is to tell, or forgets what matters to nobody any more while it cannot be told. */
  flush(): void {
    for (const account of this.dirty.splice(0)) this.#lineOf(account).waiting.push(account)
    this.#clock.read()
    for (const [group, line] of this.#lines) {
      if (this.#source.isAway) line.waiting = line.waiting.filter((account) => account.prune(this.#clock))
      else this.#tell(line)
      if (line.waiting.length === 0 && line.parcel === undefined) this.#lines.delete(group)
    }
    this.#unsettled.value = this.backlog
  }

  /** Tells all there is to tell; answers whether that is known to have been told within some milliseconds. */
  async close(withinMs: number): Promise<boolean> {
    clearInterval(this.#timer)
    const until = performance.now() + withinMs
    for (this.flush(); this.backlog > 0 && !this.#source.isAway && performance.now() < until; this.flush()) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return this.backlog === 0
  }

  #lineOf({ of }: Account): Line {
    const group = this.#source.groupOf(of)
    let line = this.#lines.get(group)
    if (line === undefined) this.#lines.set(group, (line = { waiting: [], parcel: undefined, isSending: false }))
    return line
  }

  /** One parcel after the other, until one is not known to have been told: that one again with the next flush. */
  #tell(line: Line): void {
    if (line.isSending || (line.parcel === undefined && line.waiting.length === 0)) return
    const { id, accounts, returns } = (line.parcel ??= this.#pack(line.waiting))
    line.isSending = true
    this.#source.give(id, returns, (standings) => {
      line.isSending = false
      if (standings === undefined) return
      line.parcel = undefined
      for (const [at, account] of accounts.entries()) account.told(returns[at]!, standings[at]!)
      this.#tell(line)
    })
  }

  #pack(waiting: Account[]): Parcel {
    const accounts = waiting.splice(0, MAX_RETURNS)
    return { id: ++this.#id, accounts, returns: accounts.map((account) => account.drain()) }
  }
}
