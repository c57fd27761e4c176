/** Processes that share budgets which one of them holds, their clocks held by the test; messages between them take no time. */
import { onTestFinished } from 'vitest'
import { Ledger } from '../../core/meter/ledger.ts'
import { LeasedMeter } from '../../core/meter/lease.ts'
import { SharedBudgets } from '../../core/meter/shared-budgets.ts'
import { StoreClock } from '../../core/meter/store-clock.ts'
import { UsageStore } from '../../core/meter/usage-store.ts'
import { START, openBook } from './held-clock.ts'
import type { AccountRules } from '../../core/meter/account.ts'
import type { BudgetSource } from '../../core/meter/source.ts'

const RULES: AccountRules = { leaseShare: 0.05, onStoreFailure: { windows: 'local', cycles: 'local' }, overdraft: 0.01 }

export interface Process {
  readonly meter: LeasedMeter
  readonly ledger: Ledger
  /** Frames by who drew for them. */
  readonly frames: { readonly lease: { value: number }; readonly store: { value: number }; readonly alone: { value: number } }
}

/** What holds the budgets, how often it was asked, and whether it answers. */
export interface HeldSource extends BudgetSource {
  isAway: boolean
  isSilent: boolean
  processes: number
  takes: number
}

export function heldSource(clock: { ms: number }, budgets = new SharedBudgets(() => clock.ms, openBook(UsageStore.inMemory(), clock))): HeldSource {
  const source: HeldSource = {
    isAway: false,
    isSilent: false,
    processes: 1,
    breaks: 0,
    takes: 0,
    take(asks, hear) {
      source.takes++
      if (source.isSilent) for (const position of asks.keys()) hear(position, undefined)
      else budgets.take(asks, hear)
    },
    give(id, returns, hear) {
      if (source.isSilent) hear(undefined)
      else budgets.give(id, returns, hear)
    },
    groupOf: () => '',
  }
  return source
}

/** Processes that draw on a source. */
export function processesOn(source: BudgetSource, clock: { ms: number }, count: number, rules: Partial<AccountRules> = {}): readonly Process[] {
  return Array.from({ length: count }, () => {
    const usage = openBook(UsageStore.inMemory(), clock)
    const ledger = new Ledger({
      source,
      usage,
      rules: { ...RULES, ...rules },
      clock: new StoreClock(() => clock.ms - START, clock.ms),
      unsettled: { value: 0 },
    })
    const frames = { lease: { value: 0 }, store: { value: 0 }, alone: { value: 0 } }
    const meter = new LeasedMeter(source, ledger, () => clock.ms - START, frames)
    onTestFinished(async () => void (await meter.close()))
    return { meter, ledger, frames }
  })
}
