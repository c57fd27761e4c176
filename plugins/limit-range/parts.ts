/** A long range of blocks as several short ones. */
import type { BlockFilter } from '#plugin'

/** Parts of one call. Each is a request to a node; Geth's own bound on a batch is 1000. */
export const MAX_PARTS = 100

/**
 * Filters that together find what a filter over so many blocks finds, in the same order, none of them longer than
 * `longest`; undefined where it cannot be told in parts: one that is a page of the answer, or that begins or ends at a
 * block whose number the node knows better. They are of equal length, so that the last one, which may go up to the latest
 * block, is not all beyond a node that is a little behind.
 */
export function partsOf(
  { reach, members }: BlockFilter,
  blocks: number,
  longest: number,
): readonly (readonly [Readonly<Record<string, unknown>>])[] | undefined {
  if (reach === 'hash' || 'after' in members || 'count' in members) return undefined
  const first = reach.from === 'earliest' ? 0 : reach.from
  if (typeof first !== 'number' || (typeof reach.to !== 'number' && reach.to !== 'latest')) return undefined
  const count = Math.ceil(blocks / longest)
  const begin = (part: number): number => first + Math.floor((part * blocks) / count)
  return Array.from({ length: count }, (_, part) => {
    const toBlock = part === count - 1 ? members['toBlock'] : quantity(begin(part + 1) - 1)
    return [{ ...members, fromBlock: quantity(begin(part)), toBlock }]
  })
}

function quantity(number: number): string {
  return `0x${number.toString(16)}`
}
