/**
 * Signed transactions: however often and to however many nodes one is sent, it takes place once. That is why it may go to
 * several at once, and why a node that has it already has accepted it.
 */
import { createHash, getHashes } from 'node:crypto'
import type { Wire } from '../jsonrpc/wire.ts'

/** Names that say it: `eth_sendRawTransaction`, `cfx_sendRawTransaction`, `sendrawtransaction`. One that is sent in private is not to be told to all. */
const SENDERS = /^(?:[a-z]+_)?send_?raw_?transaction(?:sync|conditional)?$|^author_submitExtrinsic$|^broadcast_tx_(?:async|sync)$/i

/** Whether a method sends a transaction that is signed already. */
export function isRawTransaction(method: string): boolean {
  return SENDERS.test(method)
}

/** Ethereum's Keccak-256, which is not SHA3-256. OpenSSL has it since 3.2, which Node 24.0 does not bring yet. */
const KECCAK = getHashes().includes('keccak-256') ? 'keccak-256' : undefined

const HEX_PARAM = /^\s*\[\s*"0x((?:[0-9a-f]{2})+)"\s*\]\s*$/i

/** EIP-4844's type; on its way to a pool, other things are packed up with it that its hash does not cover. */
const BLOB_TYPE = 0x03

/**
 * What eth_sendRawTransaction answers: the hash of the transaction in these params, as source text. Undefined for what is no
 * transaction of Ethereum, and where this Node cannot compute it.
 */
export function transactionHash(method: string, paramsText: Wire | undefined): Wire | undefined {
  const hex = method === 'eth_sendRawTransaction' ? HEX_PARAM.exec(paramsText ?? '')?.[1] : undefined
  if (hex === undefined || KECCAK === undefined) return undefined
  const bytes = Buffer.from(hex, 'hex')
  const hash = createHash(KECCAK)
  if (bytes[0] === BLOB_TYPE) hash.update(bytes.subarray(0, 1)).update(blobTransaction(bytes))
  else hash.update(bytes)
  return `"0x${hash.digest('hex')}"`
}

/** The transaction of type 3 without its blobs: where the list begins with a list, that is it (EIP-4844, "Networking"). */
function blobTransaction(bytes: Buffer): Buffer {
  const inner = 1 + headBytes(bytes, 1)
  if ((bytes[inner] ?? 0) < 0xc0) return bytes.subarray(1)
  return bytes.subarray(inner, inner + headBytes(bytes, inner) + listBytes(bytes, inner))
}

/** Of the RLP list at `at`: bytes of its head, and of what follows (Yellow Paper, appendix B). */
function headBytes(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0
  return first > 0xf7 ? 1 + first - 0xf7 : 1
}

function listBytes(bytes: Buffer, at: number): number {
  const first = bytes[at] ?? 0
  let length = first - 0xc0
  if (first > 0xf7) {
    length = 0
    for (let i = 1; i < headBytes(bytes, at); i++) length = length * 256 + (bytes[at + i] ?? 0)
  }
  return length
}
