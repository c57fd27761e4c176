/** The README says what is so. `npm run docs` writes its tables anew. */
import { readFileSync, readdirSync } from 'node:fs'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { check, plan } from '../core/commands.ts'
import { errorTable, pluginTable } from '../core/config/manual.ts'
import { plugins } from '../plugins/index.ts'
import { basic, basicFiles, startTestGateway } from './support/gateway.ts'
import { reset, startScriptedNode } from './support/scripted-node.ts'
import type { CommandContext } from '../core/commands.ts'

const pathOf = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url))
const readme = readFileSync(pathOf('README.md'), 'utf8')

/** The text between `<!-- name -->` and `<!-- /name -->`. */
function section(name: string): string {
  return readme.split(`<!-- ${name} -->\n`)[1]!.split(`<!-- /${name} -->`)[0]!
}

/** The code of the section's code block. */
function codeOf(name: string): string {
  return /```\w+\n(.*?)```/s.exec(section(name))![1]!
}

function withSections(texts: Readonly<Record<string, string>>): string {
  let text = readme
  for (const [name, body] of Object.entries(texts)) {
    text = text.replace(`<!-- ${name} -->\n${section(name)}<!-- /${name} -->`, () => `<!-- ${name} -->\n\n${body}\n\n<!-- /${name} -->`)
  }
  return text
}

/** What a command prints, and its exit code. */
async function printed(command: (context: CommandContext) => Promise<number>): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = []
  const code = await command({ catalogue: plugins, env: {}, now: Date.now, print: (line) => void lines.push(line) })
  return { code, lines }
}

/** A gateway with the usual plugins in front of a scripted node. */
async function startBasic(more: { readonly plugins?: Record<string, Record<string, unknown>>; readonly top?: Record<string, unknown> } = {}, files = {}) {
  const node = await startScriptedNode()
  onTestFinished(() => node.stop())
  node.results.set('eth_blockNumber', '"0x1"')
  const upstreams = [{ id: 'eth', nodes: [{ url: node.url }], retries: 0, checks: { active: { interval: '1h' } } }]
  const config = basic({ nodeUrl: node.url, ...more, top: { upstreams, ...more.top } })
  const gateway = await startTestGateway(config, { files: { ...basicFiles, ...files } })
  onTestFinished(() => gateway.stop())
  return { node, gateway }
}

/** Tollgate's own metric families after a bit of traffic, as a table. */
async function metricsTable(): Promise<string> {
  const { node, gateway } = await startBasic()
  const call = (method: string) => gateway.post('/eth', `{"jsonrpc":"2.0","id":1,"method":"${method}"}`, { apikey: 'free-key' })
  await call('eth_chainId')
  await call('eth_sign')
  await expect.poll(() => gateway.metric('tollgate_upstream_head_block')).toBe(1)
  node.next(reset)
  await call('eth_chainId')
  await gateway.post('/no/such/path', '')
  const text = await (await fetch(`${gateway.adminUrl}/metrics`)).text()
  const labelsOf = (family: string): string => {
    const series = new RegExp(`^${family}(?:_bucket)?\\{(.*)\\}`, 'm').exec(text)?.[1] ?? ''
    return Array.from(series.matchAll(/(\w+)="/g), ([, label]) => label)
      .filter((label) => label !== 'le')
      .join(', ')
  }
  const families = Array.from(text.matchAll(/^# HELP (tollgate_\w+) (.*)\n# TYPE \w+ (\w+)$/gm), ([, name = '', help = '', type = '']) => ({
    name,
    help,
    type,
  }))
  const rows = families.map(({ name, help, type }) => `| \`${name}\` | ${type} | ${labelsOf(name)} | ${help} |`)
  return ['| metric | type | labels | what it counts |', '| --- | --- | --- | --- |', ...rows.toSorted()].join('\n')
}

test('its tables are what the code says', async () => {
  const { code, lines } = await printed((context) => plan('evm', pathOf('conf/gateway.yaml'), context))
  const texts = {
    plan: lines.map((line) => `    ${line}`.trimEnd()).join('\n'),
    plugins: pluginTable(plugins, 'plugins/README.md'),
    errors: errorTable(),
    metrics: await metricsTable(),
  }
  expect(code).toBe(0)
  await expect(withSections(texts)).toMatchFileSnapshot(pathOf('README.md'))
})

test('its configuration has no problem', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tollgate-readme-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  for (const name of ['whitelist.yaml', 'cu-pricing.yaml']) await cp(pathOf(`conf/${name}`), join(directory, name))
  await writeFile(join(directory, 'gateway.yaml'), codeOf('configuration'))
  const { code, lines } = await printed((context) => check(join(directory, 'gateway.yaml'), context))
  expect(lines.filter((line) => !line.startsWith('warning'))).toEqual([expect.stringMatching(/gateway\.yaml: ok \(1 route, 1 upstream, 1 consumer/)])
  expect(code).toBe(0)
})

test('its plugin is shorter than 30 lines, and runs in its place from plugins_dir', async () => {
  const source = codeOf('example')
  expect(source.split('\n').length).toBeLessThan(30)
  const { node, gateway } = await startBasic({ plugins: { 'gas-cap': { max_gas: 30_000_000 } }, top: { plugins_dir: 'mine' } }, { 'mine/gas-cap.ts': source })
  const call = (gas: string) =>
    gateway.post('/eth', `{"jsonrpc":"2.0","id":7,"method":"eth_call","params":[{"gas":"${gas}"},"latest"]}`, { apikey: 'free-key' })
  expect((await call('0x1c9c380')).json).toMatchObject({ id: 7, result: {} })
  expect((await call('0x1c9c381')).json).toMatchObject({
    id: 7,
    error: { code: -32602, message: 'gas is limited to 30000000', data: { reason: 'too-much-gas', limit: 30_000_000 } },
  })
  expect(node.calls.filter(({ method }) => method === 'eth_call')).toHaveLength(1)
  expect(await gateway.metric('tollgate_refusals_total', { plugin: 'gas-cap', why: 'too-much-gas' })).toBe(1)
})

test('it says of every dependency what it is for', () => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(pathOf('package.json'), 'utf8')) as Record<string, Record<string, string>>
  const [table = '', others = ''] = readme.split('## Dependencies')[1]!.split('To develop:')
  const rows = Array.from(table.matchAll(/^\| (\S+) \| \S/gm), ([, name]) => name)
  expect(new Set(rows.slice(2))).toEqual(new Set(Object.keys(dependencies!)))
  expect(Object.keys(devDependencies!).filter((name) => !new RegExp(`[ \n]${name}[ ,)]`).test(others))).toEqual([])
})

test('its map has every room', () => {
  const map = readme.split('## The rooms')[1]!.split('## ')[0]!
  const rooms = readdirSync(pathOf('core'), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  expect(rooms.map((room) => room.name).filter((name) => !map.includes(`      ${name}/ `))).toEqual([])
})

test('its links lead somewhere', () => {
  const targets = Array.from(readme.matchAll(/\]\((?!https?:)([^)#]+)/g), ([, target]) => target!)
  expect(targets.filter((target) => !readdirSync(pathOf(join(target, '..'))).includes(target.split('/').at(-1)!))).toEqual([])
})
