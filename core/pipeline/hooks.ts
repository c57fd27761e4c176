/**
 * Asking hooks: a throw, a rejection, a missed deadline or an answer that is none is a bug of the plugin, counted against
 * it and resolved by what the plugin declared (`onFault`). Synchronous answers stay synchronous.
 */
import { refuse } from '../plugin/outcome.ts'
import { UnseenParams } from './params.ts'
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

/** Reads what a phase may be answered with; undefined where it is none. May throw. */
export type Read<T> = (value: unknown) => T | undefined

const FAULT = refuse('internal', 'plugin-fault')

/** What a fault becomes: the refusal of a plugin that guards, nothing for one that observes. */
export function faulted(step: Step<unknown>, phase: Phase, error: unknown, asking: Asking): Refusal | undefined {
  if (error instanceof UnseenParams) return step.onFault === 'refuse' ? error.refusal : undefined
  step.faults.value++
  asking.log.error({ plugin: step.plugin, phase, err: error }, 'plugin fault')
  return step.onFault === 'refuse' ? FAULT : undefined
}

/** Whether a hook's answer has to be waited for. */
export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return value instanceof Promise
}

/** A hook's answer, where its phase may be answered so; else the plugin is at fault. */
export function sound<T>(step: Step<unknown>, phase: Phase, value: unknown, read: Read<T>, asking: Asking): T | Refusal | undefined {
  try {
    const answer = read(value)
    if (answer !== undefined) return answer
  } catch {
    // undefined, null, or an object that throws when it is looked at
  }
  forget(value)
  return faulted(step, phase, new TypeError(`${phase} must not answer this`), asking)
}

/** Waits for a hook's promise, at most until its deadline, and hands on what came of it. */
export function settle<T>(
  step: Step<unknown>,
  phase: Phase,
  promise: Promise<unknown>,
  read: Read<T>,
  asking: Asking,
  resume: (value: T | Refusal | undefined) => void,
): void {
  let isDone = false
  const finish = (outcome: () => T | Refusal | undefined): void => {
    if (isDone) return
    isDone = true
    clearTimeout(timer)
    resume(outcome())
  }
  const late = (): Refusal | undefined => faulted(step, phase, new Error(`no answer within ${asking.hookTimeoutMs} ms`), asking)
  const timer = setTimeout(() => finish(late), asking.hookTimeoutMs)
  promise.then(
    (value) => finish(() => (value === undefined ? undefined : sound(step, phase, value, read, asking))),
    (error: unknown) => finish(() => faulted(step, phase, error, asking)),
  )
}

/** A promise from a hook that nobody waits for: what it comes to is of no interest, and must not end the process. */
function forget(value: unknown): void {
  if (value instanceof Promise) value.catch(() => undefined)
}

/** Runs a hook that nobody waits for; a promise that it returns against the contract is still its own fault. */
export function observe<T>(step: Step<(subject: T) => unknown>, phase: Phase, subject: T, asking: Asking): void {
  try {
    const result = step.run(subject)
    if (result instanceof Promise) result.catch((error: unknown) => faulted(step, phase, error, asking))
  } catch (error) {
    faulted(step, phase, error, asking)
  }
}
