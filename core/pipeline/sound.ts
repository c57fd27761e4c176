/**
 * Reads what a hook returned as what its phase may return; undefined where it is none. Plugins are other people's code: what a type would have
 * forbidden must not become a client's answer, nor an exception where nobody expects one.
 */
import { errors } from '../jsonrpc/errors.ts'
import { RpcFault, RpcRequest } from '../jsonrpc/frame.ts'
import { isAnswerHeader } from '../plugin/headers.ts'
import type { Frame } from '../jsonrpc/frame.ts'
import type { Draw } from '../plugin/budget.ts'
import type { HttpAnswer, Outcome, Refusal } from '../plugin/outcome.ts'

/** What `decode` returns: at least one entry, all of them made by the contract's `decode`. */
export function frameIn(value: unknown): Frame | undefined {
  const { isBatch, entries } = value as Frame
  if (typeof isBatch !== 'boolean' || !Array.isArray(entries) || entries.length === 0) return undefined
  for (const entry of entries as readonly unknown[]) if (!(entry instanceof RpcRequest) && !(entry instanceof RpcFault)) return undefined
  return value as Frame
}

/** What `open` returns. */
export function verdictIn(value: unknown): Refusal | HttpAnswer | undefined {
  const { kind, status, headers } = value as HttpAnswer
  if (kind !== 'http') return refusalIn(value)
  const copy = headersIn(headers)
  return isStatus(status) && copy !== undefined ? { kind, status, headers: copy } : undefined
}

/** What `access` and `reply` return. */
export function outcomeIn(value: unknown): Outcome | undefined {
  const { kind, payload } = value as Exclude<Outcome, Refusal>
  if (kind !== 'result' && kind !== 'error') return refusalIn(value)
  return typeof payload === 'string' || payload instanceof Uint8Array ? (value as Outcome) : undefined
}

/** What `charge` returns. */
export function claimIn(value: unknown): Draw | Refusal | undefined {
  return isDraw(value) ? value : refusalIn(value)
}

/** What `push` returns. */
export function pushClaimIn(value: unknown): Draw | 'drop' | undefined {
  return value === 'drop' || isDraw(value) ? value : undefined
}

/** A copy, each part of which was read once: what stands in an answer's head is what was looked at. */
export function refusalIn(value: unknown): Refusal | undefined {
  const { kind, name, why, message, status, retryAfterMs, cu, limit, headers } = value as Refusal
  if (
    kind !== 'refusal' ||
    !Object.hasOwn(errors, name) ||
    typeof why !== 'string' ||
    (message !== undefined && typeof message !== 'string') ||
    (status !== undefined && !isStatus(status)) ||
    ![retryAfterMs, cu, limit].every((number) => number === undefined || typeof number === 'number')
  )
    return undefined
  const copy = headers === undefined ? undefined : headersIn(headers)
  if (headers !== undefined && copy === undefined) return undefined
  return { kind, name, why, message, status, retryAfterMs, cu, limit, headers: copy } as Refusal
}

function isDraw(value: unknown): value is Draw {
  const { budget, key, limit, window, cost, unit, refused } = value as Draw
  return (
    typeof budget === 'string' &&
    typeof key === 'string' &&
    limit >= 0 &&
    cost >= 0 &&
    cost < Infinity &&
    (unit === 'cu' || unit === 'call') &&
    typeof window?.kind === 'string' &&
    typeof refused === 'function'
  )
}

function isStatus(status: unknown): boolean {
  return Number.isInteger(status) && (status as number) >= 200 && (status as number) <= 599
}

function headersIn(headers: object): Record<string, string> | undefined {
  const entries = Object.entries(headers)
  return entries.every(([name, value]) => isAnswerHeader(name, value)) ? Object.fromEntries(entries) : undefined
}
