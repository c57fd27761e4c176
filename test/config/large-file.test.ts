/** Large files are read in a thread: to the same end as small ones, and whatever becomes of the thread. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import * as fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Type, definePlugin } from '#plugin'
import { digestOf } from '../../core/config/digest.ts'
import { Document, readText, takeList } from '../../core/config/document.ts'
import { Problems, formatProblem } from '../../core/config/problem.ts'
import { buildSnapshot } from '../../core/config/snapshot.ts'
import { Sources } from '../../core/config/sources.ts'
import { anyYaml, build, directoryWith, fixtures, snapshotDeps } from './fixtures.ts'
import type { Path } from '../../core/config/problem.ts'
import type { FileContent } from '../../core/config/snapshot.ts'

/** What makes any document a large one. */
const PADDING = `\n# ${'x'.repeat(300_000)}\n`
const env = { NAME: 'value', NUMBER: '42' }

/** All paths of a value, and of each one that is not there. */
function pathsOf(value: unknown, path: Path = []): Path[] {
  const inside = value === null || typeof value !== 'object' ? [] : Object.keys(value)
  const parts = inside.flatMap((key) => pathsOf((value as Record<string, unknown>)[key], [...path, Array.isArray(value) ? Number(key) : key]))
  return [path, [...path, 'nowhere'], [...path, 7], ...parts]
}

/** What is read of a document: by a thread, as a gateway.yaml. */
async function readInThread(text: string): Promise<object> {
  const directory = await directoryWith({ 'gateway.yaml': text })
  const problems = new Problems()
  const sources = new Sources(join(directory, 'gateway.yaml'), env, problems)
  onTestFinished(() => sources.close())
  const document = await sources.main('list')
  expect(Symbol.asyncIterator in document.apart).toBe(true)
  const items: unknown[] = []
  for await (const slice of document.apart) items.push(...slice)
  const printed = problems.list('error').map((problem) => formatProblem(problem).replaceAll(`${directory}/`, ''))
  return seen(document, items, printed, sources.versions()[0]!.digest)
}

/** The same, read here. */
function readHere(text: string): object {
  const reading = readText('gateway.yaml', text, env)
  const items = takeList(reading.value, 'list')
  return seen(new Document('gateway.yaml', reading), items, reading.problems.map(formatProblem), digestOf(text))
}

function seen(document: Document, items: readonly unknown[], printed: readonly string[], digest: string): object {
  const { value } = document
  const paths = [...pathsOf(value), ...pathsOf(items, ['list'])]
  return { value, items, printed, digest, lines: paths.map((path) => document.lineOf(path)), faulty: paths.filter((path) => document.isFaulty(path.join('.'))) }
}

describe('a document that a thread reads', () => {
  test.each([
    ['JSON', JSON.stringify({ a: [1, { b: null }], list: [{ c: 'x' }, 2] }, undefined, 1)],
    ['a block', 'a: 1\nlist:\n  - x: 1\n    y: "2"\n  -\n    z: [1, 2]\nb: |\n  text\n'],
    ['__proto__', '__proto__: { x: 1 }\nlist: [{ __proto__: 2 }]'],
    ['aliases', 'a: &a { x: 1,\n  y: 2 }\nlist: [*a, &b [3],\n *b]\nb: *b'],
    ['variables', 'a: ${NAME}\nlist: ["${NUMBER}", ${NUMBER}]'.replace('[', '\n  - ').replace(', ', '\n  - ').replace(']', '')],
    ['variables that are missing', 'a: ${NOT_SET}\nlist:\n  - ${NEITHER}\n  - { "${NOR}": 1 }'],
    ['odd numbers', 'list: [.inf, -.inf, .nan, -0, 0x10, 1e400]'],
    ['characters beyond ASCII', 'list: [ümlaut, "😀", "\\ud800"]\nkey ü: 1'],
    ['a list that is none', 'list: { a: 1 }'],
    ['a list that is nothing', 'list:'],
    ['the list twice', 'list: [1]\nlist: [2, 3]'],
    ['a list of lists', `list: [[[1]], ${'[2, 3], '.repeat(5000)} 4]`],
    ['a scalar', 'word'],
    ['nothing', ''],
    ['no YAML', 'a: [1\nb: 2'],
    ['two documents', 'a: 1\n---\nlist: [2]'],
  ])('%s', async (_, text) => {
    expect(await readInThread(text + PADDING)).toStrictEqual(readHere(text + PADDING))
  })

  test('any text', async () => {
    await fc.assert(
      fc.asyncProperty(anyYaml, async (yaml) => {
        const text = yaml + PADDING
        expect(await readInThread(text)).toStrictEqual(readHere(text))
      }),
      { numRuns: 30 },
    )
  }, 120_000)

  test('any list, in its order', async () => {
    const item = fc.jsonValue({ maxDepth: 3 }).filter((value) => !JSON.stringify(value).includes('${'))
    await fc.assert(
      fc.asyncProperty(fc.array(item, { maxLength: 50 }), fc.nat(200), async (items, times) => {
        const list = Array.from({ length: times }, () => items).flat()
        const text = JSON.stringify({ list }) + PADDING
        expect(await readInThread(text)).toMatchObject({ items: JSON.parse(JSON.stringify(list)) as unknown[], printed: [] })
      }),
      { numRuns: 20 },
    )
  }, 120_000)
})

