import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MAX_SCAN_DEPTH, MORE, SYNTAX, TOO_DEEP, TOO_MANY, ValueScan, skipSpace, skipString, skipValue } from '../../core/jsonrpc/scan.ts'
import { mutatedBytes } from './arbitraries.ts'

const scan = (text: string, maxDepth = 64) => skipValue(Buffer.from(text), 0, maxDepth)

/** Whether bytes are one JSON value with white space around it. */
function isDocument(bytes: Buffer): boolean {
  const end = skipValue(bytes, skipSpace(bytes, 0), MAX_SCAN_DEPTH)
  return end >= 0 && skipSpace(bytes, end) === bytes.length
}

function isParsed(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe('a value is skipped exactly when JSON.parse takes it', () => {
  const texts = [
    ['0', '-0', '10', '1.5', '1e3', '1E+3', '1e-3', '-1.25e10', '123456789012345678901234567890', '""', '"a"', '"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD800"'],
    [
      '"é😀\u2028\u007f"',
      'true',
      'false',
      'null',
      '[]',
      '{}',
      '[ ]',
      '{ }',
      '[1,2]',
      '{"a":1,"b":[{}]}',
      '[[],{}]',
      ' [1 , 2 ]\t\r\n',
      '{"":""}',
      '{"a":1,"a":2}',
    ],
    ['', ' ', '-', '+1', '01', '-01', '1.', '.5', '1.e3', '1e', '1e+', '1 2', '0x10', 'NaN', 'Infinity', '-Infinity', '1_000', '١'],
    ['"', '"a', '"\\', '"\\"', '"\\x41"', '"\\u004"', '"\\u00g0"', '"\\U0041"', '"\n"', '"\t"', '"\0"', "'a'", '"a""b"'],
    [
      'tru',
      'True',
      'truex',
      'nul',
      'nulll',
      'undefined',
      '[',
      ']',
      '{',
      '}',
      '[1',
      '[1,',
      '[,]',
      '[1,]',
      '[1 2]',
      '[1}',
      '{"a":1]',
      '{"a"',
      '{"a":',
      '{"a":}',
      '{"a":1,}',
    ],
    ['{a:1}', '{1:1}', '{"a" 1}', '{"a"::1}', '{,}', '{"a":1 "b":2}', '[]]', '{}}', '[]{}', '// x\n1', '/**/1', '\ufeff1', '1\u00a0', '\v1', '[1]\0'],
  ].flat()
  test.each(texts)('%j', (text) => {
    expect(isDocument(Buffer.from(text))).toBe(isParsed(text))
  })

  test('for generated and mutated documents', () => {
    fc.assert(
      fc.property(mutatedBytes, (bytes) => {
        // The scanner leaves UTF-8 to the decoder; read as latin-1, both see the same characters.
        expect(isDocument(bytes)).toBe(isParsed(bytes.toString('latin1')))
      }),
      { numRuns: 2000 },
    )
  })

  test('for any short text made of the characters that JSON is made of', () => {
    const text = fc.string({ unit: fc.constantFrom(...'[]{}":,\\ \n-+.0123eEtrufalsn'.split('')), maxLength: 8 })
    fc.assert(
      fc.property(text, (text) => {
        expect(isDocument(Buffer.from(text))).toBe(isParsed(text))
      }),
      { numRuns: 5000 },
    )
  })

  test('for numbers in every spelling', () => {
    const number = fc.tuple(
      fc.constantFrom('', '-', '+', '--'),
      fc.constantFrom('', '0', '00', '7', '10', '9007199254740993'),
      fc.constantFrom('', '.', '.0', '.50'),
      fc.constantFrom('', 'e', 'E5', 'e+5', 'e-', 'e-05', 'ee1', 'e1.5'),
    )
    fc.assert(
      fc.property(number, (parts) => {
        expect(isDocument(Buffer.from(parts.join('')))).toBe(isParsed(parts.join('')))
      }),
      { numRuns: 1000 },
    )
  })
})

test('skipping ends where the value ends', () => {
  expect(scan('"a" ')).toBe(3)
  expect(scan('[1,[2]],3')).toBe(7)
  expect(scan('12,')).toBe(2)
  expect(scan('nullx')).toBe(4)
  expect(skipString(Buffer.from('x"a\\"b"y'), 1)).toBe(7)
})

test('bytes of a larger buffer are none of its business', () => {
  expect(skipValue(Buffer.from('"abc"').subarray(0, 4), 0, 64)).toBe(SYNTAX)
  expect(skipValue(Buffer.from('[true]').subarray(0, 3), 0, 64)).toBe(SYNTAX)
})

describe('depth', () => {
  const arrays = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)

  test('is the number of containers open at once', () => {
    expect(scan(arrays(64))).toBe(128)
    expect(scan(arrays(65))).toBe(TOO_DEEP)
    expect(scan(`[${'[],'.repeat(1000)}[]]`, 2)).toBe(3004)
    expect(scan('{"a":{"b":[]}}', 2)).toBe(TOO_DEEP)
    expect(scan('1', 0)).toBe(1)
    expect(scan('[]', 0)).toBe(TOO_DEEP)
  })

  test('is told before the syntax of what lies deeper', () => {
    expect(scan(`${'['.repeat(100)}garbage`, 10)).toBe(TOO_DEEP)
  })

  test('ends at the size of the container stack, whatever is asked', () => {
    expect(scan(arrays(MAX_SCAN_DEPTH), Infinity)).toBe(2 * MAX_SCAN_DEPTH)
    expect(scan(arrays(MAX_SCAN_DEPTH + 1), Infinity)).toBe(TOO_DEEP)
  })
})

