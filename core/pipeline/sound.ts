/**
 * Whether what a hook returned is what its phase may return. Plugins are other people's code: what a type would have
 * forbidden must not become a client's answer, nor an exception where nobody expects one.
 */
import { errors } from '../jsonrpc/errors.ts'
import { RpcFault, RpcRequest } from '../jsonrpc/frame.ts'
import { isAnswerHeader } from '../plugin/headers.ts'
import type { Frame } from '../jsonrpc/frame.ts'
import type { Draw } from '../plugin/budget.ts'
import type { HttpAnswer, Outcome, Refusal } from '../plugin/outcome.ts'

/** What `decode` returns: at least one entry, all of them made by the contract's `decode`. */
export function isFrame(value: unknown): value is Frame {
  const { isBatch, entries } = value as Frame
  if (typeof isBatch !== 'boolean' || !Array.isArray(entries) || entries.length === 0) return false
  for (const entry of entries as readonly unknown[]) if (!(entry instanceof RpcRequest) && !(entry instanceof RpcFault)) return false
  return true
}

/** What `open` returns. */
export function isVerdict(value: unknown): value is Refusal | HttpAnswer {
  const { kind, status, headers } = value as HttpAnswer
  return kind === 'http' ? isStatus(status) && areHeaders(headers) : isRefusal(value)
}

/** What `access` and `reply` return. */
export function isOutcome(value: unknown): value is Outcome {
  const { kind, payload } = value as Exclude<Outcome, Refusal>
  return kind === 'result' || kind === 'error' ? typeof payload === 'string' || payload instanceof Uint8Array : isRefusal(value)
}

/** What `charge` returns. */
export function isClaim(value: unknown): value is Draw | Refusal {
  return isDraw(value) || isRefusal(value)
}

/** What `push` returns. */
export function isPushClaim(value: unknown): value is Draw | 'drop' {
  return value === 'drop' || isDraw(value)
}

export function isRefusal(value: unknown): value is Refusal {
  const { kind, name, why, message, status, retryAfterMs, cu, limit, headers } = value as Refusal
  return (
    kind === 'refusal' &&
    Object.hasOwn(errors, name) &&
    typeof why === 'string' &&
    (message === undefined || typeof message === 'string') &&
    (status === undefined || isStatus(status)) &&
    [retryAfterMs, cu, limit].every((number) => number === undefined || typeof number === 'number') &&
    (headers === undefined || areHeaders(headers))
  )
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

function areHeaders(headers: unknown): boolean {
  return Object.entries(headers as object).every(([name, value]) => isAnswerHeader(name, value))
}
