/**
 * Blocks as Ethereum's JSON-RPC names them: by a number, which is a QUANTITY (EIP-1474), by a tag, or by a hash
 * (EIP-1898). What is written in any other way (leading zeros, `0X`, a JSON number, a tag in another letter case) is
 * read differently by different nodes, and therefore not at all here.
 */
import type { ChainView } from './define.ts'

const TAGS = ['latest', 'earliest', 'pending', 'safe', 'finalized'] as const

/** A block by its number or by what it is called. */
export type Block = number | (typeof TAGS)[number]

/** The blocks that a call reads: all from one to another, both included, or the one that has a certain hash. */
export type Reach = { readonly from: Block; readonly to: Block } | 'hash'

const QUANTITY = /^0x(?:0|[1-9a-fA-F][0-9a-fA-F]*)$/
const HASH = /^0x[0-9a-fA-F]{64}$/

/** A block by number or tag; undefined for what is neither, or is a number that no chain reaches. */
export function readBlock(value: unknown): Block | undefined {
  if (typeof value !== 'string') return undefined
  const tag = TAGS.find((known) => known === value)
  if (tag !== undefined) return tag
  const number = QUANTITY.test(value) ? Number(value) : NaN
  return Number.isSafeInteger(number) ? number : undefined
}

/** Whether a value is a hash as blocks and transactions have one. */
export function isBlockHash(value: unknown): boolean {
  return typeof value === 'string' && HASH.test(value)
}

/** The one block that a param names: number, tag, hash, or one of the objects of EIP-1898. Undefined for all else. */
export function readBlockParam(value: unknown): Reach | undefined {
  if (isBlockHash(value)) return 'hash'
  if (value === null || typeof value !== 'object') return single(readBlock(value))
  const { blockHash, blockNumber, requireCanonical = false, ...others } = value as Readonly<Record<string, unknown>>
  if (Object.keys(others).length > 0 || typeof requireCanonical !== 'boolean') return undefined
  if (blockHash === undefined) return single(readBlock(blockNumber))
  return blockNumber === undefined && isBlockHash(blockHash) ? 'hash' : undefined
}

function single(block: Block | undefined): Reach | undefined {
  return block === undefined ? undefined : { from: block, to: block }
}

/** How many blocks are read, at most; undefined where that takes a head that is not known. What ends before it begins counts as one. */
export function blocksIn(reach: Reach, chain: ChainView | undefined): number | undefined {
  if (reach === 'hash' || reach.from === reach.to) return 1
  const from = lowest(reach.from, chain)
  const to = highest(reach.to, chain)
  return from === undefined || to === undefined ? undefined : Math.max(1, to - from + 1)
}

/** How far behind the head the oldest block is that is read; undefined where nobody can tell. */
export function ageOf(reach: Reach, chain: ChainView | undefined): number | undefined {
  if (reach === 'hash') return undefined
  if (reach.from === 'latest' || reach.from === 'pending') return 0
  const from = lowest(reach.from, chain)
  const head = chain?.head()
  return from === undefined || head === undefined ? undefined : Math.max(0, head.number - from)
}

/** The lowest number that a block can have. */
function lowest(block: Block, chain: ChainView | undefined): number | undefined {
  // What is safe is not older than what is final.
  return block === 'safe' || block === 'finalized' ? chain?.finalized() : highest(block, chain)
}

/** The highest number that a block can have. */
function highest(block: Block, chain: ChainView | undefined): number | undefined {
  if (typeof block === 'number') return block
  if (block === 'earliest') return 0
  const head = chain?.head()?.number
  if (block === 'finalized') return chain?.finalized() ?? head
  return block === 'pending' && head !== undefined ? head + 1 : head
}
