/** What no caller of a public gateway should reach: methods that sign with a node's keys, steer the node or rewrite its chain. */
import { methodList } from '#plugin'

/** By kind of harm; `!` excepts what only reads. */
const ADMINISTRATIVE = [
  // keys and accounts of the node
  'personal_* eth_sign* eth_sendTransaction eth_resend eth_accounts eth_requestAccounts eth_coinbase eth_decrypt eth_getEncryptionPublicKey',
  'wallet_* account_* accounts signer_* vault_* sign new_account lock_account unlock_account cfx_sign* cfx_sendTransaction cfx_accounts',
  // peers, processes, databases
  'admin_* les_* db_* plugins_* perm_* opp2p_* bzz_* shh_* unsafe_* dial_seeds dial_peers parity_* !parity_getBlockReceipts',
  'debug_* debug_setHead debug_traceBlockFromFile !debug_trace* !debug_getRaw* !debug_getBadBlocks !debug_storageRangeAt !debug_accountRange',
  'add_node remove_node remove_transaction ping_peers set_* clear_* update_main_logger jemalloc_*',
  // mining and consensus
  'engine_* miner_* clique_* ibft_* qbft_* istanbul_* raft_* eth_submit* submit_block generate_* process_block_without_verify truncate',
  // test nodes
  'anvil_* hardhat_* ganache_* evm_* tenderly_* devnet_* test_*',
].flatMap((line) => line.split(' '))

const isAdministrative = methodList(ADMINISTRATIVE)

/**
 * The administrative method or namespace that a pattern opens in a list; undefined where it opens none.
 * `admits` is the whole list, with its denials.
 */
export function administrationOpenedBy(pattern: string, admits: (method: string) => boolean): string | undefined {
  if (!pattern.endsWith('*')) return isAdministrative(pattern) === true && admits(pattern) ? pattern : undefined
  const prefix = pattern.slice(0, -1)
  return [pattern, ...ADMINISTRATIVE].find((candidate) => {
    const method = candidate.replace('*', 'x')
    return candidate.startsWith(prefix) && isAdministrative(method) === true && admits(method)
  })
}
