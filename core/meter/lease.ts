/**
 * The meter of a process that takes slices of shared budgets ahead (source.ts) and draws from them by itself: at once,
 * while what it holds does. A frame for which it does not waits for one answer of the store, with all others of its
 * turn of the loop. While the store is away each process serves its own share.
 *
 * How far processes may be off: together they never serve more than a limit while the store answers. They may refuse a
 * call although what others hold would do for it: of each budget every other process holds at most `leaseShare` of the
 * limit, only as much as it spent of late in LEASE_MS, and gives it back when it has not been touched for as long.
 */
import { LEASE_MS } from './account.ts'
import { Row, isAmount } from './row.ts'
import { toUnits } from './units.ts'
import type { Draw } from '../plugin/budget.ts'
import type { CounterHandle } from '../plugin/metrics.ts'
import type { Meter } from '../pipeline/ports.ts'
import type { Account } from './account.ts'
import type { Ledger } from './ledger.ts'
import type { BudgetSource } from './source.ts'

/** Frames, by who drew for them. */
export interface FrameCounts {
  /** By what the process held. */
  readonly lease: CounterHandle
  /** By the store. */
  readonly store: CounterHandle
  /** By the process alone, for the store was away. */
  readonly alone: CounterHandle
}

interface Waiting {
  readonly wants: readonly (readonly Draw[])[]
  readonly together: boolean
  readonly resolve: (verdicts: readonly number[]) => void
}

export class LeasedMeter implements Meter {
  readonly #source: BudgetSource
  readonly #ledger: Ledger
  readonly #monotonicMs: () => number
  readonly #frames: FrameCounts
  readonly #row = new Row<Account>()
  readonly #leasedOf = (draw: Draw): Account => this.#leased(draw)
  /** Accounts that hold a slice, or did when they were last looked at. */
  readonly #holders = new Set<Account>()
  #waiting: Waiting[] = []
  /** Accounts that are to be asked for. */
  #asking: Account[] = []
  #isScheduled = false
  #taking: Promise<void> = Promise.resolve()
  readonly #timer: NodeJS.Timeout

  constructor(source: BudgetSource, ledger: Ledger, monotonicMs: () => number, frames: FrameCounts) {
    this.#source = source
    this.#ledger = ledger
    this.#monotonicMs = monotonicMs
    this.#frames = frames
    this.#timer = setInterval(() => this.#giveBackIdle(), LEASE_MS).unref()
  }

  draw(wants: readonly (readonly Draw[])[], together: boolean): readonly number[] | Promise<readonly number[]> {
    if (this.#source.isAway) return this.#drawAlone(wants, together)
    const nowMs = this.#monotonicMs()
    this.#lay(wants)
    if (this.#isInVain(nowMs)) return this.#drawLeased(wants, together, nowMs)
    return new Promise((resolve) => {
      this.#waiting.push({ wants, together, resolve })
      const { counts, size } = this.#row
      for (let at = 0; at < size; at++) {
        counts[at]!.wait()
        this.#ask(counts[at]!)
      }
    })
  }

  refund(draw: Draw, amount: number): void {
    this.#ledger.refund(draw, amount)
  }

  overdraw(draw: Draw, amount: number): void {
    this.#ledger.overdraw(draw, amount)
  }

  /** Gives everything back and tells what was spent; answers whether the store is known to have heard. */
  async close(): Promise<boolean> {
    clearInterval(this.#timer)
    await this.#taking
    for (const account of this.#holders) account.free()
    return this.#ledger.close()
  }

  /** Lays a frame out, and adds up what it wants of each budget. */
  #lay(wants: readonly (readonly Draw[])[]): void {
    this.#ledger.clock.read()
    this.#row.lay(wants, this.#leasedOf)
    const { draws, counts, size } = this.#row
    for (let at = 0; at < size; at++) {
      const account = counts[at]!
      const limit = toUnits(draws[at]!.limit)
      const units = toUnits(draws[at]!.cost)
      account.limit = limit
      if (limit < Infinity) account.isFree = false
      if (isAmount(units) && units <= limit) account.wanted += units
    }
  }

  #leased(draw: Draw): Account {
    const account = this.#ledger.account(draw)
    account.mode = 'leased'
    account.wanted = 0
    account.isFree = true
    return account
  }

  /** Whether asking the store would change nothing: what is held does for the frame, or the store had nothing only just now. */
  #isInVain(nowMs: number): boolean {
    const { counts, size } = this.#row
    for (let at = 0; at < size; at++) if (!counts[at]!.covers(nowMs) && !counts[at]!.isFull(nowMs)) return false
    return true
  }

  /** Draws by what is held, and asks for more in time. */
  #drawLeased(wants: readonly (readonly Draw[])[], together: boolean, nowMs: number): readonly number[] {
    this.#frames.lease.value++
    const verdicts = this.#ledger.finish(this.#row, wants, together)
    const { counts, size } = this.#row
    for (let at = 0; at < size; at++) if (counts[at]!.touch(nowMs)) this.#ask(counts[at]!)
    return verdicts
  }

  #drawAlone(wants: readonly (readonly Draw[])[], together: boolean): readonly number[] {
    this.#frames.alone.value++
    return this.#ledger.drawAlone(wants, together)
  }

  /** Asks for a budget once all sockets of this turn have been read. */
  #ask(account: Account): void {
    if (!account.isAsked) {
      account.isAsked = true
      this.#asking.push(account)
    }
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#taking = new Promise((resolve) => setImmediate(() => void this.#takeAll().then(resolve)))
  }

  async #takeAll(): Promise<void> {
    this.#isScheduled = false
    const askedAt = this.#monotonicMs()
    const frames = this.#waiting
    const accounts = this.#asking
    this.#waiting = []
    this.#asking = []
    const asks = accounts.map((account) => {
      const { of, known, limit, need } = account
      account.need = 0
      account.isAsked = false
      return { of, known, limit, need, ahead: account.ahead(askedAt) }
    })
    const grants = await this.#source.take(asks)
    const nowMs = this.#monotonicMs()
    const lost = new Set<Account>()
    for (const [at, account] of accounts.entries()) {
      const grant = grants[at]
      if (grant === undefined) lost.add(account)
      else account.hold(grant, asks[at]!.need, askedAt, nowMs)
      if (account.left > 0) this.#holders.add(account)
    }
    for (const frame of frames) this.#serve(frame, lost)
  }

  /** Draws for a frame that has waited. */
  #serve({ wants, together, resolve }: Waiting, lost: ReadonlySet<Account>): void {
    this.#lay(wants)
    const { counts, size } = this.#row
    let isLost = false
    for (let at = 0; at < size; at++) {
      if (!lost.has(counts[at]!)) continue
      counts[at]!.mode = 'alone'
      isLost = true
    }
    this.#frames[isLost ? 'alone' : 'store'].value++
    resolve(this.#ledger.finish(this.#row, wants, together))
  }

  #giveBackIdle(): void {
    const nowMs = this.#monotonicMs()
    for (const account of this.#holders) {
      if (account.isIdle(nowMs)) account.free()
      if (account.left <= 0) this.#holders.delete(account)
    }
  }
}
