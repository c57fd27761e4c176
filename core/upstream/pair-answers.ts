/**
 * Pairs what a node sent with what it was asked. Ids of ours are consecutive integers, so a position is a
 * subtraction. A node is not trusted: a call gets the one answer that carries its id, or a failure.
 */
import { decodeReplies } from '../jsonrpc/reply.ts'
import { failures, httpFailure } from './failures.ts'
import type { Reply, ReplyReader } from '../jsonrpc/reply.ts'
import type { Answer, Failure } from './failures.ts'

/**
 * The answers to the calls `firstId` to `firstId + count - 1`, in their order; one call was sent as an object, several
 * as a batch. With an HTTP error a node may bring errors that name their calls, but no result is believed. A body that came
 * in pieces has a reader that has read them.
 */
export function pairAnswers(body: Buffer, status: number, firstId: number, count: number, reader?: ReplyReader): Answer[] {
  const isError = status < 200 || status > 299
  const replies = isError && status < 400 ? undefined : reader === undefined ? decodeReplies(body) : reader.end(body)
  if (replies === undefined) return everyCall(isError ? httpFailure(status) : failures['not-json'], count)
  if (count > 1 && replies.isBatch) return pairBatch(replies.members, firstId, count, isError ? httpFailure(status) : undefined)
  const reply = replies.members[0]
  if (count === 1 && !replies.isBatch) return [pairOne(reply, firstId, isError ? httpFailure(status) : undefined)]
  const isNullError = !replies.isBatch && reply?.error !== undefined && isNull(reply)
  return everyCall(isError ? httpFailure(status) : isNullError ? failures['null-id'] : failures['bad-answer'], count)
}

function pairOne(reply: Reply | undefined, id: number, httpError: Failure | undefined): Answer {
  if (reply !== undefined && Number(reply.id) === id) {
    const answer = answerOf(reply, httpError)
    if (answer !== undefined) return answer
  }
  if (httpError !== undefined) return httpError
  if (reply === undefined || (reply.result ?? reply.error) === undefined) return failures['bad-answer']
  return reply.error !== undefined && isNull(reply) ? failures['null-id'] : failures['wrong-id']
}

/** Members that name no call of ours are nobody's, and left out. */
function pairBatch(members: readonly (Reply | undefined)[], firstId: number, count: number, httpError: Failure | undefined): Answer[] {
  const answers = everyCall(httpError ?? failures['missing-answer'], count)
  const isTaken = new Uint8Array(count)
  for (const reply of members) {
    if (reply?.id === undefined) continue
    const at = Number(reply.id) - firstId
    if (!(at >= 0 && at < count && Number.isInteger(at))) continue
    answers[at] = isTaken[at] === 1 ? failures['duplicate-id'] : (answerOf(reply, httpError) ?? failures['bad-answer'])
    isTaken[at] = 1
  }
  return answers
}

/** The answer that a reply is; undefined for what is a notification, by its members. With an HTTP error no result is believed. */
export function answerOf(reply: Reply, httpError: Failure | undefined): Answer | undefined {
  if (reply.error !== undefined) return { kind: 'error', payload: reply.error }
  if (reply.result === undefined) return undefined
  return httpError ?? { kind: 'result', payload: reply.result }
}

function isNull(reply: Reply): boolean {
  return reply.id === undefined || reply.id === 'null'
}

function everyCall(failure: Failure, count: number): Answer[] {
  return Array.from({ length: count }, () => failure)
}
