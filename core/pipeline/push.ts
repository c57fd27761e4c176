/** Subscription notifications on their way to a client: the push phase, metered like calls. */
import { faulted, isPromise } from './hooks.ts'
import type { Draw } from '../plugin/budget.ts'
import type { Push } from '../plugin/define.ts'
import type { Pipeline } from './frame-run.ts'
import type { LiveSession } from './session.ts'

/** Whether a notification goes to the client: no hook drops it, and every budget that the hooks name has room. */
export function admitPush(session: LiveSession, push: Push, pipeline: Pipeline): boolean | Promise<boolean> {
  let draws: Draw[] | undefined
  for (const step of session.chain.push) {
    let named: ReturnType<typeof step.run>
    try {
      named = step.run(push)
    } catch (error) {
      if (faulted(step, 'push', error, pipeline) !== undefined) return false
    }
    if (named === 'drop') return false
    if (named !== undefined) (draws ??= []).push(named)
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
