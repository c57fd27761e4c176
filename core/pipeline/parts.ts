/** Calls that a node is asked in parts: one call of the client's is several requests, and their results are its result. */
import { joinLists } from '../jsonrpc/join-lists.ts'
import { refuse } from '../plugin/outcome.ts'
import type { RpcRequest } from '../jsonrpc/frame.ts'
import type { Outcome } from '../plugin/outcome.ts'
import type { LiveCall } from './live-call.ts'

const NO_LIST = refuse('upstreamUnavailable', 'no-list', {
  message: 'The call was asked in parts, and the node answered one of them with something else than a list',
})

/** The requests that go upstream for these calls, in order. */
export function requestsOf(calls: readonly LiveCall[]): readonly RpcRequest[] {
  return calls.some(isInParts) ? calls.flatMap((call) => call.parts ?? call.request!) : calls.map((call) => call.request!)
}

/** The outcome of each call, of the outcomes of `requestsOf`. */
export function outcomesOf(calls: readonly LiveCall[], outcomes: readonly (Outcome | undefined)[]): readonly (Outcome | undefined)[] {
  if (!calls.some(isInParts)) return outcomes
  let at = 0
  return calls.map(({ parts }) => (parts === undefined ? outcomes[at++] : join(outcomes.slice(at, (at += parts.length)))))
}

function isInParts({ parts }: LiveCall): boolean {
  return parts !== undefined
}

/** The lists of all parts as one; where a part failed, its failure. */
function join(parts: readonly (Outcome | undefined)[]): Outcome | undefined {
  const failed = parts.find((part) => part?.kind !== 'result')
  if (failed !== undefined || parts.includes(undefined)) return failed
  const payload = joinLists(parts.flatMap((part) => (part?.kind === 'result' ? [part.payload] : [])))
  return payload === undefined ? NO_LIST : { kind: 'result', payload }
}