describe('a file that cannot be read to its end', () => {
  const consumers = Array.from({ length: 3000 }, (_, at) => ({ username: `u${at}`, plugins: { slow: { key: `key-${at}` } } }))
  const text = `consumers: ${JSON.stringify(consumers)}${PADDING}`
  /** Takes its time over the first credential. */
  const slow = (ms: number) =>
    definePlugin({
      name: 'slow',
      priority: 1,
      summary: 'Is slow.',
      config: {},
      examples: [],
      onFault: 'refuse',
      credential: {
        schema: { key: Type.String() },
        secrets: ['key'],
        index: () => ({ add: ({ config }) => (config.key === 'key-0' ? delay(ms) : undefined), done: () => undefined }),
      },
      create: () => ({}),
    })

  test('in time is a problem, and what it holds is known nevertheless', async () => {
    const { printed, snapshot, files } = await build({ 'gateway.yaml': text }, { catalogue: [...fixtures, slow(0)], readingTimeoutMs: 1 })
    expect(printed).toEqual(['gateway.yaml: takes longer than 1 ms to be read'])
    expect(snapshot).toBeUndefined()
    expect(files.map(({ digest }) => digest)).toEqual([digestOf(text)])
  })

  test('in time is a problem where the file is named', async () => {
    const prices =
      'upstreams: [{ id: node, nodes: [{ url: http://127.0.0.1:8545 }] }]\nroutes: [{ id: a, uris: [/a], upstream_id: node, plugins: { decoder: {}, prices: { config_path: p.yaml } } }]'
    const { printed } = await build({ 'gateway.yaml': prices, 'p.yaml': `methods: {}${PADDING}` }, { readingTimeoutMs: 1 })
    expect(printed).toEqual(['gateway.yaml:2 routes[0].plugins.prices.config_path: p.yaml takes longer than 1 ms to be read'])
  })

  test('once it has been begun is a problem, and half the consumers are none', async () => {
    const { printed, snapshot } = await build({ 'gateway.yaml': text }, { catalogue: [...fixtures, slow(4500)], readingTimeoutMs: 4000 })
    expect(printed).toEqual(['gateway.yaml: takes longer than 4000 ms to be read'])
    expect(snapshot).toBeUndefined()
  })

  test('in memory is a problem', async () => {
    const directory = await directoryWith({ 'gateway.yaml': `[${'a,'.repeat(3_000_000)}]` })
    const file = join(directory, 'gateway.yaml')
    const check = promisify(execFile)(process.execPath, ['--max-old-space-size=64', 'core/main.ts', 'check', '--config', file])
    await expect(check).rejects.toMatchObject({ code: 1, stdout: `${file}: cannot be read (ERR_WORKER_OUT_OF_MEMORY)\n` })
  })

  test('because it is no UTF-8 is a problem', async () => {
    const { printed } = await build({ 'gateway.yaml': Buffer.concat([Buffer.from(`a: 1${PADDING}`), Buffer.of(0xff)]) as unknown as string })
    expect(printed).toEqual(['gateway.yaml: is not UTF-8'])
  })
})

test('a snapshot of a large file is built again from its content', async () => {
  const { content, directory } = await build({ 'gateway.yaml': `consumers: [{ username: demo }]${PADDING}` })
  await writeFile(join(directory, 'gateway.yaml'), 'no: longer')
  const [[path, { digest, bytes }]] = [...content.files] as [[string, FileContent]]
  /** As it comes from another process: a part of a larger buffer. */
  const received = Buffer.concat([Buffer.from('\0listen: \0'), bytes, Buffer.from('\0')]).subarray(10, 10 + bytes.length)
  const again = { ...content, files: new Map([[path, { digest, bytes: received }]]) }
  const { snapshot, problems } = await buildSnapshot(join(directory, 'gateway.yaml'), snapshotDeps({ content: again }))
  expect(problems).toEqual([])
  expect(snapshot!.consumers.get('demo')).toMatchObject({ username: 'demo' })
})
