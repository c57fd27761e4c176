/** Subscription notifications on their way to a client: the push phase, metered like calls. */
import { faulted, isPromise, sound } from './hooks.ts'
import { pushClaimIn } from './sound.ts'
import type { Draw } from '../plugin/budget.ts'
import type { Push } from '../plugin/define.ts'
import type { Refusal } from '../plugin/outcome.ts'
import type { Pipeline } from './frame-run.ts'
import type { Meter } from './ports.ts'
import type { LiveSession } from './session.ts'

/** Whether a notification goes to the client: no hook drops it, and every budget that the hooks name has room. */
export function admitPush(session: LiveSession, push: Push, pipeline: Pipeline): boolean | Promise<boolean> {
  let draws: Draw[] | undefined
  for (const step of session.chain.push) {
    let named: ReturnType<typeof step.run> | Refusal
    try {
      named = step.run(push)
      if (named !== undefined) named = sound(step, 'push', named, pushClaimIn, pipeline)
    } catch (error) {
      named = faulted(step, 'push', error, pipeline)
    }
    if (named === undefined) continue
    if (named === 'drop' || 'kind' in named) return false
    ;(draws ??= []).push(named)
  }
  if (draws === undefined) return true
  let verdicts: ReturnType<Meter['draw']>
  try {
    verdicts = pipeline.meter.draw([draws], false)
  } catch (error) {
    return meterFault(error, pipeline)
  }
  if (!isPromise(verdicts)) return verdicts[0] === -1
  return verdicts.then(
    ([blocked]) => blocked === -1,
    (error: unknown) => meterFault(error, pipeline),
  )
}

function meterFault(error: unknown, pipeline: Pipeline): false {
  pipeline.log.error({ err: error }, 'the meter failed')
  return false
}
