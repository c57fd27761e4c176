/**
 * The filters of the methods that read a span of blocks: eth_getLogs, eth_newFilter (EIP-1474, EIP-234) and trace_filter
 * (OpenEthereum's trace module). A filter is read only when every node reads it alike: from members written exactly as they
 * are documented, each at most once. A member that is null is a member that is missing.
 */
import { hasTwins } from '../jsonrpc/source-text.ts'
import { isBlockHash, readBlock } from './blocks.ts'
import type { Wire } from '../jsonrpc/wire.ts'
import type { Block, Reach } from './blocks.ts'

/** What a member may be: strings, lists of strings and nulls; or a whole number. */
type Kind = 'texts' | 'count'

interface Shape {
  /** Beside the blocks. */
  readonly members: Readonly<Record<string, Kind>>
  readonly hasBlockHash: boolean
  /** The first block where the filter does not say; the last is then the latest. */
  readonly from: Block
}

const LOGS: Shape = { members: { address: 'texts', topics: 'texts' }, hasBlockHash: true, from: 'latest' }
const TRACES: Shape = {
  members: { fromAddress: 'texts', toAddress: 'texts', mode: 'texts', after: 'count', count: 'count' },
  hasBlockHash: false,
  from: 'earliest',
}

/** By method in lower case: some nodes look methods up in any letter case (Nethermind). */
const SHAPES: ReadonlyMap<string, Shape> = new Map([
  ['eth_getlogs', LOGS],
  ['eth_newfilter', LOGS],
  ['trace_filter', TRACES],
])
const LENGTHS = new Set([...SHAPES.keys()].map((method) => method.length))

/** A filter that every node reads alike. */
export interface BlockFilter {
  readonly reach: Reach
  /** Its members, the blocks spelled out where it left them to the node. */
  readonly members: Readonly<Record<string, unknown>>
}

/** Whether a method takes a filter of blocks. */
export function takesBlockFilter(method: string): boolean {
  return LENGTHS.has(method.length) && SHAPES.has(method.toLowerCase())
}

/** Reads the filter of a method that takes one, or says what is wrong with it. `text` is what `params` was parsed from. */
export function readBlockFilter(method: string, params: unknown, text: Wire | undefined): BlockFilter | string {
  const shape = SHAPES.get(method.toLowerCase())!
  if (!Array.isArray(params) || params.length !== 1 || !isObject(params[0])) return 'params must be a list of one filter object'
  if (hasTwins(text ?? '')) return 'a member of the filter stands twice'
  const given = Object.fromEntries(Object.entries(params[0]).filter(([, value]) => value !== null))
  const known = ['fromBlock', 'toBlock', ...(shape.hasBlockHash ? ['blockHash'] : []), ...Object.keys(shape.members)]
  const odd = Object.keys(params[0]).find((name) => !known.includes(name))
  if (odd !== undefined) return `unknown member ${JSON.stringify(odd.slice(0, 32))}; a filter has only ${known.join(', ')}`
  const members: Record<string, unknown> = {}
  for (const [name, kind] of Object.entries(shape.members)) {
    const value = given[name]
    if (value === undefined) continue
    if (kind === 'count' ? !isCount(value) : !areTexts(value, MAX_LISTS)) return kind === 'count' ? `${name} must be a whole number` : `${name} must be text`
    members[name] = value
  }
  return withBlocks(given, members, shape)
}

function withBlocks(given: Readonly<Record<string, unknown>>, members: Readonly<Record<string, unknown>>, shape: Shape): BlockFilter | string {
  const { blockHash, fromBlock = shape.from, toBlock = 'latest' } = given
  if (blockHash !== undefined) {
    if (given['fromBlock'] !== undefined || given['toBlock'] !== undefined) return 'blockHash goes without fromBlock and toBlock'
    return isBlockHash(blockHash) ? { reach: 'hash', members: { blockHash, ...members } } : 'blockHash must be 32 bytes in hex'
  }
  const from = readBlock(fromBlock)
  const to = readBlock(toBlock)
  if (from === undefined || to === undefined) {
    return `${from === undefined ? 'fromBlock' : 'toBlock'} must be a number such as 0x1b4, without leading zeros, or a tag such as latest`
  }
  if (typeof from === 'number' && typeof to === 'number' && from > to) return 'fromBlock is above toBlock'
  return { reach: { from, to }, members: { fromBlock, toBlock, ...members } }
}

/** Lists in each other: `topics` is a list that may hold lists. */
const MAX_LISTS = 2

function areTexts(value: unknown, lists: number): boolean {
  if (Array.isArray(value)) return lists > 0 && value.every((item) => item === null || areTexts(item, lists - 1))
  return typeof value === 'string'
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
