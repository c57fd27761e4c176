/** Which blocks a call reads, for the methods of Ethereum's JSON-RPC of which that can be told from the params. */
import { mayStandTwice } from '../jsonrpc/source-text.ts'
import { readBlockFilter, takesBlockFilter } from './block-filter.ts'
import { readBlockParam } from './blocks.ts'
import type { Wire } from '../jsonrpc/wire.ts'
import type { Reach } from './blocks.ts'

/** The position of the param that names the block. */
const BLOCK_PARAMS: Readonly<Record<string, number>> = {
  eth_getBlockByNumber: 0,
  eth_getBlockReceipts: 0,
  eth_getBlockTransactionCountByNumber: 0,
  eth_getHeaderByNumber: 0,
  eth_getTransactionByBlockNumberAndIndex: 0,
  eth_getUncleByBlockNumberAndIndex: 0,
  eth_getUncleCountByBlockNumber: 0,
  eth_getBalance: 1,
  eth_getCode: 1,
  eth_getTransactionCount: 1,
  eth_getStorageAt: 2,
  eth_getProof: 2,
  eth_call: 1,
  eth_createAccessList: 1,
  eth_estimateGas: 1,
  eth_feeHistory: 1,
  eth_simulateV1: 1,
  debug_traceBlockByNumber: 0,
  debug_traceCall: 1,
  trace_block: 0,
  trace_call: 2,
  trace_callMany: 1,
  trace_replayBlockTransactions: 0,
}

const LATEST: Reach = { from: 'latest', to: 'latest' }

/** The position of the param that names a method's block; undefined for methods of which that is not known. */
export function blockParamOf(method: string): number | undefined {
  return Object.hasOwn(BLOCK_PARAMS, method) ? BLOCK_PARAMS[method] : undefined
}

/**
 * The blocks that a call reads; undefined where nobody can tell. `position` is that of the param that names the block.
 * A block that is left out is the latest.
 */
export function reachOf(method: string, params: unknown, text: Wire | undefined, position = blockParamOf(method)): Reach | undefined {
  if (takesBlockFilter(method)) {
    const filter = readBlockFilter(method, params, text)
    return typeof filter === 'string' ? undefined : filter.reach
  }
  if (position === undefined || !Array.isArray(params)) return undefined
  const named: unknown = params[position]
  if (named === undefined) return LATEST
  if (named !== null && typeof named === 'object' && mayStandTwice(text ?? '', Object.keys(named))) return undefined
  return readBlockParam(named)
}
