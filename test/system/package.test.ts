/** What `npm pack` makes is installed and run as an operator would: from node_modules, where Node strips no types. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { basic, basicFiles } from '../support/gateway.ts'
import { writeFiles } from '../support/files.ts'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { startScriptedNode } from '../support/scripted-node.ts'

const run = promisify(execFile)
const dir = mkdtempSync(join(tmpdir(), 'tollgate-package-'))
const installed = join(dir, 'node_modules', 'tollgate')
const main = join(installed, 'dist/core/main.js')

/** Unpacks the package into node_modules, beside links to the dependencies that are here: a registry is not needed. */
beforeAll(async () => {
  const { stdout } = await run('npm', ['pack', '--json', '--silent', '--pack-destination', dir])
  const packed = JSON.parse(stdout.slice(stdout.indexOf('\n[') + 1)) as [{ filename: string }]
  mkdirSync(installed, { recursive: true })
  await run('tar', ['-xzf', join(dir, packed[0].filename), '-C', installed, '--strip-components=1'])
  const here = resolve('node_modules')
  for (const name of readdirSync(here)) if (!name.startsWith('.')) symlinkSync(join(here, name), join(dir, 'node_modules', name))
  await writeFiles(dir, basicFiles)
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** Runs `tollgate` as it is installed. */
async function tollgate(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return run(process.execPath, [main, ...args], { cwd: dir }).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => error,
  )
}

test('the package holds built code, conf/ and what a reader needs, and no tests', async () => {
  const { bin } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8')) as { bin: { tollgate: string } }
  expect(resolve(installed, bin.tollgate)).toBe(main)
  const names = readdirSync(installed)
  expect(names).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'conf', 'dist', 'package.json']))
  for (const name of ['test', 'bench', 'core', 'plugins', 'node_modules']) expect(names).not.toContain(name)
})

test('the installed command knows its version', async () => {
  const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string }
  expect(await tollgate('--version')).toMatchObject({ code: 0, stdout: `${version}\n` })
})

test('the installed command checks the configuration that it came with', async () => {
  expect(await tollgate('check', '--config', join(installed, 'conf/gateway.yaml'))).toMatchObject({ code: 0, stderr: '' })
})

test('the installed command reads a large configuration', async () => {
  await writeFiles(dir, { 'large.yaml': `consumers: [{ username: demo }]\n# ${'x'.repeat(300_000)}\n` })
  expect(await tollgate('check', '--config', 'large.yaml')).toMatchObject({ code: 0, stdout: 'large.yaml: ok (0 routes, 0 upstreams, 1 consumer)\n' })
})

test('whoever writes a plugin finds the types of the contract', async () => {
  const plugin = `
import { definePlugin, refuse, Type } from 'tollgate/plugin'
export default definePlugin({
  name: 'quiet', priority: 1, summary: 'Refuses.', config: { hours: Type.Integer() }, examples: [{ hours: 1 }], onFault: 'refuse',
  create: ({ hours }) => ({ access: (call) => (call.method.length > hours ? refuse('blocked', 'quiet') : undefined) }),
})`
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'esnext', '--skipLibCheck', '--types', 'node']
  const typed = async (text: string): Promise<string> => {
    await writeFiles(dir, { 'types/package.json': { type: 'module' }, 'types/plugin.ts': text })
    return run(resolve('node_modules/.bin/tsc'), [...options, join(dir, 'types/plugin.ts')], { cwd: join(dir, 'types') }).then(
      () => '',
      (error: { stdout: string }) => error.stdout,
    )
  }
  expect(await typed(plugin)).toBe('')
  expect(await typed(plugin.replace("'blocked'", "'bloked'"))).toContain('bloked')
})

test("the installed gateway serves calls, an operator's own plugin among the built-in ones", async () => {
  const node = await startScriptedNode()
  const plugin = `
import { answer, definePlugin } from '#plugin'
export default definePlugin({
  name: 'greeting', priority: 1500, summary: 'Answers eth_chainId by itself.', config: {}, examples: [{}], onFault: 'refuse',
  create: () => ({ access: (call) => (call.method === 'eth_chainId' ? answer('"hello"') : undefined) }),
})`
  const config = basic({ nodeUrl: node.url, plugins: { greeting: {} }, top: { plugins_dir: 'plugins', log: { level: 'info' } } })
  const gateway = await startGatewayProcess(config, { files: { ...basicFiles, 'plugins/greeting.ts': plugin }, command: [main] })
  const body = '[{"jsonrpc":"2.0","id":1,"method":"eth_chainId"},{"jsonrpc":"2.0","id":2,"method":"eth_blockNumber"}]'
  const response = await fetch(`${gateway.url}/eth`, { method: 'POST', headers: { apikey: 'free-key', 'content-type': 'application/json' }, body })
  expect(await response.json()).toMatchObject([{ result: 'hello' }, { result: { method: 'eth_blockNumber' } }])
  await gateway.stop()
  await node.stop()
})

test('the installed gateway serves with several workers', async () => {
  const node = await startScriptedNode()
  const gateway = await startGatewayProcess(basic({ nodeUrl: node.url, top: { workers: 2, log: { level: 'info' } } }), { files: basicFiles, command: [main] })
  const body = '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}'
  const response = await fetch(`${gateway.url}/eth`, { method: 'POST', headers: { apikey: 'free-key', 'content-type': 'application/json' }, body })
  expect(await response.json()).toMatchObject({ id: 1, result: { method: 'eth_blockNumber' } })
  await gateway.stop()
  await node.stop()
})
