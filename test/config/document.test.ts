import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Document, readText } from '../../core/config/document.ts'
import { formatProblem } from '../../core/config/problem.ts'
import { anyYaml } from './fixtures.ts'

function read(text: string, env: Record<string, string> = {}): { document: Document; printed: string[] } {
  const reading = readText('f.yaml', text, env)
  return { document: new Document('f.yaml', reading), printed: reading.problems.map(formatProblem) }
}

const valueOf = (text: string, env: Record<string, string> = {}): unknown => read(text, env).document.value

describe('values', () => {
  test.for<[string, unknown]>([
    ['7', 7],
    ['-1', -1],
    ['0x10', 16],
    ['1.5', 1.5],
    ['"7"', '7'],
    ["'7'", '7'],
    ['true', true],
    ['yes', 'yes'],
    ['', null],
    ['~', null],
    ['a: ', { a: null }],
    ['[1, [2, {a: b}]]', [1, [2, { a: 'b' }]]],
    ['- a\n- b: 1\n  c: |\n    x\n    y\n', ['a', { b: 1, c: 'x\ny\n' }]],
    ['2026-01-01', '2026-01-01'],
    ['1: one\n1e3: thousand', { 1: 'one', '1e3': 'thousand' }],
    ['!!str 7', '7'],
    ['\u{feff}a: 1', { a: 1 }],
    ['--- # a comment\na: 1\n...\n', { a: 1 }],
    ['{"a": [1, 2.5e3, null, "\\u0041"]}', { a: [1, 2500, null, 'A'] }],
  ])('%j', ([text, value]) => {
    expect(read(text).printed).toEqual([])
    expect(valueOf(text)).toEqual(value)
  })

  test('__proto__ is a key like any other', () => {
    const value = valueOf('__proto__: { polluted: 1 }\na: &a { __proto__: 2 }\nb: *a') as Record<string, object>
    expect(Object.keys(value)).toEqual(['__proto__', 'a', 'b'])
    expect(Object.keys(value['b']!)).toEqual(['__proto__'])
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  test('an alias is a copy', () => {
    const value = valueOf('a: &a { list: [1] }\nb: *a') as Record<string, { list: number[] }>
    expect(value['b']).toEqual(value['a'])
    expect(value['b']!.list).not.toBe(value['a']!.list)
  })

  test('a merge key has no meaning in YAML 1.2', () => {
    expect(valueOf('a: &a { x: 1 }\nb: { <<: *a }')).toEqual({ a: { x: 1 }, b: { '<<': { x: 1 } } })
  })
})

describe('lines', () => {
  const text = 'a: 1\nlist:\n  - x\n  -\n    b: 2\n    c:\n      d: &d { e: 1,\n        f: 2 }\n"quoted key": 3\nalias: *d\nempty:\n'
  test.for<[(string | number)[], number]>([
    [[], 1],
    [['a'], 1],
    [['list'], 2],
    [['list', 0], 3],
    [['list', 1], 5],
    [['list', 1, 'b'], 5],
    [['list', 1, 'c', 'd', 'f'], 8],
    [['list', 1, 'nowhere', 'deeper'], 5],
    [['list', 7], 2],
    [['quoted key'], 9],
    [['alias'], 10],
    [['alias', 'f'], 8],
    [['empty'], 11],
  ])('%j is on line %i', ([path, line]) => {
    expect(read(text).document.lineOf(path)).toBe(line)
  })

  test('are counted alike whatever ends them', () => {
    expect(read(text.replaceAll('\n', '\r\n')).document.lineOf(['list', 1, 'c', 'd', 'f'])).toBe(8)
    expect(read(text.replaceAll('\n', '\r')).document.lineOf(['list', 1, 'c', 'd', 'f'])).toBe(8)
  })

  test('of the flow mapping within a flow list', () => {
    expect(read('[\n  a: 1,\n  b: 2\n]').document.lineOf([1, 'b'])).toBe(3)
  })
})

describe('variables', () => {
  const env = { NAME: 'value', NUMBER: '42', EMPTY: '', TRICK: '${NAME}', YAML: 'a: [1' }
  test.for<[string, unknown]>([
    ['${NAME}', 'value'],
    ['a ${NAME} b ${NAME}', 'a value b value'],
    ['${NUMBER}', 42],
    ['"${NUMBER}"', '42'],
    ['${EMPTY}', null],
    ['"${EMPTY}"', ''],
    ['${NUMBER}0', 420],
    ['$${NAME}', '${NAME}'],
    ['$NAME', '$NAME'],
    ['${TRICK}', '${NAME}'],
    ['${YAML}', 'a: [1'],
    ['"${NAME}": 1', { value: 1 }],
    ['|\n  x ${NAME}\n', 'x value\n'],
    ['# ${NOT_SET}\na: 1', { a: 1 }],
  ])('%j', ([text, value]) => {
    expect(read(text, env).printed).toEqual([])
    expect(valueOf(text, env)).toEqual(value)
  })

  test('that are missing are all told, and never what the others hold', () => {
    const { printed } = read('a: ${ONE}\nb: ["${TWO} ${NAME}"]\nc: ${a-b}\nd: "${"', env)
    expect(printed).toEqual([
      'f.yaml:1 a: environment variable ONE is not set',
      'f.yaml:2 b[0]: environment variable TWO is not set',
      'f.yaml:3 c: ${ must be followed by the name of an environment variable and } (write $${ for a literal ${; defaults are not supported)',
      'f.yaml:4 d: ${ must be followed by the name of an environment variable and } (write $${ for a literal ${; defaults are not supported)',
    ])
  })
})

describe('hostile documents', () => {
  test.for<[string, string]>([
    ['nested without end', '['.repeat(10_000)],
    ['nested deeper than is sensible', `${'['.repeat(65)}${']'.repeat(65)}`],
    ['mappings in mappings', `${'{a: '.repeat(65)}1${'}'.repeat(65)}`],
    ['aliases of aliases', Array.from({ length: 30 }, (_, at) => (at === 0 ? 'x0: &x0 [1, 1]' : `x${at}: &x${at} [*x${at - 1}, *x${at - 1}]`)).join('\n')],
    ['an alias in what it stands for', 'a: &a [*a]'],
    ['an alias of nothing', 'a: *b'],
    ['a key that is a list', '? [a]\n: 1'],
    ['a key that is an alias', 'a: &a x\n? *a\n: 1'],
    ['a null byte', 'a: \0'],
    ['an unknown tag', 'a: !!js/function x'],
    ['a tag on a list', 'a: !!set [x]'],
    ['an unclosed quote', 'a: "x'],
  ])('%s is a problem', ([, text]) => {
    expect(read(text).printed).toHaveLength(1)
  })

  test('any text is read or refused, and never throws', () => {
    fc.assert(
      fc.property(anyYaml, (yaml) => {
        const { document } = read(yaml)
        document.lineOf(['a', 0, 'a'])
      }),
      { numRuns: 5000 },
    )
  })
})
