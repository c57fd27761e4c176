/**
 * One frame on its way through a chain: decode, access, charge, upstream, reply, answer, log. A flat loop over
 * precomputed lists that waits only where something has to be waited for. `done` is called exactly once.
 */
import { documentBytes } from '../jsonrpc/encode.ts'
import { errors } from '../jsonrpc/errors.ts'
import { RpcFault } from '../jsonrpc/frame.ts'
import { refuse } from '../plugin/outcome.ts'
import { encodeAnswers, refusalHeaders } from './answer.ts'
import { faulted, isPromise, observe, settle, sound } from './hooks.ts'
import { NO_ROOM, holdAnswers } from './hold-answers.ts'
import { LiveCall } from './live-call.ts'
import { ParamsReader } from './params.ts'
import { outcomesOf, requestsOf } from './parts.ts'
import { claimIn, frameIn, outcomeIn, refusalIn } from './sound.ts'
import type { Payload } from '../jsonrpc/encode.ts'
import type { Frame } from '../jsonrpc/frame.ts'
import type { Draw } from '../plugin/budget.ts'
import type { CounterHandle } from '../plugin/metrics.ts'
import type { Outcome, Refusal } from '../plugin/outcome.ts'
import type { FrameView } from '../plugin/session.ts'
import type { Answer } from './answer.ts'
import type { Chain } from './chain.ts'
import type { Asking } from './hooks.ts'
import type { ExchangeContext, Load, Meter, Upstream } from './ports.ts'
import type { LiveSession } from './session.ts'

/** What running frames needs of its surroundings. */
export interface Pipeline extends Asking {
  readonly meter: Meter
  /** Monotonic milliseconds. */
  readonly monotonicMs: () => number
  /** Frames that arrived and are not yet answered. */
  readonly framesInFlight: Readonly<Record<'http' | 'ws', CounterHandle>>
  /** More frames at once than this are refused: overloaded. */
  readonly maxFramesInFlight: number
  readonly load: Load
}

const OVERLOADED = refuse('overloaded', 'too-many-frames', { message: 'The gateway is at its limit of calls in flight; try again', retryAfterMs: 1000 })

const UNCOUNTED = refuse('overloaded', 'store-away', { message: 'What this call costs cannot be counted now; try again', retryAfterMs: 1000 })

const NOTHING: readonly Payload[] = []

const PLUGIN_FAULT = refuse('internal', 'plugin-fault')
const UPSTREAM_FAULT = refuse('internal', 'upstream-fault')
const BROKEN = refuse('internal', 'frame-broken')

export class FrameRun implements FrameView {
  readonly session: LiveSession
  readonly requestId: string
  readonly requestBytes: number
  readonly startedAt: number
  isBatch = false
  calls: readonly LiveCall[] = []
  responseBytes = 0
  totalMs = 0
  upstreamMs = 0
  status = 200

  private readonly pipeline: Pipeline
  private readonly chain: Chain
  private readonly upstream: Upstream
  private readonly done: (answer: Answer) => void
  /** Where the loops stand: the call and the step that come next. */
  private callAt = 0
  private stepAt = 0
  private isCancelled = false
  private isAnswered = false
  private readonly afterAnswer: (() => void)[] = []
  private exchange: ExchangeContext | undefined
  private sentAt = 0
  /** Answers that are held. */
  private answers: readonly Payload[] = NOTHING

  constructor(session: LiveSession, requestId: string, requestBytes: number, pipeline: Pipeline, done: (answer: Answer) => void) {
    this.session = session
    this.requestId = requestId
    this.requestBytes = requestBytes
    this.pipeline = pipeline
    this.chain = session.chain
    this.upstream = session.destination.upstream
    this.done = done
    this.startedAt = pipeline.monotonicMs()
  }

  /** Runs the frame. Never throws. */
  start(bytes: Uint8Array): void {
    this.resume(() => this.begin(bytes))
  }

