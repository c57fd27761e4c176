/**
 * What becomes of a call. A refusal is an outcome like any other; it has no id, so no plugin can answer the
 * wrong call.
 */
import { errors } from '../jsonrpc/errors.ts'
import type { ErrorName } from '../jsonrpc/errors.ts'
import type { Payload } from '../jsonrpc/encode.ts'

/** A node's result, or one that a plugin answered from what it keeps. Source text. */
export interface Result {
  readonly kind: 'result'
  readonly payload: Payload
}

/** An error object as a node wrote it. Source text. */
export interface NodeError {
  readonly kind: 'error'
  readonly payload: Payload
}

/** The gateway's own "no". */
export interface Refusal {
  readonly kind: 'refusal'
  /** The row of the table of errors. */
  readonly name: ErrorName
  /** A closed word for metrics and `error.data.reason`. Never anything that a client sent. */
  readonly why: string
  /** The sentence for a person; the table's where there is none. */
  readonly message?: string
  /** HTTP status where it is not the table's. */
  readonly status?: number
  /** How long to wait before asking again makes sense, in milliseconds. */
  readonly retryAfterMs?: number
  /** The call's price in CU. */
  readonly cu?: number
  /** The limit that was met. */
  readonly limit?: number
  /** Headers for the HTTP answer. */
  readonly headers?: Readonly<Record<string, string>>
}

export type Outcome = Result | NodeError | Refusal

/** What `refuse` takes beside the name and the word. */
export type RefusalDetails = Partial<Omit<Refusal, 'kind' | 'name' | 'why'>>

/** Refuses: `return refuse('limited', 'over-budget', { message: '…' })`. */
export function refuse(name: ErrorName, why: string, details?: RefusalDetails): Refusal {
  return { kind: 'refusal', name, why, ...details }
}

/** Answers a call in a node's place. `payload` is the source text of the result. */
export function answer(payload: Payload): Result {
  return { kind: 'result', payload }
}

/** What became of a call in one closed word: the node's result or error, or whose doing a refusal was. */
export type OutcomeWord = 'ok' | 'error' | 'refused' | 'upstream_failed' | 'gateway_failed'

const WORD_OF_REFUSAL = { client: 'refused', upstream: 'upstream_failed', gateway: 'gateway_failed' } as const

/** The word for an outcome, for logs and metrics. */
export function outcomeWord(outcome: Outcome): OutcomeWord {
  if (outcome.kind === 'refusal') return WORD_OF_REFUSAL[errors[outcome.name].from]
  return outcome.kind === 'result' ? 'ok' : 'error'
}

/** An HTTP answer that ends a session before any frame (a CORS preflight). */
export interface HttpAnswer {
  readonly kind: 'http'
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
}

/** Ends a session in `open` with a bare HTTP answer. */
export function respond(status: number, headers: Readonly<Record<string, string>>): HttpAnswer {
  return { kind: 'http', status, headers }
}