describe('values', () => {
  const most = (text: string) => Array.from({ length: 12 }, (_, max) => skipValue(Buffer.from(text), 0, 64, max)).indexOf(text.length)

  test.each([
    ['1', 1],
    ['"a"', 1],
    ['[]', 1],
    ['{ }', 1],
    ['[1]', 2],
    ['{"a":1}', 2],
    ['[[],{}]', 3],
    ['[[],{},[[]]]', 5],
    ['{"a":[1,2],"b":{"c":null}}', 6],
  ])('%s holds as many as JSON.parse finds in it: %i', (text, count) => {
    expect(most(text)).toBe(count)
    expect(skipValue(Buffer.from(text), 0, 64, count - 1)).toBe(TOO_MANY)
  })
})

/** Scans a value that comes in these pieces; where it ends, counted from the beginning. */
function scanPieces(scan: ValueScan, pieces: readonly Buffer[], maxDepth = 64, maxValues = Infinity): number {
  scan.begin(maxDepth, maxValues)
  let base = 0
  for (const piece of pieces) {
    const end = scan.scan(piece, 0)
    if (end !== MORE) return end < 0 ? end : base + end
    base += piece.length
  }
  return scan.finish(base)
}

/** Pieces of so many bytes. */
function cut(bytes: Buffer, length: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / length) }, (_, i) => bytes.subarray(i * length, (i + 1) * length))
}

describe('in pieces', () => {
  test('a value ends where it ends in one piece', () => {
    const scan = new ValueScan()
    fc.assert(
      fc.property(mutatedBytes, fc.array(fc.nat(40), { maxLength: 8 }), (bytes, lengths) => {
        const pieces: Buffer[] = []
        let at = 0
        for (const length of lengths) pieces.push(bytes.subarray(at, (at += length)))
        pieces.push(bytes.subarray(at))
        expect(scanPieces(scan, pieces)).toBe(skipValue(bytes, 0, 64))
      }),
      { numRuns: 3000 },
    )
  })

  test('each byte for itself', () => {
    const text = '{"a\\u00e9":[-1.5e+3,0,true,null,{"":"\\n\\"x"}],"b":[[],{}]}'
    const bytes = Buffer.from(text)
    expect(scanPieces(new ValueScan(), cut(bytes, 1))).toBe(bytes.length)
  })
})

describe('what is large', () => {
  const flaw = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom('"', '\\', ',', ':', '{', ']', ' ', '\n', '1', '\0'))

  test('has the same answer in the machine, with and without flaws, in pieces of any size', () => {
    const few = fc.constantFrom(Infinity, 10, 1000)
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), fc.option(flaw), few, few, fc.integer({ min: 1025, max: 9000 }), (item, flaw, maxDepth, maxValues, length) => {
        const bytes = Buffer.from(`[${Array.from({ length: Math.ceil(12_000 / (item.length + 1)) }, () => item).join(',')}]`)
        if (flaw !== null) bytes.write(flaw[1], Math.floor(flaw[0] * bytes.length))
        // Pieces of 1000 bytes are too small for the machine.
        const [small, inPieces, whole] = [1000, length, bytes.length].map((length) => {
          const scan = new ValueScan()
          const end = scanPieces(scan, cut(bytes, length), maxDepth, maxValues)
          return { end, values: end < 0 ? undefined : scan.values }
        })
        expect(inPieces).toEqual(small)
        expect(whole).toEqual(small)
      }),
      { numRuns: 1000 },
    )
  })

  test('a long string ends where it ends, wherever it begins', () => {
    for (const [ending, isEnd] of [
      ['"', true],
      ['\\"', false],
      ['\n', false],
      ['\0', false],
      ['\u007f"', true],
      ['\u00ff"', true],
      ['\u0020!#"', true],
    ] as const) {
      for (let start = 0; start < 16; start++) {
        for (let length = 1000; length < 1060; length++) {
          const text = `${' '.repeat(start)}"${'é'.repeat(8)}${'x'.repeat(length)}${ending}`
          expect(skipValue(Buffer.from(text), start, 0)).toBe(isEnd ? Buffer.byteLength(text) : SYNTAX)
        }
      }
    }
  })

  test('scans that take turns do not get into each other', () => {
    const deep = Buffer.from('[{"a":'.repeat(2000) + '1' + '}]'.repeat(2000))
    const flat = Buffer.from(`[${'[1,"a"],'.repeat(2000)}2]`)
    const scans = [deep, flat].map((bytes) => ({ bytes, scan: new ValueScan(), at: 0, end: MORE as number }))
    for (const { scan } of scans) scan.begin(MAX_SCAN_DEPTH)
    while (scans.some(({ end }) => end === MORE)) {
      for (const turn of scans.filter(({ end }) => end === MORE)) {
        const end = turn.scan.scan(turn.bytes.subarray(turn.at, turn.at + 3000), 0)
        turn.end = end < 0 ? end : turn.at + end
        turn.at += 3000
      }
    }
    expect(scans.map(({ end }) => end)).toEqual([deep.length, flat.length])
    expect(scans.map(({ scan }) => scan.values)).toEqual([4001, 6002])
  })
})
