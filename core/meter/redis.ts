/**
 * The meter that asks Redis for every frame, and so is exact however many processes there are: all draws of a frame are
 * one atomic step of one script, and frames of one turn of the loop share a script. What comes back is told in the
 * background. While Redis is away each process serves its own share.
 *
 * In a Redis Cluster what has one key, as all budgets of a consumer do, is one atomic step. A frame that draws under
 * several keys, say a consumer's and an address's, is one script for each at once; where one of them refuses a call,
 * what the others took for it is given back. So no budget is ever drawn beyond its limit there either; but for a
 * moment a call may be refused for what another one, which is refused itself, has taken.
 */
import { Batch } from './redis-draws.ts'
import { Row } from './row.ts'
import { toCu, toUnits } from './units.ts'
import type { Draw } from '../plugin/budget.ts'
import type { Meter } from '../pipeline/ports.ts'
import type { Account } from './account.ts'
import type { Ledger } from './ledger.ts'
import type { CallPulls, Part, Pull } from './redis-draws.ts'
import type { RedisLink } from './redis-link.ts'
import type { FrameCounts } from './store-metrics.ts'

/** Draws of one script, so that Redis is not held up for longer than a millisecond. One frame may bring more. */
const MAX_DRAWS = 200

interface Frame {
  readonly wants: readonly (readonly Draw[])[]
  readonly together: boolean
  readonly resolve: (verdicts: readonly number[]) => void
  /** In the order of the draws. */
  readonly pulls: readonly Pull[]
  readonly verdicts: number[]
  /** Parts that are not answered yet. */
  open: number
  isLost: boolean
}

/** What a frame draws on under one tag, while it is put together. */
interface GroupPart extends Part<Frame> {
  readonly group: string
  readonly calls: (CallPulls & { readonly pulls: Pull[] })[]
}

export class RedisMeter implements Meter {
  readonly #link: RedisLink
  readonly #ledger: Ledger
  readonly #frames: FrameCounts
  readonly #row = new Row<Account>()
  #waiting: Frame[] = []

  constructor(link: RedisLink, ledger: Ledger, frames: FrameCounts) {
    this.#link = link
    this.#ledger = ledger
    this.#frames = frames
  }

  draw(wants: readonly (readonly Draw[])[], together: boolean): readonly number[] | Promise<readonly number[]> {
    if (this.#link.isAway) return this.#drawAlone(wants, together)
    this.#ledger.clock.read()
    const pulls = wants.flatMap((draws, call) => draws.map((draw, at) => this.#pull(draw, call, at)))
    return new Promise((resolve) => {
      this.#waiting.push({ wants, together, resolve, pulls, verdicts: wants.map(() => -1), open: 0, isLost: false })
      if (this.#waiting.length === 1) setImmediate(() => this.#send())
    })
  }

  refund(draw: Draw, amount: number): void {
    this.#ledger.refund(draw, amount)
  }

  overdraw(draw: Draw, amount: number): void {
    this.#ledger.overdraw(draw, amount)
  }

  /** Tells what is left to tell; answers whether the store is known to have heard. */
  close(): Promise<boolean> {
    return this.#ledger.close()
  }

  #drawAlone(wants: readonly (readonly Draw[])[], together: boolean): readonly number[] {
    this.#frames.alone.value++
    return this.#ledger.drawAlone(wants, together)
  }

  #pull(draw: Draw, call: number, at: number): Pull {
    return { account: this.#ledger.account(draw), units: toUnits(draw.cost), limit: toUnits(draw.limit), call, at, standing: undefined, isTaken: false }
  }

  /** Sends what all frames of this turn want. */
  #send(): void {
    const batches = new Map<string, Batch<Frame>>()
    for (const frame of this.#waiting) {
      const parts = this.#parts(frame)
      frame.open = parts.length
      if (frame.open === 0) this.#finish(frame)
      for (const part of parts) {
        const { group } = part
        let batch = batches.get(group)
        if (batch === undefined) batches.set(group, (batch = new Batch()))
        batch.add(part)
        if (batch.size < MAX_DRAWS) continue
        batches.delete(group)
        this.#run(batch)
      }
    }
    this.#waiting = []
    for (const batch of batches.values()) this.#run(batch)
  }

  /** What a frame draws on, by what may go into one script. */
  #parts(frame: Frame): readonly GroupPart[] {
    const parts: GroupPart[] = []
    for (const pull of frame.pulls) {
      const group = this.#link.groupOf(pull.account.of.key)
      let part = parts.find((one) => one.group === group)
      if (part === undefined) parts.push((part = { group, frame, together: frame.together, calls: [] }))
      const latest = part.calls.at(-1)
      if (latest?.call === pull.call) latest.pulls.push(pull)
      else part.calls.push({ call: pull.call, pulls: [pull], blockedAt: -1 })
    }
    return parts
  }

  #run(batch: Batch<Frame>): void {
    const hear = (reply: readonly number[] | undefined): void => {
      if (reply !== undefined) batch.read(reply)
      for (const part of batch.parts) this.#hear(part, reply !== undefined)
    }
    this.#link.run('draw', batch.keys, batch.args, hear, (late) => this.#undo(batch, late))
  }

