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
import type { Meter } from '../pipeline/ports.ts'
import type { Account } from './account.ts'
import type { Ledger } from './ledger.ts'
import type { BudgetSource } from './source.ts'
import type { FrameCounts } from './store-metrics.ts'

/** What no frame waits for is asked for together with what else comes up in so long: half a slice, which is left then, lasts twice as long. */
const TOGETHER_MS = 25

interface Waiting {
  readonly wants: readonly (readonly Draw[])[]
  readonly together: boolean
  readonly resolve: (verdicts: readonly number[]) => void
  /** Budgets of which the store has not said yet. */
  open: number
  /** Those of which it did not say. */
  readonly lost: Set<Account>
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
  /** Accounts that are to be asked for, and the frames that wait for each. */
  #asking = new Map<Account, Waiting[]>()
  #isUrgent = false
  #later: NodeJS.Timeout | undefined
  /** Accounts that were asked for and not heard of. */
  #unheard = 0
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
    return new Promise((resolve) => this.#wait({ wants, together, resolve, open: 0, lost: new Set() }))
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
    while (this.#asking.size > 0 || this.#unheard > 0) await new Promise((resolve) => setTimeout(resolve, 5))
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
    for (let at = 0; at < size; at++) if (counts[at]!.touch(nowMs)) this.#askAhead(counts[at]!)
    return verdicts
  }

  #drawAlone(wants: readonly (readonly Draw[])[], together: boolean): readonly number[] {
    this.#frames.alone.value++
    return this.#ledger.drawAlone(wants, together)
  }

  /** Lets the frame at hand wait for all its budgets. */
  #wait(frame: Waiting): void {
    const { counts, size } = this.#row
    for (let at = 0; at < size; at++) {
      const frames = this.#ask(counts[at]!)
      counts[at]!.wait()
      if (frames.at(-1) === frame) continue // it draws on it more than once
      frames.push(frame)
      frame.open++
    }
  }

  /** Asks for a budget once all sockets of this turn have been read. Answers with the frames that wait for it. */
  #ask(account: Account): Waiting[] {
    if (!this.#isUrgent) {
      this.#isUrgent = true
      setImmediate(() => this.#takeAll())
    }
    return this.#asked(account)
  }

  /** Asks for a budget for which nobody waits yet. */
  #askAhead(account: Account): void {
    if (!this.#isUrgent) this.#later ??= setTimeout(() => this.#takeAll(), TOGETHER_MS)
    this.#asked(account)
  }

  #asked(account: Account): Waiting[] {
    let frames = this.#asking.get(account)
    if (frames === undefined) this.#asking.set(account, (frames = []))
    return frames
  }

  #takeAll(): void {
    clearTimeout(this.#later)
    this.#later = undefined
    this.#isUrgent = false
    if (this.#asking.size === 0) return
    const askedAt = this.#monotonicMs()
    const accounts = [...this.#asking]
    this.#asking = new Map()
    this.#unheard += accounts.length
    const asks = accounts.map(([account]) => account.ask(askedAt))
    this.#source.take(asks, (position, grant) => {
      const [account, frames] = accounts[position]!
      this.#unheard--
      const isGranted = grant !== undefined && account.hold(grant, asks[position]!.need, askedAt, this.#monotonicMs())
      if (account.left > 0) this.#holders.add(account)
      for (const frame of frames) {
        if (!isGranted) frame.lost.add(account)
        if (--frame.open === 0) this.#serve(frame)
      }
    })
  }

  /** Draws for a frame that has waited. */
  #serve({ wants, together, resolve, lost }: Waiting): void {
    this.#lay(wants)
    const { counts, size } = this.#row
    for (let at = 0; at < size; at++) if (lost.has(counts[at]!)) counts[at]!.mode = 'alone'
    this.#frames[lost.size > 0 ? 'alone' : 'store'].value++
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
