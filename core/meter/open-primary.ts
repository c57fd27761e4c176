/**
 * Opens what the primary process holds for its workers: the budgets themselves, drawn on frame by frame or by slices; or
 * where a Redis has the budgets, the copy of usage on this machine's disk.
 */
import { MemoryMeter } from './memory.ts'
import { openUsage } from './open.ts'
import { answerDraws } from './remote.ts'
import { HeldPlaces } from './remote-places.ts'
import { SharedBudgets } from './shared-budgets.ts'
import type { MeterDeps, MeterOptions } from './open.ts'
import type { MeterReply, MeterRequest } from './remote.ts'
import type { Grant, Standing } from './source.ts'
import type { Usage } from './usage-store.ts'

/** How often keys are forgotten while nobody draws. */
const FORGET_MS = 10_000

/** What a primary holds. */
export interface HeldBudgets {
  /** Does what the worker of this number asks for; undefined where nothing is to be said. */
  answer(this: void, request: MeterRequest, worker: number): MeterReply | undefined
  /** Takes in that the worker of this number has ended. */
  ended(this: void, worker: number): void
  /** The usage that a worker needs to know of when it starts. */
  usage(this: void): readonly Usage[]
  /** Writes what is left to the disk and lets go of it. Asking again does nothing. */
  close(this: void): Promise<void>
}

/** Throws UsageStoreError. */
export function openPrimary({ store, dataDir }: MeterOptions, deps: MeterDeps): HeldBudgets {
  const usage = openUsage(dataDir, deps)
  const meter = new MemoryMeter(deps.now, usage)
  const budgets = new SharedBudgets(deps.now, usage)
  const places = new HeldPlaces()
  const forgetting = setInterval(() => {
    meter.forget()
    budgets.forget()
  }, FORGET_MS).unref()
  return {
    answer(request, worker) {
      if (request.kind === 'draw') return answerDraws(meter, request)
      if (request.kind === 'take') return { kind: 'taken', id: request.id, grants: takeNow(budgets, request.asks) }
      if (request.kind === 'give') return { kind: 'given', id: request.id, standings: giveNow(budgets, request) }
      if (request.kind === 'hold') return places.answer(request, worker)
      usage.learn(request.rows)
      return undefined
    },
    ended: (worker) => places.drop(worker),
    usage: () => (store.kind === 'memory' ? [] : usage.unfinished()),
    close: async () => {
      clearInterval(forgetting)
      usage.close()
    },
  }
}

function takeNow(budgets: SharedBudgets, asks: Parameters<SharedBudgets['take']>[0]): readonly Grant[] {
  const grants: Grant[] = []
  budgets.take(asks, (_position, grant) => void grants.push(grant))
  return grants
}

function giveNow(budgets: SharedBudgets, { id, returns }: Extract<MeterRequest, { kind: 'give' }>): readonly Standing[] {
  let told: readonly Standing[] = []
  budgets.give(id, returns, (standings) => (told = standings))
  return told
}
