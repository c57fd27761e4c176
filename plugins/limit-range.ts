/**
 * limit-range: how many blocks one call of eth_getLogs, eth_newFilter or trace_filter may span, by the caller's tier. The
 * filter that goes upstream is written anew from its documented members, with both ends of the range spelled out, so that
 * the node reads what was judged; a filter that nodes might read differently is Invalid params.
 */
import { blocksIn, definePlugin, network, readBlockFilter, refuse, takesBlockFilter, tier, Type } from '#plugin'
import { MAX_PARTS, partsOf } from './limit-range/parts.ts'
import type { Refusal } from '#plugin'

const UNKNOWN_HEAD = refuse('invalidParams', 'unknown-head', {
  message: 'The head of this chain is not known here, so fromBlock and toBlock must be numbers, or the same tag',
})

/** Methods whose answer is a list, in the order of the blocks. */
const SPLITTABLE = new Set(['eth_getLogs', 'trace_filter'])

export default definePlugin({
  name: 'limit-range',
  priority: 1800,
  summary: 'Limits the blocks that one call for logs or traces may span, by tier.',
  config: {
    max_blocks: Type.Record(Type.String(), Type.Integer({ minimum: 1 }), {
      minProperties: 1,
      default: { free: 1000, paid: 10_000 },
      description: 'Blocks that one call may span, by tier. A caller on no tier, or on one that is not listed, has the smallest of them.',
    }),
    split: Type.Optional(
      Type.Integer({
        minimum: 1,
        description:
          'Longer ranges of eth_getLogs and trace_filter are asked in parts of at most so many blocks, as one batch, and their answers joined. The price is that of the whole range.',
      }),
    ),
    unknown_head: Type.Union([Type.Literal('refuse'), Type.Literal('pass')], {
      default: 'refuse',
      description:
        'What becomes of a range from a number to a tag such as `latest` while the head of the chain is not known, and its length therefore neither.',
    }),
  },
  examples: [{}, { max_blocks: { free: 500, paid: 5000, archive: 100_000 }, split: 1000, unknown_head: 'pass' }],
  onFault: 'refuse',
  reads: [network, tier],
  create({ max_blocks: byTier, unknown_head: unknownHead, split }, host) {
    const limits = new Map(Object.entries(byTier))
    const smallest = Math.min(...limits.values())
    const longest = split ?? Infinity
    const mostParts = Math.ceil(Math.max(...limits.values()) / longest)
    if (mostParts > MAX_PARTS) host.report('error', ['split'], `makes up to ${mostParts} parts of a call, at most ${MAX_PARTS} are allowed`)
    return {
      access(call) {
        if (!takesBlockFilter(call.method)) return undefined
        const filter = readBlockFilter(call.method, call.params, call.paramsText)
        if (typeof filter === 'string') return refuse('invalidParams', 'bad-filter', { message: `Invalid params: ${filter}` })
        const { session } = call
        const blocks = blocksIn(filter.reach, host.chain(session.get(network) ?? ''))
        if (blocks === undefined && unknownHead === 'refuse') return UNKNOWN_HEAD
        const limit = limits.get(session.get(tier) ?? '') ?? smallest
        if (blocks !== undefined && blocks > limit) return tooLong(blocks, limit)
        call.replaceParams([filter.members])
        const parts = blocks !== undefined && blocks > longest && SPLITTABLE.has(call.method) ? partsOf(filter, blocks, longest) : undefined
        if (parts !== undefined) call.askInParts(parts)
        return undefined
      },
    }
  },
})

function tooLong(blocks: number, limit: number): Refusal {
  return refuse('invalidParams', 'range-too-long', { message: `The range is ${blocks} blocks long; ask for at most ${limit} at once`, limit })
}
