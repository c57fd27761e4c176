/** A real Ethereum node: anvil from node_modules, with a chain of its own in memory, on a free port. */
import { createRequire } from 'node:module'
import { startProcess } from './owned-process.ts'
import type { OwnedProcess } from './owned-process.ts'

/** How the chain is to be. */
export interface AnvilOptions {
  /** 0, the default, takes any free port. */
  readonly port?: number
  /** Default 31337. */
  readonly chainId?: number
  /** Seconds between blocks; without it a block is mined for each transaction. */
  readonly blockTimeS?: number
  /** Further arguments of the command line. */
  readonly args?: readonly string[]
}

/** A running node. Its ten accounts are those of the usual test mnemonic. */
export interface Anvil {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly wsUrl: string
  readonly port: number
  readonly chainId: number
  /** Resolves once the process has ended, whoever ended it. */
  readonly ended: Promise<unknown>
  /** Asks the node itself. Rejects with its error. */
  call(method: string, params?: readonly unknown[]): Promise<unknown>
  /** Ends it; with SIGKILL as a crash would, with SIGSTOP and SIGCONT it hangs for a while. */
  signal(name: NodeJS.Signals): void
  stop(): Promise<void>
}

const READY_WITHIN_MS = 20_000
const SYSTEMS: Readonly<Record<string, string>> = { linux: 'linux', darwin: 'darwin', win32: 'win32' }
const MACHINES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }

/** Starts a node and waits until it listens. Rejects with one line that says why it could not. */
export async function startAnvil(options: AnvilOptions = {}): Promise<Anvil> {
  const { port = 0, chainId = 31_337, blockTimeS, args = [] } = options
  const timing = blockTimeS === undefined ? [] : ['--block-time', String(blockTimeS)]
  // Its own process, not npm's wrapper around it: a signal must not stop at the wrapper.
  const anvil = startProcess(binary(), ['--port', String(port), '--chain-id', String(chainId), ...timing, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const bound = await listening(anvil).catch(async (error: unknown) => {
    await anvil.stop()
    throw error
  })
  const url = `http://127.0.0.1:${bound}`
  return {
    url,
    wsUrl: `ws://127.0.0.1:${bound}`,
    port: bound,
    chainId,
    ended: anvil.ended,
    call: (method, params = []) => ask(url, method, params),
    signal: anvil.signal,
    stop: anvil.stop,
  }
}

/** Resolves with the port that a starting anvil says it listens on. */
function listening({ child, ended }: OwnedProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    let said = ''
    const timer = setTimeout(() => reject(new Error(`anvil did not listen within ${READY_WITHIN_MS} ms`)), READY_WITHIN_MS)
    const streams = [child.stdout!, child.stderr!]
    for (const stream of streams) {
      stream.on('data', (chunk: Buffer) => {
        said = (said + chunk.toString()).slice(-4096)
        const port = /Listening on \S+:(\d+)/.exec(said)?.[1]
        if (port === undefined) return
        clearTimeout(timer)
        for (const each of streams) each.removeAllListeners('data').resume()
        resolve(Number(port))
      })
    }
    ended.then(
      () => reject(new Error(`anvil ended before it listened: ${said.trim().split('\n').at(-1)}`)),
      (error: Error) => reject(new Error(`anvil could not be started: ${error.message}`)),
    )
  })
}

function binary(): string {
  const name = `@foundry-rs/anvil-${SYSTEMS[process.platform]}-${MACHINES[process.arch]}`
  try {
    return createRequire(import.meta.url).resolve(`${name}/bin/anvil${process.platform === 'win32' ? '.exe' : ''}`)
  } catch {
    throw new Error(`anvil is not installed for this machine (${name}); npm install brings it where it exists`)
  }
}

async function ask(url: string, method: string, params: readonly unknown[]): Promise<unknown> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  const { result, error } = (await response.json()) as { result?: unknown; error?: { message: string } }
  if (error !== undefined) throw new Error(`${method}: ${error.message}`)
  return result
}
