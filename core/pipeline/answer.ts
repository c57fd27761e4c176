/** What a frame is answered with: the outcomes of its calls, written as JSON-RPC with the callers' ids. */
import { encodeError, encodeErrorText, encodeResult, joinBatch } from '../jsonrpc/encode.ts'
import { errors } from '../jsonrpc/errors.ts'
import { refuse } from '../plugin/outcome.ts'
import type { Document } from '../jsonrpc/encode.ts'
import type { Outcome, Refusal } from '../plugin/outcome.ts'
import type { LiveCall } from './live-call.ts'

/** What the client gets. `document` is undefined when nothing is to be said (notifications only). */
export interface Answer {
  readonly document: Document | undefined
  readonly status: number
  /** Headers that the outcome brings, beside the session's own. */
  readonly headers: Readonly<Record<string, string>> | undefined
}

const TOO_LARGE = refuse('upstreamUnavailable', 'answer-too-large', { message: 'The answer is larger than this connection takes; ask for less, or over HTTP' })

/** The frame's answer, and the refusal when every call that is answered was refused alike. */
export function encodeAnswers(
  calls: readonly LiveCall[],
  isBatch: boolean,
  maxAnswerBytes: number,
  requestId: string,
): { document: Document | undefined; refusal: Refusal | undefined } {
  const answers: Document[] = []
  let refusal: Refusal | undefined
  let isAlike = true
  let bytes = 0
  for (const call of calls) {
    if (call.isNotification) continue
    let outcome = call.outcome!
    if (outcome.kind !== 'refusal' && (bytes += outcome.payload.length) > maxAnswerBytes) {
      bytes -= outcome.payload.length
      outcome = TOO_LARGE
    }
    if (outcome.kind !== 'refusal' || (refusal !== undefined && outcome.name !== refusal.name)) isAlike = false
    else if (refusal === undefined || (outcome.retryAfterMs ?? 0) > (refusal.retryAfterMs ?? 0)) refusal = outcome
    answers.push(encodeOutcome(call.id, outcome, requestId))
  }
  if (answers.length === 0) return { document: undefined, refusal: undefined }
  return { document: isBatch ? joinBatch(answers) : answers[0], refusal: isAlike ? refusal : undefined }
}

function encodeOutcome(id: string, outcome: Outcome, requestId: string): Document {
  if (outcome.kind === 'result') return encodeResult(id, outcome.payload)
  if (outcome.kind === 'error') return encodeErrorText(id, outcome.payload)
  return encodeRefusal(id, outcome, requestId)
}

/** A refusal as a JSON-RPC error; also for answers to sessions that never had a frame. */
export function encodeRefusal(id: string, refusal: Refusal, requestId: string): string {
  const row = errors[refusal.name]
  const retryAfterMs = refusal.retryAfterMs
  return encodeError(id, row.code, refusal.message ?? row.message, {
    reason: refusal.why,
    ...(retryAfterMs !== undefined && Number.isFinite(retryAfterMs) && { retry_after_ms: Math.ceil(retryAfterMs) }),
    ...(refusal.cu !== undefined && { cu: refusal.cu }),
    ...(refusal.limit !== undefined && { limit: refusal.limit }),
    request_id: requestId,
  })
}

/** The HTTP headers that a refusal brings: its own, and Retry-After in whole seconds (RFC 9110 section 10.2.3). */
export function refusalHeaders(refusal: Refusal): Record<string, string> | undefined {
  const { headers, retryAfterMs } = refusal
  if (retryAfterMs === undefined || !Number.isFinite(retryAfterMs)) return headers
  return { ...headers, 'Retry-After': String(Math.ceil(retryAfterMs / 1000)) }
}
