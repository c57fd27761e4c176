/**
 * Opening and closing sessions. What opens closes, once, in reverse, also when refused and also on a throw.
 */
import { consumer } from '../plugin/slots.ts'
import { faulted, isPromise, observe, settle, sound } from './hooks.ts'
import { verdictIn } from './sound.ts'
import type { HttpAnswer, Refusal } from '../plugin/outcome.ts'
import type { OpenStep } from './chain.ts'
import type { Asking } from './hooks.ts'
import type { LiveSession } from './session.ts'

type Verdict = Refusal | HttpAnswer | undefined

/**
 * Runs the `open` hooks of the route's plugins and then, once the consumer is known, those of the plugins that the
 * consumer brings. Calls `done` with an HTTP answer that ends the session at once, or with undefined; a refusal
 * is left on the session, so that it is met by every call in it.
 */
export function openSession(session: LiveSession, asking: Asking, done: (answer: HttpAnswer | undefined) => void): void {
  const routeSteps = session.chain.open
  session.isOpen = true
  asking.sessions[session.scheme].value++
  walk(session, routeSteps, 0, asking, (verdict) => {
    if (verdict !== undefined) return done(verdict)
    const who = session.get(consumer)
    if (session.refusal !== undefined || who === undefined) return done(undefined)
    const own = session.destination.chainFor(who.username)
    if (own === session.chain) return done(undefined)
    session.chain = own
    walk(
      session,
      own.open.filter((step) => !routeSteps.some((opened) => opened.instance === step.instance)),
      0,
      asking,
      done,
    )
  })
}

function walk(session: LiveSession, steps: readonly OpenStep[], from: number, asking: Asking, done: (answer: HttpAnswer | undefined) => void): void {
  for (let at = from; at < steps.length; at++) {
    const step = steps[at]!
    if (step.close !== undefined) session.owed.push(step.close)
    if (step.run === undefined) continue
    let verdict: ReturnType<typeof step.run>
    try {
      verdict = step.run(session)
    } catch (error) {
      verdict = faulted(step, 'open', error, asking)
    }
    if (verdict === undefined) continue
    if (isPromise(verdict)) {
      settle(step, 'open', verdict, verdictIn, asking, (late) => {
        if (late === undefined) walk(session, steps, at + 1, asking, done)
        else done(judge(session, step, late))
      })
      return
    }
    const answer: Verdict = sound(step, 'open', verdict, verdictIn, asking)
    if (answer !== undefined) return done(judge(session, step, answer))
  }
  done(undefined)
}

function judge(session: LiveSession, step: OpenStep, verdict: Refusal | HttpAnswer): HttpAnswer | undefined {
  if (verdict.kind === 'http') return verdict
  session.refusal = verdict
  session.refusedBy = step.plugin
  return undefined
}

/** Runs the close hooks that the session owes, in reverse. Asking again does nothing. */
export function closeSession(session: LiveSession, asking: Asking): void {
  if (!session.isOpen) return
  session.isOpen = false
  asking.sessions[session.scheme].value--
  for (let step = session.owed.pop(); step !== undefined; step = session.owed.pop()) observe(step, 'close', session, asking)
}
