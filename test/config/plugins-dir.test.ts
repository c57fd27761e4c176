import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { buildSnapshot } from '../../core/config/snapshot.ts'
import { build, configOf, directoryWith, snapshotDeps } from './fixtures.ts'

const plugin = (name: string, word: string, more = ''): string => `
import { Type, definePlugin } from '#plugin'
${more}
export default definePlugin({
  name: '${name}',
  priority: 5,
  summary: 'An operator’s own.',
  config: { times: Type.Integer({ minimum: 1, default: 2, description: 'How often.' }) },
  examples: [{}],
  onFault: 'pass',
  create(config: { times: number }) {
    return Object.assign({ log: () => undefined }, { config: ${word}.repeat(config.times) })
  },
})`

const gateway = (plugins: string): string => `
plugins_dir: plugins
upstreams: [{ id: node, nodes: [{ url: http://127.0.0.1 }] }]
routes: [{ id: a, uris: [/a], upstream_id: node, plugins: { decoder: {}, ${plugins} } }]`

test('an operator’s plugin runs under the same contract as the built-in ones', async () => {
  const { snapshot, printed, files } = await build({
    'gateway.yaml': gateway('shout: {}, whisper: { times: 3 }'),
    'plugins/shout.ts': plugin('shout', '"a"'),
    'plugins/whisper/index.ts': plugin('whisper', 'word', 'import { word } from "./word.ts"'),
    'plugins/whisper/word.ts': 'export const word: string = "b"',
    'plugins/whisper/word.test.ts': 'throw new Error("a test is no plugin")',
    'plugins/notes.md': 'not code',
  })
  expect(printed).toEqual([])
  expect(snapshot!.routes[0]!.members.slice(1).map(configOf)).toEqual(['aa', 'bbb'])
  expect(files.map(({ path }) => path.slice(path.indexOf('/plugins') + 1)).slice(1)).toEqual([
    'plugins',
    'plugins/shout.ts',
    'plugins/whisper',
    'plugins/whisper/index.ts',
    'plugins/whisper/word.ts',
  ])
})

test('its configuration is judged by its schema', async () => {
  const { printed } = await build({ 'gateway.yaml': gateway('shout: { times: 0 }, shuot: {}'), 'plugins/shout.ts': plugin('shout', '"a"') })
  expect(printed).toEqual([
    'gateway.yaml:4 routes[0].plugins.shout.times: must be >= 1',
    'gateway.yaml:4 routes[0].plugins.shuot: unknown plugin (did you mean shout?)',
  ])
})

test('a file that changed brings the new code', async () => {
  const directory = await directoryWith({ 'gateway.yaml': gateway('shout: {}'), 'plugins/shout.ts': plugin('shout', '"a"') })
  const current = async (): Promise<unknown> => configOf((await buildSnapshot(join(directory, 'gateway.yaml'), snapshotDeps())).snapshot!.routes[0]!.members[1])
  expect(await current()).toBe('aa')
  await writeFile(join(directory, 'plugins/shout.ts'), plugin('shout', '"b"'))
  expect(await current()).toBe('bb')
  await writeFile(join(directory, 'plugins/shout.ts'), plugin('shout', '"a"'))
  expect(await current()).toBe('aa')
})

test('names are taken once, by the built-in plugins first', async () => {
  const { printed } = await build({
    'gateway.yaml': gateway('shout: {}'),
    'plugins/a.js': plugin('limit', '"a"').replace(': { times: number }', ''),
    'plugins/shout.ts': plugin('shout', '"a"'),
    'plugins/shout2.ts': plugin('shout', '"a"'),
  })
  expect(printed.map((line) => line.replaceAll(/\/\S*\/plugins/g, 'plugins'))).toEqual([
    'plugins/a.js: the plugin name limit is taken (built in)',
    'plugins/shout2.ts: the plugin name shout is taken (plugins/shout.ts)',
  ])
})

test('what cannot be loaded is a problem, and keeps nothing else from being looked at', async () => {
  const { printed } = await build({
    'gateway.yaml': gateway('limit: { time_window: 0 }'),
    'plugins/empty.ts': '',
    'plugins/odd.ts': 'export default { name: "Odd Name" }',
    'plugins/throws.ts': 'throw new Error("not today")',
  })
  expect(printed).toEqual([
    'plugins/empty.ts: must have a default export made by definePlugin',
    'plugins/odd.ts: must have a default export made by definePlugin',
    expect.stringMatching(/^plugins\/throws\.ts(:\d+)?: cannot be loaded: not today$/),
    'gateway.yaml:4 routes[0].plugins.limit.time_window: must be >= 1',
  ])
})

test('a directory that is not there is a problem', async () => {
  const { printed } = await build({ 'gateway.yaml': 'plugins_dir: none' })
  expect(printed).toEqual(['gateway.yaml:1 plugins_dir: none does not exist'])
})

test('without a test runner in between: #plugin is found from anywhere, and helpers are as new as their plugin', async () => {
  const directory = await directoryWith({
    'gateway.yaml': gateway('shout: {}'),
    'plugins/shout.ts': plugin('shout', 'word', 'import { word } from "./words/word.ts"'),
    'plugins/words/word.ts': 'export const word: string = "a"',
    'plugins/broken.ts': 'export default {\n  name: ,\n}',
    'run.ts': `
import { writeFileSync } from 'node:fs'
import { buildSnapshot } from '${join(import.meta.dirname, '../../core/config/snapshot.ts')}'
import { formatProblem } from '${join(import.meta.dirname, '../../core/config/problem.ts')}'
import { definePlugin, decode } from '${join(import.meta.dirname, '../../core/plugin/index.ts')}'
const decoder = definePlugin({ name: 'decoder', priority: 1, summary: '', config: {}, examples: [], onFault: 'refuse', create: () => ({ decode: (bytes) => decode(bytes) }) })
const counter = () => () => ({ value: 0 })
const deps = { catalogue: [decoder], env: {}, generation: 1, now: Date.now, log: () => ({}), metrics: { counter, gauge: counter }, stop: new AbortController().signal }
const show = async () => {
  const { snapshot, problems } = await buildSnapshot('gateway.yaml', deps)
  console.log(snapshot?.routes[0].members[1].instance.config ?? problems.map(formatProblem).join())
}
await show()
writeFileSync('plugins/broken.ts', \`${plugin('mended', '"c"')}\`)
await show()
writeFileSync('plugins/words/word.ts', 'export const word: string = "b"')
await show()`,
  })
  const { stdout } = await promisify(execFile)(process.execPath, ['run.ts'], { cwd: directory })
  expect(stdout.split('\n')).toEqual([expect.stringMatching(/^plugins\/broken\.ts(:2)?: cannot be loaded: /), 'aa', 'bb', ''])
})

test('a snapshot is not built again from code that has changed since', async () => {
  const { content, directory } = await build({
    'gateway.yaml': gateway('shout: {}'),
    'plugins/shout/index.ts': plugin('shout', 'word', 'import { word } from "./word.ts"'),
    'plugins/shout/word.ts': 'export const word: string = "a"',
  })
  const again = () => buildSnapshot(join(directory, 'gateway.yaml'), snapshotDeps({ content }))
  expect((await again()).problems).toEqual([])
  await writeFile(join(directory, 'plugins/shout/word.ts'), 'export const word: string = "b"')
  expect((await again()).problems).toMatchObject([
    { file: expect.stringMatching(/plugins\/shout\/word\.ts$/) as string, message: 'has changed while it was loaded' },
  ])
})
