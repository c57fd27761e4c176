import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { partsOf } from '../../../plugins/limit-range/parts.ts'

const quantity = (number: number): string => `0x${number.toString(16)}`

test('parts cover a range without a gap or an overlap, in order, none longer than allowed', () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 40 }), fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 5000 }), (from, blocks, longest) => {
      const to = from + blocks - 1
      const members = { address: 'a', fromBlock: quantity(from), toBlock: quantity(to) }
      const parts = partsOf({ reach: { from, to }, members }, blocks, longest)!.map(([part]) => part)
      let next = from
      for (const part of parts) {
        const [first, last] = [Number(part['fromBlock']), Number(part['toBlock'])]
        expect(first).toBe(next)
        expect(last - first + 1).toBeLessThanOrEqual(longest)
        expect(last).toBeGreaterThanOrEqual(first)
        expect(part['address']).toBe('a')
        next = last + 1
      }
      expect(next).toBe(to + 1)
      expect(parts).toHaveLength(Math.ceil(blocks / longest))
    }),
  )
})
