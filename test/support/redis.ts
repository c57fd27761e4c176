/** A real Redis of the test's own: on a free port, keeping nothing, gone at the end. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
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
  /** A configuration file. */
  readonly config?: string
  /** Further arguments of the command line, such as `--cluster-enabled yes`. */
  readonly args?: readonly string[]
}

const READY_WITHIN_MS = 10_000

/** Ports that are tried: one that was free may be taken meanwhile, and so may the second one that a node of a cluster needs. */
const PORTS_TRIED = 10

/** Starts a Redis. Rejects with one line where none can be had. */
export async function startRedis(options: RedisOptions = {}): Promise<Redis> {
  installRedis()
  const { port = 0 } = options
  for (let tried = 1; ; tried++) {
    try {
      return await startOn(port === 0 ? await freePort() : port, options)
    } catch (error) {
      if (port !== 0 || tried === PORTS_TRIED) throw error
    }
  }
}

async function startOn(bound: number, { config, args = [] }: RedisOptions): Promise<Redis> {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-redis-'))
  const options = [...(config === undefined ? [] : [config]), '--port', String(bound), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', dir]
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

export interface RedisCluster {
  readonly nodes: readonly Redis[]
  readonly urls: readonly string[]
  stop(): Promise<void>
}

const SLOTS = 16_384

/** Starts a Redis Cluster of so many masters, all slots served. */
export async function startRedisCluster(size = 3): Promise<RedisCluster> {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000', '--cluster-require-full-coverage', 'no']
  const nodes = await Promise.all(Array.from({ length: size }, () => startRedis({ args })))
  const stop = async (): Promise<void> => void (await Promise.all(nodes.map((node) => node.stop())))
  try {
    for (const [at, { port }] of nodes.entries()) {
      await command(port, 'CLUSTER', 'ADDSLOTSRANGE', Math.floor((at * SLOTS) / size), Math.floor(((at + 1) * SLOTS) / size) - 1)
      await command(port, 'CLUSTER', 'SET-CONFIG-EPOCH', at + 1)
      if (at > 0) await command(port, 'CLUSTER', 'MEET', '127.0.0.1', nodes[0]!.port)
    }
    for (const { port } of nodes) {
      for (let waitedMs = 0; ; waitedMs += 20) {
        const info = await command(port, 'CLUSTER', 'INFO')
        if (info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${size}`) && info.includes(`cluster_slots_ok:${SLOTS}`)) break
        if (waitedMs > READY_WITHIN_MS) throw new Error(`the cluster did not form: ${info}`)
        await delay(20)
      }
    }
  } catch (error) {
    await stop()
    throw error
  }
  return { nodes, urls: nodes.map(({ url }) => url.replace(/\/0$/, '')), stop }
}

/** Starts a sentinel that knows a Redis as `name`. Both have the password. */
export async function startSentinel(master: Redis, name: string, password: string): Promise<Redis> {
  const dir = mkdtempSync(join(tmpdir(), 'tollgate-sentinel-'))
  const file = join(dir, 'sentinel.conf')
  writeFileSync(file, `requirepass ${password}\nsentinel monitor ${name} 127.0.0.1 ${master.port} 1\nsentinel auth-pass ${name} ${password}\n`)
  const sentinel = await startRedis({ config: file, args: ['--sentinel'] })
  return { ...sentinel, stop: () => sentinel.stop().finally(() => rmSync(dir, { recursive: true, force: true })) }
}

/** Sends one command by hand; resolves with its answer as it was written. */
export function command(port: number, ...words: readonly (string | number)[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts = words.map((word) => `$${String(word).length}\r\n${word}\r\n`)
    const socket = connect(port, '127.0.0.1', () => socket.write(`*${words.length}\r\n${parts.join('')}`))
    let text = ''
    socket.on('data', (data) => {
      text += data.toString()
      const bulk = /^\$(\d+)\r\n/.exec(text)
      if (bulk !== null && text.length < bulk[0].length + Number(bulk[1]) + 2) return
      socket.destroy()
      if (text.startsWith('-')) reject(new Error(text.trim()))
      else resolve(text)
    })
    socket.once('error', reject)
  })
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

/** Whether PING is answered, if only by asking for the password: also while a cluster node refuses everything else. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
    socket.once('data', (data) => {
      socket.destroy()
      resolve(/^(\+PONG|-NOAUTH)/.test(data.toString()))
    })
    socket.once('error', () => resolve(false))
  })
}