  private begin(bytes: Uint8Array): void {
    const overload = this.overload()
    const { framesInFlight, load } = this.pipeline
    framesInFlight[this.session.scheme].value++
    load.room.count(this.requestBytes)
    const frame = this.decode(bytes)
    this.isBatch = frame.isBatch
    const reader = new ParamsReader()
    this.calls = frame.entries.map((entry) => new LiveCall(this.session, this, entry, reader))
    const refusal = overload ?? this.session.refusal
    if (refusal === undefined) return this.access()
    for (const call of this.calls) call.decide(refusal, overload === undefined ? this.session.refusedBy : undefined)
    this.answer()
  }

  /** Why the process cannot take the frame. */
  private overload(): Refusal | undefined {
    const { framesInFlight, maxFramesInFlight, load } = this.pipeline
    if (framesInFlight.http.value + framesInFlight.ws.value >= maxFramesInFlight) return OVERLOADED
    return load.room.hasPlaceFor(this.requestBytes, this.requestBytes) ? load.refusal : NO_ROOM
  }

  /** The client has gone: stops the work upstream. The frame still ends in order, and is logged. */
  cancel(): void {
    this.isCancelled = true
    this.exchange?.running?.cancel()
  }

  private decode(bytes: Uint8Array): Frame {
    const step = this.chain.decode
    try {
      const frame = sound(step, 'decode', step.run(bytes), frameIn, this.pipeline)
      if (frame !== undefined && 'entries' in frame) return frame
    } catch (error) {
      faulted(step, 'decode', error, this.pipeline)
    }
    return { isBatch: false, entries: [new RpcFault('null', 'internal', 'plugin-fault', errors.internal.message)] }
  }

  private access(): void {
    const steps = this.chain.access
    for (; this.callAt < this.calls.length; this.callAt++) {
      const call = this.calls[this.callAt]!
      while (isAlive(call) && this.stepAt < steps.length) {
        const step = steps[this.stepAt++]!
        let verdict: ReturnType<typeof step.run>
        try {
          verdict = step.run(call)
        } catch (error) {
          verdict = faulted(step, 'access', error, this.pipeline)
        }
        if (verdict === undefined) continue
        if (isPromise(verdict)) {
          settle(step, 'access', verdict, outcomeIn, this.pipeline, (late) => {
            if (late !== undefined) judge(call, late, step.plugin)
            this.resume(() => this.access())
          })
          return
        }
        const outcome = sound(step, 'access', verdict, outcomeIn, this.pipeline)
        if (outcome !== undefined) judge(call, outcome, step.plugin)
      }
      this.stepAt = 0
    }
    this.charge()
  }

  private charge(): void {
    if (this.session.destination.refuseTogether) this.refuseTheRest()
    if (this.isCancelled) this.refuseAlive('client-gone')
    for (const call of this.calls) if (isAlive(call)) this.nameDraws(call)
    if (this.session.destination.refuseTogether) this.refuseTheRest()
    const wanting = those(this.calls, isWanting)
    if (wanting.length === 0) return this.forward()
    let verdicts: ReturnType<Meter['draw']>
    try {
      verdicts = this.pipeline.meter.draw(
        wanting.map((call) => call.draws),
        this.session.destination.refuseTogether,
      )
    } catch (error) {
      return this.meterFault(wanting, error)
    }
    if (!isPromise(verdicts)) return this.charged(wanting, verdicts)
    verdicts.then(
      (late) => this.resume(() => this.charged(wanting, late)),
      (error: unknown) => this.resume(() => this.meterFault(wanting, error)),
    )
  }

  /** Asks the charge hooks of a call. A hook may refuse instead. */
  private nameDraws(call: LiveCall): void {
    let draws: Draw[] | undefined
    for (const step of this.chain.charge) {
      let named: ReturnType<typeof step.run>
      try {
        named = step.run(call)
        if (named !== undefined) named = sound(step, 'charge', named, claimIn, this.pipeline)
      } catch (error) {
        named = faulted(step, 'charge', error, this.pipeline)
      }
      if (named === undefined) continue
      if ('kind' in named) return call.decide(named, step.plugin)
      if (draws === undefined) draws = [named]
      else draws.push(named)
    }
    if (draws !== undefined) call.draws = draws
  }

