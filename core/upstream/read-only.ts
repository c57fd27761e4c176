/**
 * Which methods may be sent twice because they only read. When in doubt a method does not: it has to be known as a
 * read, by its verb or by its name.
 */

/**
 * Look like reads and are none. engine_getPayload builds; a filter is state of the one node that made it, and asking
 * for its changes empties it; work is handed out once; a wallet's new address is used up.
 */
const NOT_READS = /^(?:admin|engine|personal)_|Filter|Work|^get(?:new|rawchange)address$/

/** How a read's verb begins. The verb is the method (`getBalance`, `get_block`, `trace_block`), or what follows its namespace (`eth_getBalance`). */
const READ_VERBS = /^(?:get|call|estimate|simulate|dry_?run|query|list|trace|replay|block)/i

/** Reads whose names are nouns, without their namespace. */
const READ_NOUNS = new Set([
  'accounts',
  'blobBaseFee',
  'chainId',
  'clientVersion',
  'coinbase',
  'content',
  'contentFrom',
  'createAccessList',
  'epochNumber',
  'feeHistory',
  'gasPrice',
  'hashrate',
  'inspect',
  'listening',
  'maxPriorityFeePerGas',
  'mining',
  'modules',
  'peerCount',
  'protocolVersion',
  'sha3',
  'status',
  'syncing',
  'version',
])

/** Whether a method may be asked again when nobody knows what became of it. */
export function isReadOnly(method: string): boolean {
  if (NOT_READS.test(method)) return false
  const verb = method.slice(method.indexOf('_') + 1)
  return READ_VERBS.test(method) || READ_VERBS.test(verb) || READ_NOUNS.has(verb)
}
