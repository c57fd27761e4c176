/**
 * Asking hooks: a throw, a rejection or a missed deadline is a bug of the plugin, counted against it and resolved
 * by what the plugin declared (`onFault`). Synchronous answers stay synchronous.
 */
import { refuse } from '../plugin/outcome.ts'
import type { PluginLog } from '../plugin/define.ts'
import type { CounterHandle } from '../plugin/metrics.ts'
import type { Refusal } from '../plugin/outcome.ts'
import type { Phase, Step } from './chain.ts'

/** What asking needs of its surroundings. */
export interface Asking {
  readonly log: PluginLog
  /** A hook that has not answered after this many milliseconds is at fault. */
  readonly hookTimeoutMs: number
  /** Open sessions. */
  readonly sessions: Readonly<Record<'http' | 'ws', CounterHandle>>
}

/** What a fault becomes: the refusal of a plugin that guards, nothing for one that observes. */
export function faulted(step: Step<unknown>, phase: Phase, error: unknown, asking: Asking): Refusal | undefined {
  step.faults.value++
  asking.log.error({ plugin: step.plugin, phase, err: error }, 'plugin fault')
  return step.onFault === 'refuse' ? refuse('internal', 'plugin-fault') : undefined
}

/** Whether a hook's answer has to be waited for. */
export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return value instanceof Promise
}

/** Waits for a hook's promise, at most until its deadline, and hands on what came of it. */
export function settle<T>(step: Step<unknown>, phase: Phase, promise: Promise<T>, asking: Asking, resume: (value: T | Refusal | undefined) => void): void {
  let isDone = false
  const finish = (value: T | Refusal | undefined): void => {
    if (isDone) return
    isDone = true
    clearTimeout(timer)
    resume(value)
  }
  const timer = setTimeout(() => {
    if (!isDone) finish(faulted(step, phase, new Error(`no answer within ${asking.hookTimeoutMs} ms`), asking))
  }, asking.hookTimeoutMs)
  promise.then(finish, (error: unknown) => {
    if (!isDone) finish(faulted(step, phase, error, asking))
  })
}