  private meterFault(wanting: readonly LiveCall[], error: unknown): void {
    this.pipeline.log.error({ err: error }, 'the meter failed')
    for (const call of wanting) {
      call.draws = []
      call.decide(refuse('internal', 'meter-fault'), undefined)
    }
    if (this.session.destination.refuseTogether) this.refuseTheRest()
    this.forward()
  }

  private charged(wanting: readonly LiveCall[], verdicts: readonly number[]): void {
    for (let at = 0; at < wanting.length; at++) {
      const call = wanting[at]!
      const blocked = call.draws[verdicts[at]!]
      if (blocked !== undefined) call.decide(blocked.isUncounted ? UNCOUNTED : this.refusalOf(blocked), blocked.budget)
    }
    if (this.session.destination.refuseTogether) this.refuseTheRest()
    this.forward()
  }

  /** What a budget without room answers. Whatever is wrong with that answer, there is no room. */
  private refusalOf(blocked: Draw): Refusal {
    const step = this.chain.charge.find(({ plugin }) => plugin === blocked.budget) ?? this.chain.charge[0]!
    try {
      const refusal = sound(step, 'charge', blocked.refused(blocked), refusalIn, this.pipeline)
      if (refusal !== undefined) return refusal
    } catch (error) {
      faulted(step, 'charge', error, this.pipeline)
    }
    return PLUGIN_FAULT
  }

  /** Refuses every call that is alive when one has been refused. */
  private refuseTheRest(): void {
    if (this.calls.every(isAlive)) return
    this.refuseAlive('batch-refused', 'Another call of the batch was refused, and this route refuses a batch as a whole')
  }

  private refuseAlive(why: string, message = 'The client has gone'): void {
    for (const call of this.calls) {
      if (isAlive(call)) call.decide(refuse('blocked', why, { message }), undefined)
    }
  }

  private forward(): void {
    if (this.isCancelled) this.refuseAlive('client-gone')
    const open = those(this.calls, isOpen)
    if (open.length === 0) return this.reply()
    this.sentAt = this.pipeline.monotonicMs()
    this.exchange = {
      isBatch: this.isBatch,
      calls: open,
      rewrite: this.session.upstreamRequest,
      subscriber: this.session.subscriber,
      afterAnswer: this.afterAnswer,
      running: undefined,
    }
    this.upstream.exchange(requestsOf(open), this.exchange).then(
      (outcomes) => this.resume(() => this.answered(open, outcomes)),
      (error: unknown) => {
        this.pipeline.log.error({ err: error, upstream: this.upstream.id }, 'the upstream failed')
        this.resume(() => this.answered(open, []))
      },
    )
  }

  /** The upstream has answered: an outcome for each request of these calls, or none where it failed. */
  private answered(calls: readonly LiveCall[], outcomes: readonly Outcome[]): void {
    this.upstreamMs = this.pipeline.monotonicMs() - this.sentAt
    this.exchange = undefined
    const own = outcomesOf(calls, outcomes)
    for (let at = 0; at < calls.length; at++) calls[at]!.decide(own[at] ?? UPSTREAM_FAULT, undefined)
    this.reply()
  }

  private reply(): void {
    this.answers = holdAnswers(this.calls, this.pipeline.load.room)
    this.callAt = 0
    this.stepAt = 0
    this.replyOn()
  }

