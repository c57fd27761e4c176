/** The command line as an operator types it. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { writeFiles } from '../support/files.ts'

const run = promisify(execFile)

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tollgate-commands-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

/** Runs `tollgate`. Paths under the test's directory are shown without it. */
async function tollgate(...args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const {
    code = 0,
    stdout,
    stderr,
  } = (await run(process.execPath, ['core/main.ts', ...args]).catch((error: unknown) => error as { code: number; stdout: string; stderr: string })) as {
    code?: number
    stdout: string
    stderr: string
  }
  return { code, stdout: stdout.replaceAll(`${dir}/`, ''), stderr: stderr.replaceAll(`${dir}/`, '') }
}

const GATEWAY = `listen: 127.0.0.1:0
upstreams:
  - id: eth
    nodes: [{ url: "http://127.0.0.1:8545" }]
routes:
  - id: rpc
    uris: ["/{network}"]
    upstream_id: "{network}"
    plugins:
      jsonrpc-var: {}
      guard: { methods: ["debug_*"] }
`

describe('tollgate check', () => {
  test('says that the shipped configuration is well, and ends with 0', async () => {
    const { code, stdout, stderr } = await tollgate('check', '--config', 'conf/gateway.yaml')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^conf\/gateway\.yaml: ok \(\d+ routes?, /m)
  })

  test('lists every problem with file, line, path and hint, and ends with 1', async () => {
    const broken = `${GATEWAY.replace('guard:', 'gaurd:')}      limit-cu: { time_windw: 0 }\nplanz: []\n`
    await writeFiles(dir, { 'gateway.yaml': broken })
    const { code, stdout } = await tollgate('check', '--config', join(dir, 'gateway.yaml'))
    expect(code).toBe(1)
    const lines = stdout.trim().split('\n')
    expect(lines.length).toBeGreaterThanOrEqual(3)
    for (const line of lines) expect(line).toMatch(/^gateway\.yaml:\d+ \S+: .+$/)
    expect(stdout).toMatch(/gateway\.yaml:11 routes\[0\]\.plugins\.gaurd: .*\(.*guard.*\)/)
    expect(stdout).toMatch(/gateway\.yaml:12 routes\[0\]\.plugins\.limit-cu\.time_windw: /)
    expect(stdout).toMatch(/gateway\.yaml:13 planz: .*\(.*plans.*\)/)
  })

  test('reads a file that is not there as a problem', async () => {
    const { code, stdout } = await tollgate('check', '--config', join(dir, 'none.yaml'))
    expect(code).toBe(1)
    expect(stdout).toContain('none.yaml')
  })
})

describe('tollgate plan', () => {
  test("prints a route's chain in the order in which it runs", async () => {
    await writeFiles(dir, { 'gateway.yaml': GATEWAY })
    const { code, stdout } = await tollgate('plan', 'rpc', '--config', join(dir, 'gateway.yaml'))
    expect(code).toBe(0)
    expect(stdout).toMatch(/^PHASE +PRIORITY +PLUGIN +FROM$/m)
    expect(stdout).toMatch(/^decode +26000 +jsonrpc-var +/m)
    expect(stdout).toMatch(/^access +25000 +guard +/m)
    expect(stdout.indexOf('jsonrpc-var')).toBeLessThan(stdout.indexOf('guard'))
  })

  test('names the routes where the one asked for is not there, and ends with 1', async () => {
    await writeFiles(dir, { 'gateway.yaml': GATEWAY })
    expect(await tollgate('plan', 'other', '--config', join(dir, 'gateway.yaml'))).toMatchObject({ code: 1, stdout: expect.stringContaining('rpc') as unknown })
  })
})

describe('tollgate', () => {
  test('starts nothing with a configuration that has problems', async () => {
    await writeFiles(dir, { 'gateway.yaml': GATEWAY.replace('guard:', 'gaurd:') })
    expect(await tollgate('start', '--config', join(dir, 'gateway.yaml'))).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('gateway.yaml:11') as unknown,
    })
  })

  test('explains itself', async () => {
    const [help, ...wrong] = await Promise.all([['--help'], [], ['dance'], ['check', '--speed', '9']].map((args) => tollgate(...args)))
    expect(help).toMatchObject({ code: 0, stdout: expect.stringContaining('usage: tollgate') as unknown })
    for (const answer of wrong) expect(answer).toMatchObject({ code: 2, stderr: expect.stringContaining('usage: tollgate') as unknown })
  })
})
