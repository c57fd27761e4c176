import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { digestOf } from '../../core/config/digest.ts'
import { Pieces, takeApart } from '../../core/workers/pieces.ts'
import type { Content } from '../../core/config/snapshot.ts'

const KIB = 1024

test('a content that was taken apart is put together again', () => {
  const bytes = fc.tuple(fc.constantFrom(0, 1, 1023 * KIB, 1024 * KIB, 1024 * KIB + 1, 2048 * KIB, 2500 * KIB), fc.nat(255))
  fc.assert(
    fc.property(fc.array(bytes, { maxLength: 4 }), (files) => {
      const contentOf = ([size, filling]: readonly [number, number], at: number) => {
        const held = new Uint8Array(size).fill(filling)
        return [`/${at}`, { digest: digestOf(held), bytes: held }] as const
      }
      const content: Content = { revoked: ['eve'], files: new Map(files.map(contentOf)), directories: new Map() }
      const { pieces, rest } = structuredClone({ ...takeApart(content), pieces: [...takeApart(content).pieces] })
      expect([...rest.files.values()].every((file) => file.bytes.length <= 1024 * KIB)).toBe(true)
      expect(pieces.every((piece) => piece.bytes.length <= 1024 * KIB)).toBe(true)
      const whole = new Pieces()
      for (const piece of pieces) whole.add(piece)
      const again = whole.putTogether(rest)
      expect({ ...again, files: [...again.files.keys()] }).toEqual({ ...content, files: [...content.files.keys()] })
      for (const [path, file] of content.files) {
        expect(again.files.get(path)!.digest).toBe(file.digest)
        expect(Buffer.compare(again.files.get(path)!.bytes, file.bytes)).toBe(0)
      }
    }),
    { numRuns: 30 },
  )
})