  private replyOn(): void {
    const steps = this.chain.reply
    for (; this.callAt < this.calls.length; this.callAt++) {
      const call = this.calls[this.callAt]!
      while (call.request !== undefined && this.stepAt < steps.length) {
        const step = steps[this.stepAt++]!
        let replaced: ReturnType<typeof step.run>
        try {
          replaced = step.run(call, call.outcome!)
        } catch (error) {
          replaced = faulted(step, 'reply', error, this.pipeline)
        }
        if (replaced === undefined) continue
        if (isPromise(replaced)) {
          settle(step, 'reply', replaced, outcomeIn, this.pipeline, (late) => {
            if (late !== undefined) call.decide(late, step.plugin)
            this.resume(() => this.replyOn())
          })
          return
        }
        const outcome = sound(step, 'reply', replaced, outcomeIn, this.pipeline)
        if (outcome !== undefined) call.decide(outcome, step.plugin)
      }
      this.stepAt = 0
      settleDraws(call, this.pipeline.meter)
    }
    this.answer()
  }

  private answer(): void {
    const { document, refusal } = encodeAnswers(this.calls, this.isBatch, this.session.maxAnswerBytes, this.requestId)
    this.status = document === undefined ? 204 : refusal === undefined ? 200 : (refusal.status ?? errors[refusal.name].status)
    this.responseBytes = document === undefined ? 0 : documentBytes(document)
    this.totalMs = this.pipeline.monotonicMs() - this.startedAt
    this.pipeline.framesInFlight[this.session.scheme].value--
    this.letGo()
    this.isAnswered = true
    this.done({ document, status: this.status, headers: refusal === undefined ? undefined : refusalHeaders(refusal) })
    for (const run of this.afterAnswer) run()
    for (const step of this.chain.log) observe<FrameView>(step, 'log', this, this.pipeline)
  }

  private letGo(): void {
    const { room } = this.pipeline.load
    room.count(-this.requestBytes)
    for (const payload of this.answers) room.letGo(payload)
    this.answers = NOTHING
  }

  /** Goes on after something was waited for. */
  private resume(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.broken(error)
    }
  }

  /** A bug of ours: the frame is answered all the same, once. What its calls hold stays charged where giving it back is what broke. */
  private broken(error: unknown): void {
    this.pipeline.log.error({ err: error }, 'a frame broke')
    if (this.isAnswered) return
    const { calls } = this
    for (const call of calls) call.decide(BROKEN, undefined)
    try {
      for (const call of calls) settleDraws(call, this.pipeline.meter)
    } catch (again) {
      this.pipeline.log.error({ err: again }, 'a frame broke')
    }
    try {
      this.answer()
    } catch (again) {
      this.pipeline.log.error({ err: again }, 'a frame broke')
      if (!this.isAnswered) this.done({ document: undefined, status: errors.internal.status, headers: undefined })
      this.isAnswered = true
    }
  }
}

/** Whether a call may still be refused. One that a plugin answered in the node's place is judged and charged like any other. */
function isAlive(call: LiveCall): boolean {
  return call.outcome?.kind !== 'refusal'
}

/** Whether it goes to the nodes. */
function isOpen(call: LiveCall): boolean {
  return call.outcome === undefined
}

/** Whether it draws on a budget. */
function isWanting(call: LiveCall): boolean {
  return isAlive(call) && call.draws.length > 0
}

/** Those of the calls for which the test holds, all of them as a rule: then there is nothing to copy. */
function those(calls: readonly LiveCall[], test: (call: LiveCall) => boolean): readonly LiveCall[] {
  return calls.every(test) ? calls : calls.filter(test)
}

/** A refusal stands before an answer, the first answer before later ones. */
function judge(call: LiveCall, verdict: Outcome, by: string): void {
  if (call.outcome === undefined || verdict.kind === 'refusal') call.decide(verdict, by)
}

/** What a refused call holds goes back whole; a settled one pays what it turned out to cost. */
function settleDraws(call: LiveCall, meter: Meter): void {
  const price = call.outcome?.kind === 'refusal' ? 0 : call.settled
  if (price === undefined) return
  for (const draw of call.draws) {
    if (draw.unit === 'call' && price > 0) continue
    if (draw.held > price) meter.refund(draw, draw.held - price)
    else if (draw.held < price && draw.held > 0) meter.overdraw(draw, price - draw.held)
  }
}
