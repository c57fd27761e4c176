/**
 * What a node's JSON-RPC error is about: the call, and then it is the answer, or the node itself, and then another node
 * is asked. One table for all methods; the first row that fits decides, and what fits none is an answer.
 *
 * Texts of errors may carry what a contract or a client wrote, so rows about the call come first, and nothing that a client
 * can bring about is held against a node unless another node could answer.
 */
import { fromWire } from '../jsonrpc/wire.ts'
import type { Payload } from '../jsonrpc/encode.ts'

/** What a node says about itself. */
export interface NodeFault {
  /** A closed word. */
  readonly why: 'behind' | 'no-history' | 'not-synced' | 'rate-limited' | 'node-internal'
  /** Whether it is held against the node at once; else only once another node has answered the call. */
  readonly isCertain: boolean
}

interface Row {
  readonly codes?: readonly number[]
  readonly says?: RegExp
  /** Undefined where the error is about the call. */
  readonly fault: NodeFault | undefined
}

/** Errors over this size carry data of the call, and are not looked into. */
const MAX_ERROR_BYTES = 8192

const BEHIND: NodeFault = { why: 'behind', isCertain: false }
const NO_HISTORY: NodeFault = { why: 'no-history', isCertain: false }
const NOT_SYNCED: NodeFault = { why: 'not-synced', isCertain: false }
const RATE_LIMITED: NodeFault = { why: 'rate-limited', isCertain: true }
const NODE_INTERNAL: NodeFault = { why: 'node-internal', isCertain: false }

const ROWS: readonly Row[] = [
  // The EVM's word about the call. Code 3 is geth's for a revert; others say it with -32000, -32015 or -32603.
  { codes: [3, -32015], fault: undefined },
  {
    says: /\brevert|out of gas|invalid opcode|invalid jump|stack (?:under|over)flow|vm execution|gas required exceeds|exceeds (?:block )?gas limit/,
    fault: undefined,
  },
  // The pool's word about a transaction.
  {
    says: /nonce|already known|known transaction|already imported|already exists|underpriced|insufficient funds|intrinsic gas|fee cap|max fee|tip above/,
    fault: undefined,
  },
  // JSON-RPC 2.0 section 5.1 and EIP-1474: the request, its method, its params; a transaction that was rejected.
  { codes: [-32700, -32600, -32601, -32602, -32003, -32004, -32006], fault: undefined },
  // The call asks for more than the node gives anybody.
  {
    says: /query returned more than|block range|range (?:is )?too (?:large|wide)|too many (?:results|logs|blocks)|response (?:size|is too large|too large)|result (?:size|set)|timed? ?out/,
    fault: undefined,
  },
  // -32005 is "limit exceeded" (EIP-1474); providers also bring HTTP's 429 as the code.
  { codes: [-32005, 429], fault: RATE_LIMITED },
  {
    says: /too many requests|rate.?limit|request limit|(?:capacity|quota|credits?|compute units?).{0,40}exceeded|exceeded.{0,40}(?:capacity|quota|credits?|compute units?)/,
    fault: RATE_LIMITED,
  },
  // 4444 is "pruned history unavailable" (execution-apis).
  { codes: [4444], fault: NO_HISTORY },
  {
    says: /missing trie node|state (?:is )?(?:not available|unavailable|pruned|missing)|historical state|history (?:is )?(?:pruned|unavailable|not available)|pruned|distance to target block/,
    fault: NO_HISTORY,
  },
  {
    says: /header (?:for hash )?not found|unknown block|block (?:\S+ )?not found|could not find block|block (?:\S+ )?(?:is )?not available|cannot query unfinalized|after last accepted block/,
    fault: BEHIND,
  },
  { says: /not (?:yet )?synced|syncing|still sync/, fault: NOT_SYNCED },
  { codes: [-32603], fault: NODE_INTERNAL },
  { says: /internal (?:server |json-rpc )?error|method handler crashed|no backend|bad gateway|service unavailable/, fault: NODE_INTERNAL },
]

/** What an error object says about the node that sent it; undefined where it is about the call. `status` is that of the HTTP answer. */
export function nodeFault(error: Payload, status: number): NodeFault | undefined {
  if (status === 429) return RATE_LIMITED
  const { code, message } = read(error)
  for (const { codes, says, fault } of ROWS) if (codes?.includes(code) === true || says?.test(message) === true) return fault
  return undefined
}

/** Whether an error says that the node has the transaction already. */
export function isKnownTransaction(error: Payload): boolean {
  return /already ?known|known transaction|already imported|already exists/.test(read(error).message)
}

/** Code and message in lower case; what is too large, or broken, has none. */
function read(error: Payload): { code: number; message: string } {
  if (error.length > MAX_ERROR_BYTES) return { code: 0, message: '' }
  const text = typeof error === 'string' ? error : Buffer.from(error).toString('latin1')
  const { code, message } = JSON.parse(fromWire(text)) as { code?: unknown; message?: unknown }
  return { code: Number(code), message: String(message).toLowerCase() }
}
