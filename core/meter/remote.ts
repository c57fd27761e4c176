/**
 * Budgets that another process holds: a worker's meter asks the primary for each frame (slices: remote-source.ts). What
 * all frames of one turn of the loop want goes in one message, and is drawn there frame by frame in the order in which it was asked for, so a limit is as exact
 * as in one process. What is given back travels with the next message.
 */
import { draw as namedDraw } from '../plugin/budget.ts'
import { toCu, toUnits } from './units.ts'
import type { Meter } from '../pipeline/ports.ts'
import type { Draw, Window } from '../plugin/budget.ts'
import type { HoldReply, HoldRequest } from './remote-places.ts'
import type { Ask, Grant, Return, Standing } from './source.ts'
import type { Usage } from './usage-store.ts'

/** What a draw wants, as it travels. */
type WantedDraw = readonly [budget: string, key: string, limit: number, window: Window, cost: number]

/** What a budget gets back, or where `amount` is negative what it is charged beyond its limit. */
type Correction = readonly [budget: string, key: string, window: Window, epoch: number, amount: number]

/** What a worker may ask for or tell. */
export type MeterRequest = DrawRequest | TakeRequest | GiveRequest | UsageRequest | HoldRequest

/** What it is answered. */
export type MeterReply = DrawReply | TakeReply | GiveReply | HoldReply

export interface TakeRequest {
  readonly kind: 'take'
  readonly id: number
  readonly asks: readonly Ask[]
}

export interface TakeReply {
  readonly kind: 'taken'
  readonly id: number
  readonly grants: readonly Grant[]
}

export interface GiveRequest {
  readonly kind: 'give'
  readonly id: number
  readonly returns: readonly Return[]
}

export interface GiveReply {
  readonly kind: 'given'
  readonly id: number
  readonly standings: readonly Standing[]
}

/** What a worker learned of usage that a Redis counts. Not answered. */
interface UsageRequest {
  readonly kind: 'usage'
  readonly rows: readonly Usage[]
}

/** Draws of several frames. Corrections come first. */
export interface DrawRequest {
  readonly kind: 'draw'
  readonly batch: number
  readonly corrections: readonly Correction[]
  readonly frames: readonly { readonly together: boolean; readonly calls: readonly (readonly WantedDraw[])[] }[]
}

/** What came of them. */
export interface DrawReply {
  readonly kind: 'drawn'
  readonly batch: number
  /** By frame; where the meter failed, what was wrong. */
  readonly verdicts: readonly (readonly number[] | string)[]
  /** What the meter filled in: for each draw of each frame, in order, the numbers of `FILLED`. */
  readonly filled: Float64Array
}

const FILLED = ['held', 'remaining', 'used', 'resetMs', 'retryAfterMs', 'epoch'] as const

interface Frame {
  readonly wants: readonly (readonly Draw[])[]
  readonly together: boolean
  readonly resolve: (verdicts: readonly number[]) => void
  readonly reject: (error: Error) => void
}

/** The worker's end. */
export class RemoteMeter implements Meter {
  readonly #send: (request: DrawRequest) => void
  /** Batches that are not answered yet. */
  readonly #asked = new Map<number, readonly Frame[]>()
  #waiting: Frame[] = []
  #corrections: Correction[] = []
  #batch = 0
  #isScheduled = false

  constructor(send: (request: DrawRequest) => void) {
    this.#send = send
  }

  draw(wants: readonly (readonly Draw[])[], together: boolean): Promise<readonly number[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ wants, together, resolve, reject })
      this.#schedule()
    })
  }

  refund(draw: Draw, amount: number): void {
    const held = toUnits(draw.held)
    const units = Math.min(held, toUnits(amount))
    if (!(units > 0)) return
    draw.held = toCu(held - units)
    this.#correct(draw, toCu(units))
  }

  overdraw(draw: Draw, amount: number): void {
    if (!(amount >= 0 && amount < Infinity)) return
    draw.held = toCu(toUnits(draw.held) + toUnits(amount))
    this.#correct(draw, -amount)
  }

  /** Takes in an answer of the primary. */
  receive({ batch, verdicts, filled }: DrawReply): void {
    const frames = this.#asked.get(batch)
    this.#asked.delete(batch)
    let at = 0
    for (const [position, { wants, resolve, reject }] of (frames ?? []).entries()) {
      for (const draws of wants) for (const draw of draws) for (const name of FILLED) draw[name] = filled[at++]!
      const verdict = verdicts[position]
      if (typeof verdict === 'object') resolve(verdict)
      else reject(new Error(verdict))
    }
  }

  /** Hands over what is left to settle. */
  flush(): void {
    this.#isScheduled = false
    if (this.#waiting.length === 0 && this.#corrections.length === 0) return
    const batch = ++this.#batch
    const frames = this.#waiting
    const corrections = this.#corrections
    this.#waiting = []
    this.#corrections = []
    if (frames.length > 0) this.#asked.set(batch, frames)
    this.#send({
      kind: 'draw',
      batch,
      corrections,
      frames: frames.map(({ wants, together }) => ({ together, calls: wants.map((draws) => draws.map(wanted)) })),
    })
  }

  #correct({ budget, key, window, epoch }: Draw, amount: number): void {
    this.#corrections.push([budget, key, window, epoch, amount])
    this.#schedule()
  }

  /** After all sockets of this turn have been read. */
  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => this.flush())
  }
}

function wanted({ budget, key, limit, window, cost }: Draw): WantedDraw {
  return [budget, key, limit, window, cost]
}

/** The primary's end: does what a worker asks for. Answers undefined where nothing was drawn. */
export function answerDraws(meter: Meter, { batch, corrections, frames }: DrawRequest): DrawReply | undefined {
  for (const [budget, key, window, epoch, amount] of corrections) {
    const draw = { ...drawOf([budget, key, Infinity, window, 0]), epoch, held: Math.max(0, amount) }
    if (amount > 0) meter.refund(draw, amount)
    else meter.overdraw(draw, -amount)
  }
  if (frames.length === 0) return undefined
  const numbers: number[] = []
  const verdicts = frames.map(({ calls, together }) => {
    const wants = calls.map((draws) => draws.map(drawOf))
    const verdict = drawNow(meter, wants, together)
    for (const draw of wants.flat()) for (const name of FILLED) numbers.push(draw[name])
    return verdict
  })
  return { kind: 'drawn', batch, verdicts, filled: Float64Array.from(numbers) }
}

/** A meter that fails is the bug of one frame, and not the end of all workers. */
function drawNow(meter: Meter, wants: readonly (readonly Draw[])[], together: boolean): readonly number[] | string {
  try {
    return meter.draw(wants, together) as readonly number[] // the meter of a process that holds budgets never waits
  } catch (error) {
    return String(error)
  }
}

function drawOf([budget, key, limit, window, cost]: WantedDraw): Draw {
  return namedDraw(budget, key, limit, window, cost, refusesNothing)
}

function refusesNothing(): never {
  throw new TypeError('a worker refuses, not the process that holds its budgets')
}
