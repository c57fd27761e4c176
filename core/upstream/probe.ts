/** Questions that the gateway itself has for a node. They are no calls of clients: no count of those knows them. */
import { encodeRequest } from '../jsonrpc/encode.ts'
import { fromWire, jsonWire } from '../jsonrpc/wire.ts'
import { HttpAttempt } from './http-attempt.ts'
import type { AttemptCounts, AttemptOwner, AttemptTerms } from './http-attempt.ts'
import type { Answer } from './failures.ts'
import type { PoolNode } from './pool-node.ts'

const NOT_COUNTED: AttemptCounts = { attempts: { value: 0 }, inFlight: { value: 0 }, duration: { observe: () => undefined }, failed: () => undefined }

/** A block with the hashes of its transactions is the largest that is asked for. */
const MAX_RESULT_BYTES = 1_048_576

const AS_IT_IS = { path: undefined, host: undefined, headers: undefined }

/** Asks a node. Resolves with its answer, or with why there is none after `timeoutMs` at most. */
export function probe(node: PoolNode, method: string, params: readonly unknown[], terms: AttemptTerms, timeoutMs: number): Promise<Answer> {
  return new Promise((resolve) => {
    const owner: AttemptOwner = { attempted: ([answer]) => resolve(answer!) }
    const body = encodeRequest(1, { methodText: jsonWire(method), paramsText: jsonWire(params) })
    const uncounted = { ...terms, counts: NOT_COUNTED }
    new HttpAttempt(owner, node.http, { firstId: 1, count: 1, body, isRead: true }, uncounted, terms.monotonicMs() + timeoutMs).send(AS_IT_IS)
  })
}

/** The value of a result; undefined for an error, where there is no answer, and for one that is none of those asked for here. */
export function resultOf(answer: Answer): unknown {
  if (answer.kind !== 'result' || answer.payload.length > MAX_RESULT_BYTES) return undefined
  const { payload } = answer
  return JSON.parse(fromWire(typeof payload === 'string' ? payload : Buffer.from(payload).toString('latin1')))
}
