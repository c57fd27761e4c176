/** Where the system has no SO_REUSEPORT, workers accept from one socket. Real workers, without the gateway around them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { buildSnapshot } from '../../core/config/snapshot.ts'
import { openPrimary } from '../../core/meter/open-primary.ts'
import { coreMetrics } from '../../core/observe/core-metrics.ts'
import { createMetrics } from '../../core/observe/metrics.ts'
import { Workforce } from '../../core/workers/workforce.ts'
import { plugins } from '../../plugins/index.ts'
import { snapshotDeps } from '../config/fixtures.ts'
import { basic, basicFiles } from '../support/gateway.ts'
import { startScriptedNode } from '../support/scripted-node.ts'
import type { PluginLog } from '../../core/plugin/define.ts'

test('workers that share a socket answer on one port, and go on when one of them is killed', async () => {
  const node = await startScriptedNode()
  onTestFinished(() => node.stop())
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-one-socket-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  const config = basic({ nodeUrl: node.url, top: { log: { level: 'silent' } } })
  for (const [name, content] of Object.entries({ ...basicFiles, 'gateway.yaml': config })) writeFileSync(join(dir, name), JSON.stringify(content))
  const configFile = join(dir, 'gateway.yaml')
  const { snapshot, content } = await buildSnapshot(configFile, snapshotDeps({ catalogue: plugins }))
  const pids: number[] = []
  const log: PluginLog = {
    isEnabled: () => true,
    debug: () => undefined,
    info: ({ pid }) => void pids.push(Number(pid)),
    warn: () => undefined,
    error: () => undefined,
  }
  const registry = createMetrics()
  const workforce = new Workforce(
    {
      program: fileURLToPath(new URL('../../core/main.ts', import.meta.url)),
      workers: 2,
      configFile,
      held: openPrimary({ ...snapshot!.settings, dataDir: undefined }, { now: Date.now, log, metrics: registry }),
      registry,
      counts: coreMetrics(registry, '1', 'v1').workers,
      log,
      reusePort: false,
    },
    snapshot!,
    content,
  )
  onTestFinished(() => workforce.drain())
  await workforce.listen({ host: '127.0.0.1', port: 0 })
  const call = async (): Promise<number> => {
    const headers = { apikey: 'paid-key', 'content-type': 'application/json', connection: 'close' }
    const body = '{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}'
    return (await fetch(`http://127.0.0.1:${workforce.address.port}/eth`, { method: 'POST', headers, body })).status
  }
  expect(await Promise.all(Array.from({ length: 20 }, call))).toEqual(Array.from({ length: 20 }, () => 200))
  process.kill(pids[0]!, 'SIGKILL')
  await delay(20) // what it has accepted goes with it
  for (let at = 0; at < 20; at++) expect(await call()).toBe(200)
  while (pids.length < 3) await delay(20)
  expect(await Promise.all(Array.from({ length: 20 }, call))).toEqual(Array.from({ length: 20 }, () => 200))
})
