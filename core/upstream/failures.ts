/**
 * Every way in which a node can leave a call without an answer: its closed word, its row of the table of errors, and
 * whether asking again may help. What a node says about a call (a JSON-RPC error) is an answer and not in here.
 */
import { refuse } from '../plugin/outcome.ts'
import type { ErrorName } from '../jsonrpc/errors.ts'
import type { NodeError, Refusal, Result } from '../plugin/outcome.ts'

/** A call that got no answer in one attempt. */
export interface Failure {
  readonly kind: 'failure'
  /** What the call is answered with, should this attempt be its last. */
  readonly refusal: Refusal
  /** Which calls may be asked again: none, those that only read, or any, because no byte of them was sent. */
  readonly retry: 'never' | 'read-only' | 'any'
  /**
   * What it says about the node: nothing where the call, a limit of ours or nobody is to blame; that it answers badly, which
   * is held against it where another node can stand in; or that it does not answer.
   */
  readonly blame: 'none' | 'bad' | 'dead'
}

/** What an attempt brought for one call. */
export type Answer = Result | NodeError | Failure

/** Every failure by its word. Messages name no node: a URL may hold a secret. */
export const failures = {
  'no-node': failure('upstreamUnavailable', 'no-node', 'never', 'The upstream has no node that takes calls', 'none'),
  'no-healthy-node': failure('upstreamUnavailable', 'no-healthy-node', 'never', 'No node of the upstream is healthy', 'none'),
  'no-capable-node': failure('upstreamUnavailable', 'no-capable-node', 'never', 'No node of the upstream can answer this call', 'none'),
  'connect-failed': failure('upstreamUnavailable', 'connect-failed', 'any', 'The upstream node could not be reached', 'dead'),
  'connect-timeout': failure('upstreamTimeout', 'connect-timeout', 'any', 'The connection to the upstream node took too long', 'dead'),
  'no-connection': failure('upstreamTimeout', 'no-connection', 'any', 'No connection to the upstream node became free in time', 'none'),
  'connection-lost': failure('upstreamUnavailable', 'connection-lost', 'read-only', 'The upstream node closed the connection before its answer was complete'),
  'read-timeout': failure('upstreamTimeout', 'read-timeout', 'read-only', 'The upstream node did not answer in time', 'dead'),
  'total-timeout': failure('upstreamTimeout', 'total-timeout', 'never', 'The upstream did not answer in time', 'dead'),
  'not-http': failure('upstreamUnavailable', 'not-http', 'read-only', 'The upstream node did not answer with HTTP'),
  redirect: failure('upstreamUnavailable', 'redirect', 'read-only', 'The upstream node answered with a redirect, which is not followed'),
  'http-status': failure('upstreamUnavailable', 'http-status', 'read-only', 'The upstream node answered with an HTTP error'),
  'bad-encoding': failure('upstreamUnavailable', 'bad-encoding', 'read-only', "The encoding of the upstream node's answer is broken or was not asked for"),
  'too-large': failure('upstreamUnavailable', 'too-large', 'never', "The upstream node's answer is too large", 'none'),
  crumbled: failure('upstreamUnavailable', 'crumbled', 'never', "The upstream node's answer comes in too many pieces for its size"),
  'no-room': failure('overloaded', 'no-room', 'never', 'The gateway holds as much in memory as it may; try again', 'none'),
  'not-json': failure('upstreamUnavailable', 'not-json', 'read-only', "The upstream node's answer is not JSON"),
  'bad-answer': failure('upstreamUnavailable', 'bad-answer', 'read-only', "The upstream node's answer is not a JSON-RPC answer to what was asked"),
  'null-id': failure('upstreamUnavailable', 'null-id', 'read-only', 'The upstream node answered with an error that names no call'),
  'wrong-id': failure('upstreamUnavailable', 'wrong-id', 'read-only', 'The upstream node answered another call'),
  'duplicate-id': failure('upstreamUnavailable', 'duplicate-id', 'read-only', 'The upstream node answered the call more than once'),
  'missing-answer': failure('upstreamUnavailable', 'missing-answer', 'read-only', 'The upstream node left the call out of its answer'),
  'bad-rewrite': failure('internal', 'bad-rewrite', 'never', 'The request to the upstream node could not be written', 'none'),
  'client-gone': failure('upstreamUnavailable', 'client-gone', 'never', 'The client has gone', 'none'),
} as const satisfies Record<string, Failure>

/** A word of the table. */
export type Why = keyof typeof failures

/** The failure of an answer with an HTTP error, its status told. */
export function httpFailure(status: number): Failure {
  if (status < 400) return failures.redirect
  const blame = status >= 500 || REFUSALS_OF_ALL.has(status) ? 'bad' : 'none'
  return failure('upstreamUnavailable', 'http-status', 'read-only', `The upstream node answered with HTTP status ${status}`, blame)
}

/** Status codes under 500 with which a node turns away whatever we send; the others are about one request. */
const REFUSALS_OF_ALL = new Set([401, 403, 429])

function failure(name: ErrorName, why: string, retry: Failure['retry'], message: string, blame: Failure['blame'] = 'bad'): Failure {
  return { kind: 'failure', refusal: refuse(name, why, { message }), retry, blame }
}
