/** Subscription notifications on their way to a client: the push phase, metered like calls. */
import { faulted, isPromise, sound } from './hooks.ts'
import { isPushClaim } from './sound.ts'
import type { Draw } from '../plugin/budget.ts'
import type { Push } from '../plugin/define.ts'
import type { Refusal } from '../plugin/outcome.ts'
import type { Pipeline } from './frame-run.ts'
import type { LiveSession } from './session.ts'

/** Whether a notification goes to the client: no hook drops it, and every budget that the hooks name has room. */
export function admitPush(session: LiveSession, push: Push, pipeline: Pipeline): boolean | Promise<boolean> {
  let draws: Draw[] | undefined
  for (const step of session.chain.push) {
    let named: ReturnType<typeof step.run> | Refusal
    try {
      named = step.run(push)
      if (named !== undefined) named = sound(step, 'push', named, isPushClaim, pipeline)
    } catch (error) {
      named = faulted(step, 'push', error, pipeline)
    }
    if (named === undefined) continue
    if (named === 'drop' || 'kind' in named) return false
    ;(draws ??= []).push(named)
  }
  if (draws === undefined) return true
  const verdicts = pipeline.meter.draw([draws], false)
  return isPromise(verdicts)
    ? verdicts.then(
        ([blocked]) => blocked === -1,
        () => false,
      )
    : verdicts[0] === -1
}
