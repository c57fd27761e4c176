/** A real Redis of the test's own: on a free port, keeping nothing, gone at the end. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startProcess } from './owned-process.ts'
import type { AddressInfo } from 'node:net'

export interface Redis {
  readonly port: number
  /** `redis://127.0.0.1:PORT/0` */
  readonly url: string
  /** SIGKILL as a crash would, SIGSTOP and SIGCONT to make it hang for a while. */
  signal(name: NodeJS.Signals): void
  stop(): Promise<void>
}

export interface RedisOptions {
  /** 0, the default, takes any free port. */
  readonly port?: number
  /** Further arguments of the command line, such as `--cluster-enabled yes`. */
  readonly args?: readonly string[]
}

const READY_WITHIN_MS = 10_000

/** Starts a Redis. Rejects with one line where none can be had. */
export async function startRedis({ port = 0, args = [] }: RedisOptions = {}): Promise<Redis> {
  installRedis()
  const bound = port === 0 ? await freePort() : port
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-redis-'))
  const options = ['--port', String(bound), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', dir]
  const redis = startProcess('redis-server', [...options, ...args], { stdio: 'ignore' })
  const stop = async (): Promise<void> => {
    await redis.stop(0)
    rmSync(dir, { recursive: true, force: true })
  }
  for (let waitedMs = 0; !(await answers(bound)); waitedMs += 20) {
    if (redis.child.exitCode !== null || waitedMs > READY_WITHIN_MS) {
      await stop()
      throw new Error(`redis-server did not answer on port ${bound}`)
    }
    await delay(20)
  }
  return { port: bound, url: `redis://127.0.0.1:${bound}/0`, signal: redis.signal, stop }
}

let isInstalled = false

/** Installs redis-server with the system's packages where it is missing and this process may. */
function installRedis(): void {
  if (isInstalled || runs('redis-server', '--version')) {
    isInstalled = true
    return
  }
  if (process.getuid?.() !== 0 || !runs('apt-get', '--version')) throw new Error('redis-server is not installed, and only root can install it with apt-get')
  const install = (): boolean => runs('apt-get', '-o', 'DPkg::Lock::Timeout=120', 'install', '-y', '-q', '--no-install-recommends', 'redis-server')
  if (!install() && !(runs('apt-get', 'update', '-q') && install())) throw new Error('redis-server is not installed, and apt-get could not install it')
  isInstalled = true
}

function runs(command: string, ...args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
    return true
  } catch {
    return false
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })
}

/** Whether PING is answered: also while a cluster node refuses everything else. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    socket.once('data', (data) => {
      socket.destroy()
      resolve(data.toString().startsWith('+PONG'))
    })
    socket.once('error', () => resolve(false))
  })
}
