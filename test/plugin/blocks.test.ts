import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ageOf, blocksIn, readBlock, readBlockParam } from '../../core/plugin/blocks.ts'
import { knownChain } from '../support/known-chain.ts'
import type { Block, Reach } from '../../core/plugin/blocks.ts'

const HASH = `0x${'aB'.repeat(32)}`
const TAGS = ['latest', 'earliest', 'pending', 'safe', 'finalized'] as const

describe('a block', () => {
  test.each<[string, string | number]>([
    ['0x0', 0],
    ['0x1', 1],
    ['0x1B4', 436],
    ['0xff', 255],
    ['0x1fffffffffffff', Number.MAX_SAFE_INTEGER],
    ...TAGS.map((tag): [string, string] => [tag, tag]),
  ])('%s is one', (value, block) => {
    expect(readBlock(value)).toBe(block)
    expect(readBlockParam(value)).toEqual({ from: block, to: block })
    expect(readBlockParam({ blockNumber: value })).toEqual({ from: block, to: block })
  })

  test.each([
    ['leading zeros', '0x01'],
    ['many leading zeros', `0x${'0'.repeat(60)}1`],
    ['an upper-case prefix', '0X1'],
    ['no digits', '0x'],
    ['a number above every chain', '0x20000000000000'],
    ['a number of a thousand digits', `0x1${'0'.repeat(1000)}`],
    ['a JSON number', 1],
    ['a fraction', 1.5],
    ['decimal digits', '100'],
    ['a sign', '-0x1'],
    ['a sign inside', '0x-1'],
    ['a fraction in hex', '0x1.8'],
    ['an exponent', '0x1p3'],
    ['a digit that is none', '0x1g'],
    ['white space', ' 0x1'],
    ['white space behind', '0x1\n'],
    ['white space behind a tag', 'latest '],
    ['a tag in another letter case', 'Latest'],
    ['a name that every object has', 'constructor'],
    ['no text', ''],
    ['full-width digits', '0x１'],
    ['null', null],
    ['true', true],
    ['a list', ['0x1']],
  ])('%s is none', (_what, value) => {
    expect(readBlock(value)).toBeUndefined()
    expect(readBlockParam(value)).toBeUndefined()
  })

  test('every number has one spelling, in any letter case of its digits, and no other text is a number', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (number) => {
        expect(readBlock(`0x${number.toString(16)}`)).toBe(number)
        expect(readBlock(`0x${number.toString(16).toUpperCase()}`)).toBe(number)
        expect(readBlock(`0x0${number.toString(16)}`)).toBeUndefined()
      }),
    )
    fc.assert(
      fc.property(fc.stringMatching(/^(0x)?[0xX1aFg .-]{0,6}$/), (text) => {
        const block = readBlock(text)
        fc.pre(block !== undefined)
        expect(text.toLowerCase()).toBe(`0x${block.toString(16)}`)
      }),
    )
  })

  test('a hash is one, as a text or in an object', () => {
    for (const value of [HASH, { blockHash: HASH }, { blockHash: HASH, requireCanonical: true }]) expect(readBlockParam(value)).toBe('hash')
  })

  test.each([
    {},
    { blockHash: HASH, blockNumber: '0x1' },
    { blockHash: HASH.slice(0, -1) },
    { blockHash: '0x1' },
    { blockhash: HASH },
    { BlockNumber: '0x1' },
    { blockNumber: '0x1', BLOCKHASH: HASH },
    { blockNumber: '0x1', requireCanonical: 'yes' },
    { blockNumber: HASH },
    { blockNumber: 1 },
    { blockNumber: null, blockHash: null },
    JSON.parse('{"blockNumber":"0x1","__proto__":{}}') as object,
  ])('the object %j is none', (value) => expect(readBlockParam(value)).toBeUndefined())
})

const reach = (from: Block, to: Block = from): Reach => ({ from, to })

describe('blocks in a range', () => {
  test.each([
    [reach(5), undefined, 1],
    [reach('latest'), undefined, 1],
    [reach('finalized'), undefined, 1],
    ['hash' as const, undefined, 1],
    [reach(5, 9), undefined, 5],
    [reach('earliest', 9), undefined, 10],
    [reach(5, 'latest'), undefined, undefined],
    [reach('latest', 5), undefined, undefined],
    [reach('earliest', 'latest'), undefined, undefined],
    [reach(5, 'latest'), knownChain(100), 96],
    [reach(5, 'pending'), knownChain(100), 97],
    [reach('latest', 'pending'), knownChain(100), 2],
    [reach('latest', 109), knownChain(100), 10],
    [reach('earliest', 'latest'), knownChain(100), 101],
    [reach(5, 'finalized'), knownChain(100, 40), 36],
    [reach(5, 'safe'), knownChain(100, 40), 96],
    [reach('finalized', 'latest'), knownChain(100, 40), 61],
    [reach('safe', 'latest'), knownChain(100, 40), 61],
    [reach('finalized', 'latest'), knownChain(100), undefined],
    [reach(5, 'finalized'), knownChain(100), 96],
    // The head that is known may be one behind a node's: a range just above it is no mistake.
    [reach(101, 'latest'), knownChain(100), 1],
    [reach('latest', 5), knownChain(100), 1],
  ])('%j before %o', (of, chain, blocks) => expect(blocksIn(of, chain)).toBe(blocks))

  test('are as many as the numbers say, and never fewer than one', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (from, to) => {
        const blocks = blocksIn(reach(from, to), undefined)!
        expect(BigInt(blocks)).toBe(from > to ? 1n : BigInt(to) - BigInt(from) + 1n)
      }),
    )
  })

  test('are never counted as fewer where tags are used in place of the numbers they stand for', () => {
    const block = fc.oneof(fc.constantFrom(...TAGS), fc.nat({ max: 120 }))
    fc.assert(
      fc.property(block, block, fc.nat({ max: 100 }), fc.nat({ max: 100 }), fc.nat({ max: 100 }), (from, to, a, b, c) => {
        const [finalized, safe, latest] = [a, b, c].sort((x, y) => x - y) as [number, number, number]
        const meaning = { earliest: 0, finalized, safe, latest, pending: latest + 1 }
        const numberOf = (of: Block): number => (typeof of === 'number' ? of : meaning[of])
        const blocks = blocksIn(reach(from, to), knownChain(latest, finalized))!
        expect(blocks).toBeGreaterThanOrEqual(from === to ? 1 : Math.max(1, numberOf(to) - numberOf(from) + 1))
      }),
    )
  })
})

describe('the age of what is read', () => {
  test.each([
    [reach('latest'), undefined, 0],
    [reach('pending'), undefined, 0],
    [reach('latest', 5), undefined, 0],
    [reach(5), undefined, undefined],
    [reach('earliest'), undefined, undefined],
    ['hash' as const, knownChain(100), undefined],
    [reach(5, 90), knownChain(100), 95],
    [reach('earliest', 90), knownChain(100), 100],
    [reach(101), knownChain(100), 0],
    [reach('finalized'), knownChain(100, 40), 60],
    [reach('safe'), knownChain(100, 40), 60],
    [reach('safe'), knownChain(100), undefined],
  ])('%j before %o', (of, chain, age) => expect(ageOf(of, chain)).toBe(age))
})
