/**
 * What may be kept of which method's answers, and for how long. An answer is kept for long only when no node can come to
 * give another: it never changes, it is about a block that is named by its hash, or about blocks that are final. What else
 * depends on the chain is kept until the head moves: near the head two nodes may be on different branches, and one that is
 * behind may have answered.
 */
import { blockParamOf, isBlockHash, reachOf, takesBlockFilter, Type } from '#plugin'
import type { Block, Call, ChainView, Reach, Result, Static } from '#plugin'

export const RuleSchema = Type.Union([
  Type.Literal('forever'),
  Type.Literal('hash'),
  Type.Literal('mined'),
  Type.Literal('blocks'),
  Type.Literal('head'),
  Type.Literal('never'),
  Type.Object({ block: Type.Integer({ minimum: 0, description: 'The position.' }) }),
])

type RuleYaml = Static<typeof RuleSchema>
type Word = Extract<RuleYaml, string>

/** A rule: `position` is that of the param that names the block, where that is known. */
export interface Rule {
  readonly word: Exclude<Word, 'never'>
  readonly position: number | undefined
}

const methods = (names: string, rule: Word): [string, RuleYaml][] => names.split(/\s+/).map((name) => [name, rule])

/** Ethereum's reads. eth_estimateGas is none of them: without a block it looks at what is pending. */
const ETHEREUM: readonly (readonly [string, RuleYaml])[] = [
  ...methods('eth_chainId net_version web3_sha3', 'forever'),
  ...methods('eth_getBlockByHash eth_getBlockTransactionCountByHash eth_getHeaderByHash eth_getTransactionByBlockHashAndIndex', 'hash'),
  ...methods('eth_getUncleByBlockHashAndIndex eth_getUncleCountByBlockHash debug_traceBlockByHash', 'hash'),
  ...methods('eth_getTransactionByHash eth_getTransactionReceipt', 'mined'),
  ...methods('eth_getBlockByNumber eth_getBlockReceipts eth_getBlockTransactionCountByNumber eth_getHeaderByNumber', 'blocks'),
  ...methods('eth_getTransactionByBlockNumberAndIndex eth_getUncleByBlockNumberAndIndex eth_getUncleCountByBlockNumber', 'blocks'),
  ...methods('eth_getBalance eth_getCode eth_getStorageAt eth_getTransactionCount eth_getProof eth_call eth_createAccessList', 'blocks'),
  ...methods('eth_getLogs eth_feeHistory eth_simulateV1 debug_traceBlockByNumber debug_traceCall', 'blocks'),
  ...methods('trace_block trace_call trace_callMany trace_filter trace_replayBlockTransactions', 'blocks'),
  ...methods('eth_blockNumber eth_gasPrice eth_maxPriorityFeePerGas eth_blobBaseFee', 'head'),
]

/** What acts, hands out once, or belongs to one connection or one node. */
const NOT_READS = /^(?:admin|engine|miner|personal)_|_(?:un)?subscribe$|_send|_sign|_submit|_getWork$|Filter/

/** The rules by method: Ethereum's, and in their place or beside them those of the configuration. `report` is told what cannot be. */
export function compileRules(own: Readonly<Record<string, RuleYaml>>, report: (method: string, problem: string) => void): ReadonlyMap<string, Rule> {
  const rules = new Map<string, Rule>()
  for (const [method, rule] of [...ETHEREUM, ...Object.entries(own)]) {
    rules.delete(method)
    if (rule === 'never') continue
    const [word, position] = typeof rule === 'string' ? [rule, blockParamOf(method)] : (['blocks', rule.block] as const)
    const isUnknown = word === 'blocks' && position === undefined && !takesBlockFilter(method)
    if (NOT_READS.test(method)) report(method, 'is not a read, and never kept')
    else if (isUnknown) report(method, 'it is not known which param names a block: write { block: POSITION }')
    else rules.set(method, { word, position })
  }
  return rules
}

/** For how long an answer is good. */
export interface Validity {
  /** Until the head is another than this one; undefined is for long. */
  readonly head: string | undefined
  /** Until a block up to this number is replaced: -1 for what depends on no block, Infinity for what may depend on any. */
  readonly block: number
}

const FOREVER: Validity = { head: undefined, block: -1 }
/** For as long as no block is replaced. */
export const ANY_BLOCK: Validity = { head: undefined, block: Infinity }

/** For how long the answer to a call is good; 'head-unknown' where that takes a head, and undefined where it must not be kept. */
export function validityOf({ word, position }: Rule, call: Call, chain: ChainView | undefined): Validity | 'head-unknown' | undefined {
  if (word === 'forever') return FOREVER
  if (word === 'head') return untilHeadMoves(chain)
  if (word === 'hash' || word === 'mined') {
    if (!Array.isArray(call.params) || !isBlockHash(call.params[0])) return undefined
    return word === 'hash' ? ANY_BLOCK : untilHeadMoves(chain)
  }
  const reach = reachOf(call.method, call.params, call.paramsText, position)
  return reach === undefined ? undefined : validityOfReach(reach, chain)
}

function validityOfReach(reach: Reach, chain: ChainView | undefined): Validity | 'head-unknown' | undefined {
  if (reach === 'hash') return ANY_BLOCK
  const { from, to } = reach
  if (from === 'pending' || to === 'pending') return undefined
  const last = Math.max(numberOf(from), numberOf(to))
  const head = chain?.head()
  if (head !== undefined && last < Infinity && last > head.number) return undefined
  return last <= (chain?.finalized() ?? -1) ? { head: undefined, block: last } : untilHeadMoves(chain)
}

/** Infinity for what the head decides. */
function numberOf(block: Block): number {
  if (typeof block === 'number') return block
  return block === 'earliest' ? 0 : Infinity
}

function untilHeadMoves(chain: ChainView | undefined): Validity | 'head-unknown' {
  const head = chain?.head()
  return head === undefined ? 'head-unknown' : { head: head.hash, block: Infinity }
}

const BLOCK_NUMBER = /"blockNumber":\s*"(0x[0-9a-f]{1,13})"/

/** For how long the answer is good, now that it is there; undefined for a transaction that is in no block yet. */
export function validityOfAnswer({ word }: Rule, asked: Validity, answer: Result['payload'], chain: ChainView | undefined): Validity | undefined {
  if (word !== 'mined') return asked
  const number = BLOCK_NUMBER.exec(typeof answer === 'string' ? answer : Buffer.from(answer).toString('latin1'))?.[1]
  if (number === undefined) return undefined
  return Number(number) <= (chain?.finalized() ?? -1) ? { head: undefined, block: Number(number) } : asked
}