  /** Takes in where calls of a frame were blocked, or that this is not known. */
  #hear({ frame, calls }: Part<Frame>, isKnown: boolean): void {
    frame.isLost ||= !isKnown
    for (const { call, blockedAt } of calls) {
      const before = frame.verdicts[call]!
      if (blockedAt >= 0 && (before < 0 || blockedAt < before)) frame.verdicts[call] = blockedAt
    }
    if (--frame.open > 0) return
    this.#record(frame)
    this.#finish(frame)
  }

  /** Takes in what was drawn, and gives back what was drawn for calls that are refused elsewhere. */
  #record({ pulls, verdicts, together, isLost }: Frame): void {
    const isRefused = isLost || (together && verdicts.some((position) => position >= 0))
    for (const pull of pulls) {
      take(pull)
      if (isRefused || verdicts[pull.call]! >= 0) giveBack(pull)
    }
  }

  /** Tells the draws of a frame how they stand. */
  #finish({ wants, together, resolve, pulls, verdicts, isLost }: Frame): void {
    if (isLost) return resolve(this.#drawAlone(wants, together))
    this.#frames.store.value++
    let at = 0
    this.#row.lay(wants, (draw) => {
      const { account, standing, isTaken, units } = pulls[at++]!
      account.mode = 'exact'
      draw.epoch = account.of.window.kind === 'cycle' ? 0 : standing!.epoch
      draw.held = isTaken ? toCu(units) : 0
      return account
    })
    const atMs = pulls[0]?.standing?.atMs ?? 0
    this.#row.report(wants, verdicts, together, { wallMs: atMs, steadyMs: atMs })
    resolve(verdicts)
  }

  /** What was drawn for frames that did not wait for it goes back. */
  #undo(batch: Batch<Frame>, late: readonly number[]): void {
    batch.read(late)
    for (const { calls } of batch.parts) {
      for (const { pulls } of calls) {
        for (const pull of pulls) {
          take(pull)
          giveBack(pull)
        }
      }
    }
  }
}

/** Takes in what the store said of a pull. */
function take({ account, units, standing, isTaken }: Pull): void {
  if (standing === undefined) return
  account.roll({ wallMs: standing.atMs, steadyMs: standing.atMs })
  account.see(standing)
  if (isTaken) account.drawn(units, standing.epoch)
}

function giveBack(pull: Pull): void {
  const { account, units, standing, isTaken } = pull
  if (!isTaken) return
  account.correct(-units, account.of.window.kind === 'cycle' ? 0 : standing!.epoch)
  pull.isTaken = false
}
