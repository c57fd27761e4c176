/** The process from its first signal to its last: what is answered, what is kept, and how it ends. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { startGatewayProcess } from '../support/gateway-process.ts'
import { answer, startScriptedNode } from '../support/scripted-node.ts'
import { post, shippedFiles, systemConfig } from './stage.ts'
import type { GatewayProcess, GatewayProcessOptions } from '../support/gateway-process.ts'
import type { ScriptedNode } from '../support/scripted-node.ts'

const CALL = '{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}'

let node: ScriptedNode
beforeEach(async () => {
  node = await startScriptedNode()
})
afterEach(() => node.stop())

async function start(options: GatewayProcessOptions = {}): Promise<GatewayProcess> {
  const gateway = await startGatewayProcess(systemConfig(node.url), { files: shippedFiles, ...options })
  onTestFinished(() => gateway.stop())
  return gateway
}

/** Makes the node hold its answers back until the returned function is called. */
function holdAnswers(): () => void {
  const held: (() => void)[] = []
  node.script((...request) => void held.push(() => answer(...request)))
  return () => {
    node.script(undefined)
    for (const give of held) give()
  }
}

describe('SIGTERM', () => {
  test('takes no more connections, answers what is in flight, and ends with 0', async () => {
    const gateway = await start()
    const release = holdAnswers()
    const inFlight = Array.from({ length: 5 }, () => post(`${gateway.url}/eth-local`, CALL))
    await node.arrived(5)
    gateway.signal('SIGTERM')
    await expect
      .poll(async () =>
        fetch(`${gateway.url}/eth-local`).then(
          () => 'taken',
          () => 'refused',
        ),
      )
      .toBe('refused')
    release()
    const answers = await Promise.all(inFlight)
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    expect(await gateway.ended).toEqual({ code: 0, signal: undefined })
  })

  test('ends an idle gateway, its idle connections too', async () => {
    const gateway = await start()
    await post(`${gateway.url}/eth-local`, CALL) // leaves a connection open
    gateway.signal('SIGTERM')
    expect(await gateway.ended).toEqual({ code: 0, signal: undefined })
  })

  test('twice ends at once, and not with 0', async () => {
    const gateway = await start()
    holdAnswers()
    const cut = post(`${gateway.url}/eth-local`, CALL).catch(() => 'cut')
    await node.arrived(1)
    gateway.signal('SIGTERM')
    await gateway.logged('draining; a second signal ends at once')
    gateway.signal('SIGTERM')
    expect((await gateway.ended).code).toBe(1)
    expect(await cut).toBe('cut')
  })

  test('is heeded while the upstream never answers: drain_timeout ends it', async () => {
    const gateway = await startGatewayProcess(systemConfig(node.url, undefined, { drain_timeout: '500ms' }), { files: shippedFiles })
    onTestFinished(() => gateway.stop())
    holdAnswers()
    const cut = post(`${gateway.url}/eth-local`, CALL).then(
      ({ status }) => status,
      () => 'cut',
    )
    await node.arrived(1)
    gateway.signal('SIGTERM')
    expect((await gateway.ended).signal).toBeUndefined()
    expect(await cut).not.toBe(200)
  })
})

describe('readiness', () => {
  test('is told by the admin listener', async () => {
    const gateway = await start()
    expect((await fetch(`${gateway.adminUrl}/healthz`)).status).toBe(200)
    expect((await fetch(`${gateway.adminUrl}/readyz`)).status).toBe(200)
    const release = holdAnswers()
    const inFlight = post(`${gateway.url}/eth-local`, CALL)
    await node.arrived(1)
    gateway.signal('SIGTERM')
    await expect.poll(async () => (await fetch(`${gateway.adminUrl}/readyz`)).status).toBe(503)
    expect((await fetch(`${gateway.adminUrl}/healthz`)).status).toBe(200)
    release()
    expect((await inFlight).status).toBe(200)
    expect((await gateway.ended).code).toBe(0)
  })
})

describe('monthly usage', () => {
  /** What the month's account says after one more call, which costs 1 CU. */
  async function spend(gateway: GatewayProcess): Promise<number> {
    const response = await fetch(`${gateway.url}/eth-local`, {
      method: 'POST',
      headers: { apikey: 'demo-key', 'content-type': 'application/json' },
      body: CALL,
    })
    await response.text()
    return Number(response.headers.get('x-monthly-used'))
  }

  async function home(): Promise<string> {
    const dir = await mkdtemp(join(tmpdir(), 'tollgate-usage-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    return dir
  }

  test('survives SIGTERM to the last unit', async () => {
    const dir = await home()
    const first = await start({ dir })
    for (let i = 1; i <= 20; i++) expect(await spend(first)).toBe(i)
    first.signal('SIGTERM')
    expect((await first.ended).code).toBe(0)
    const second = await start({ dir })
    expect(await spend(second)).toBe(21)
  })

  test('loses at most the last second to SIGKILL, and never counts twice', async () => {
    const dir = await home()
    const first = await start({ dir })
    for (let i = 1; i <= 20; i++) await spend(first)
    await delay(1_500) // a second until it is written, and some for a busy machine
    for (let i = 1; i <= 5; i++) await spend(first)
    first.signal('SIGKILL')
    await first.ended
    const second = await start({ dir })
    const used = await spend(second)
    expect(used).toBeGreaterThanOrEqual(21)
    expect(used).toBeLessThanOrEqual(26)
  })
})

test('a port that is taken ends the start with one line and 1', async () => {
  const gateway = await start()
  const taken = { listen: gateway.url.slice('http://'.length), data_dir: './other-data' }
  await expect(startGatewayProcess(systemConfig(node.url, undefined, taken), { files: shippedFiles })).rejects.toThrow(
    /ended \(1\)[^]*^tollgate: .*EADDRINUSE/m,
  )
})

describe('a database of usage that cannot be used', () => {
  test.each<[string, RegExp, (path: string) => DatabaseSync | undefined]>([
    [
      'corrupt',
      /^tollgate: .*usage\.sqlite: the usage database is corrupt/m,
      (path) => {
        writeFileSync(path, 'no database'.repeat(100))
        return undefined
      },
    ],
    [
      'locked',
      /^tollgate: .*usage\.sqlite: the usage database is locked/m,
      (path) => {
        const other = new DatabaseSync(path)
        other.exec('BEGIN EXCLUSIVE')
        return other
      },
    ],
  ])('because it is %s ends the start with one line and 1, and nobody is served without it', async (_, line, spoil) => {
    const dir = await mkdtemp(join(tmpdir(), 'tollgate-usage-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    mkdirSync(join(dir, 'data'))
    const other = spoil(join(dir, 'data', 'usage.sqlite'))
    onTestFinished(() => other?.close())
    const ending = await start({ dir }).then(
      () => 'it started',
      (error: Error) => error.message,
    )
    expect(ending).toMatch(/ended \(1\) before it listened/)
    expect(ending).toMatch(line)
    expect(ending.split('\n').filter((text) => text.startsWith('tollgate: '))).toHaveLength(1)
  })
})
