/**
 * What Ethereum's methods need of a node. A node that prunes keeps the state of the newest 128 blocks (geth's default); a block's
 * param is where the execution-apis specification has it.
 */
import type { MethodRule, Rules } from './spec.ts'

const TRACE: MethodRule = { tags: ['trace'], block: undefined }

function archive(block: number): MethodRule {
  return { tags: ['archive'], block }
}

export const ETHEREUM_RULES: Rules = {
  recentBlocks: 128,
  methods: {
    'debug_*': TRACE,
    'trace_*': TRACE,
    eth_getBalance: archive(1),
    eth_getCode: archive(1),
    eth_getTransactionCount: archive(1),
    eth_call: archive(1),
    eth_estimateGas: archive(1),
    eth_createAccessList: archive(1),
    eth_getStorageAt: archive(2),
    eth_getProof: archive(2),
  },
}
