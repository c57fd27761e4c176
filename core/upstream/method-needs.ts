/**
 * What is to be known of a method to send it: whether it only reads, and which nodes can answer it. Looked up once for each
 * method and kept.
 */
import { patternMap } from '../plugin/method-patterns.ts'
import { ETHEREUM_RULES } from './ethereum-rules.ts'
import { isRawTransaction } from './raw-transaction.ts'
import { isReadOnly } from './read-only.ts'
import type { Candidates, Pool } from './pool.ts'
import type { MethodRule, Rules } from './spec.ts'
import type { PatternMap } from '../plugin/method-patterns.ts'

/** What is known of a method. */
export interface MethodNeeds {
  readonly isRead: boolean
  /** Whether it sends a signed transaction. */
  readonly isRawTransaction: boolean
  /** The nodes that can answer it, but for those below. */
  readonly candidates: Candidates
  /** The nodes that can answer it at an old block, and the position of the param that names the block. */
  readonly old: { readonly block: number; readonly candidates: Candidates } | undefined
}

/** Methods that are remembered. Chains have some hundreds; the rest is what clients made up. */
const MAX_METHODS = 2000

export class Needs {
  private readonly pool: Pool
  /** Whether any rule that counts looks at how old a block is. */
  readonly wantsHead: boolean
  private readonly recentBlocks: number
  private readonly rules: PatternMap<MethodRule>
  /** Tags that some node has: others are not asked for. */
  private readonly tags: ReadonlySet<string>
  private readonly known = new Map<string, MethodNeeds>()

  constructor(pool: Pool, { recentBlocks, methods }: Rules = ETHEREUM_RULES) {
    this.pool = pool
    this.recentBlocks = recentBlocks
    this.rules = patternMap(Object.entries(methods))
    this.tags = new Set(pool.nodes.flatMap((node) => node.tags))
    this.wantsHead = Object.values(methods).some(({ block, tags }) => block !== undefined && tags.some((tag) => this.tags.has(tag)))
  }

  of(method: string): MethodNeeds {
    const known = this.known.get(method)
    if (known !== undefined) return known
    const needs = this.lookUp(method)
    if (this.known.size < MAX_METHODS) this.known.set(method, needs)
    return needs
  }

  /** The nodes that can answer a call with these params, when the chain's head is at `head`; undefined where nobody knows. */
  candidates({ candidates, old }: MethodNeeds, params: unknown, head: number | undefined): Candidates {
    if (old === undefined) return candidates
    const block = blockNumber(Array.isArray(params) ? params[old.block] : undefined)
    if (block === undefined || (head !== undefined && head - block <= this.recentBlocks)) return candidates
    return old.candidates
  }

  private lookUp(method: string): MethodNeeds {
    const rule = this.rules.find(method)
    const tags = rule?.tags.filter((tag) => this.tags.has(tag)) ?? []
    const serving = this.pool.candidates((node) => node.serves(method))
    const able = tags.length === 0 ? serving : this.pool.candidates((node) => node.serves(method) && node.has(tags))
    const what = { isRead: isReadOnly(method), isRawTransaction: isRawTransaction(method) }
    if (rule?.block === undefined || able === serving) return { ...what, candidates: able, old: undefined }
    return { ...what, candidates: serving, old: { block: rule.block, candidates: able } }
  }
}

/** The number of the block that a param names (EIP-1898 too); undefined for a hash, and for tags that mean a recent one. */
function blockNumber(param: unknown): number | undefined {
  if (typeof param === 'object' && param !== null) return blockNumber((param as { blockNumber?: unknown }).blockNumber)
  if (param === 'earliest') return 0
  return typeof param === 'string' && /^0x[0-9a-f]{1,13}$/i.test(param) ? Number(param) : undefined
}
