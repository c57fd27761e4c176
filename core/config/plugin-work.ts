/** What a plugin does when a snapshot is built: waited for, but not for ever, and looked at before it is relied on. */
import { PHASES } from '../pipeline/chain.ts'
import { isMapping } from './draft.ts'
import type { PluginInstance } from '../plugin/define.ts'

/** Longer than a million credentials take to be indexed. */
export const PLUGIN_TIMEOUT_MS = 30_000

/** What the work comes to. Rejects with what it rejects with, or when it takes too long. */
export async function within<T>(ms: number, work: T | Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** What `create` returned, if that is hooks. Throws TypeError. */
export function asInstance(value: unknown): PluginInstance {
  if (!isMapping(value)) throw new TypeError('create must return an object of hooks')
  const odd = PHASES.find((phase) => value[phase] !== undefined && typeof value[phase] !== 'function')
  if (odd !== undefined) throw new TypeError(`the hook ${odd} must be a function`)
  return value
}
