/**
 * The filters of the methods that read a span of blocks: eth_getLogs, eth_newFilter (EIP-1474, EIP-234) and trace_filter
 * (OpenEthereum's trace module). A filter is read only when every node reads it alike: from members written exactly as they
 * are documented, each at most once. A member that is null is a member that is missing.
 */
import { mayStandTwice } from '../jsonrpc/source-text.ts'
import { isBlockHash, readBlock } from './blocks.ts'
import type { Wire } from '../jsonrpc/wire.ts'
import type { Block, Reach } from './blocks.ts'

/** What a member may be: strings, lists of strings and nulls; or a whole number. */
type Kind = 'texts' | 'count'

interface Shape {
  /** Beside the blocks. */
  readonly members: readonly (readonly [name: string, kind: Kind])[]
  /** All that a filter may have. */
  readonly names: ReadonlySet<string>
  /** The first block where the filter does not say; the last is then the latest. */
  readonly from: Block
}

function shape(from: Block, blocks: readonly string[], members: Readonly<Record<string, Kind>>): Shape {
  return { from, members: Object.entries(members), names: new Set([...blocks, ...Object.keys(members)]) }
}

const LOGS = shape('latest', ['fromBlock', 'toBlock', 'blockHash'], { address: 'texts', topics: 'texts' })
const TRACES = shape('earliest', ['fromBlock', 'toBlock'], { fromAddress: 'texts', toAddress: 'texts', mode: 'texts', after: 'count', count: 'count' })

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
  const { members: known, names, from } = SHAPES.get(method.toLowerCase())!
  if (!Array.isArray(params) || params.length !== 1 || !isObject(params[0])) return 'params must be a list of one filter object'
  const filter = params[0]
  const given = Object.keys(filter)
  const odd = given.find((name) => !names.has(name))
  if (odd !== undefined) return `unknown member ${JSON.stringify(odd.slice(0, 32))}; a filter has only ${[...names].join(', ')}`
  if (mayStandTwice(text ?? '', given)) return 'a member of the filter stands twice'
  const members: Record<string, unknown> = {}
  for (const [name, kind] of known) {
    const value = filter[name] ?? undefined
    if (value === undefined) continue
    if (kind === 'count' ? !isCount(value) : !areTexts(value, MAX_LISTS)) return kind === 'count' ? `${name} must be a whole number` : `${name} must be text`
    members[name] = value
  }
  return withBlocks(filter, members, from)
}

function withBlocks(filter: Readonly<Record<string, unknown>>, members: Readonly<Record<string, unknown>>, first: Block): BlockFilter | string {
  const { blockHash } = filter
  if (blockHash !== undefined && blockHash !== null) {
    if ((filter['fromBlock'] ?? filter['toBlock'] ?? null) !== null) return 'blockHash goes without fromBlock and toBlock'
    return isBlockHash(blockHash) ? { reach: 'hash', members: { blockHash, ...members } } : 'blockHash must be 32 bytes in hex'
  }
  const fromBlock = filter['fromBlock'] ?? first
  const toBlock = filter['toBlock'] ?? 'latest'
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
