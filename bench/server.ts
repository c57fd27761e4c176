/** Servers that are measured: processes of ours on free ports of this machine, each with a directory of its own. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startProcess } from '../test/support/owned-process.ts'
import type { AddressInfo } from 'node:net'
import type { OwnedProcess } from '../test/support/owned-process.ts'

export const HOST = '127.0.0.1'

/** A server that is up. */
export interface Server {
  readonly port: number
  /** Whose CPU and memory are its own; their children's too. */
  readonly pids: readonly number[]
  /** The process that was started. */
  readonly process: OwnedProcess
  /** Its directory. */
  readonly dir: string
  /** From its start until it was ready. */
  readonly readyMs: number
  stop(): Promise<void>
}

const READY_WITHIN_MS = 120_000

/** How a server is started, given its port and a directory for what it needs. */
export type Launch = (port: number, dir: string) => { readonly process: OwnedProcess; readonly readyUrl: string }

/** Starts a server and waits until it answers `readyUrl`, whatever the answer but 503. Rejects with what it wrote when it ends before that. */
export async function startServer(name: string, launch: Launch): Promise<Server> {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-bench-'))
  const port = await freePort()
  const startedAt = performance.now()
  const { process, readyUrl } = launch(port, dir)
  const output: string[] = []
  for (const stream of [process.child.stdout, process.child.stderr]) stream?.on('data', (chunk: Buffer) => output.push(chunk.toString()))
  const stop = async (): Promise<void> => {
    await process.stop(5_000)
    rmSync(dir, { recursive: true, force: true })
  }
  while (!(await answers(readyUrl))) {
    if (process.child.exitCode !== null || performance.now() - startedAt > READY_WITHIN_MS) {
      await stop()
      throw new Error(`${name} did not start:\n${output.join('')}`)
    }
    await delay(5)
  }
  return { port, pids: [process.child.pid!], process, dir, readyMs: performance.now() - startedAt, stop }
}

/** The stub node. */
export async function startNode(): Promise<Pick<Server, 'port' | 'pids' | 'stop'>> {
  const node = startProcess(process.execPath, [join(import.meta.dirname, 'node.ts')], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const { port } = await new Promise<{ port: number }>((resolve, reject) => {
    node.child.once('message', (message) => resolve(message as { port: number }))
    node.child.once('exit', () => reject(new Error('the stub node ended')))
  })
  return { port, pids: [node.child.pid!], stop: () => node.stop() }
}

/** Any port that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, HOST, () => {
      const { port } = probe.address() as AddressInfo
      probe.close(() => resolve(port))
    })
  })
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url)
    await response.arrayBuffer()
    return response.status !== 503
  } catch {
    return false
  }
}

/** A file of this directory, its `${NAME}`s filled in. */
export function template(path: string, values: Readonly<Record<string, string | number>>): string {
  return readFileSync(join(import.meta.dirname, path), 'utf8').replaceAll(/\$\{(\w+)\}/g, (_, name: string) => String(values[name]))
}
