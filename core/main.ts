#!/usr/bin/env node
/** The command line: argv, env, signals, exit codes. The only file that touches `process`. */
import cluster from 'node:cluster'
import { readFileSync } from 'node:fs'
import { enableCompileCache, flushCompileCache } from 'node:module'
import { totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import { tuneEngine } from './engine.ts'
import type { CommandContext } from './commands.ts'
import type { Machine } from './observe/overload.ts'

// Before anything else is loaded: what was compiled once is not compiled again. What only one command needs is loaded by it.
enableCompileCache()
const { plugins } = await import('../plugins/index.ts')

const USAGE = `usage: tollgate start [--config FILE]         runs the gateway (default conf/gateway.yaml)
       tollgate check [--config FILE]         lists every problem of a configuration as file:line path: problem (hint)
       tollgate plan ROUTE [--config FILE]    prints a route's chain: phase, priority, plugin, and where its configuration came from
       tollgate docs                          prints the manual of the plugins
       tollgate --version | --help`

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

/** What the system lets this process have. A limit that nobody set is 2^64 or so, which is more than the machine has. */
const machine: Machine = {
  rssBytes: () => process.memoryUsage.rss(),
  memoryLimitBytes: Math.min(process.constrainedMemory() || Infinity, totalmem()),
  maxOpenFiles: maxOpenFiles(),
}

/** Node has raised the soft limit to the hard one. Infinity where the system does not say. */
function maxOpenFiles(): number {
  try {
    return Number(/^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? Infinity)
  } catch {
    return Infinity
  }
}

const context: CommandContext = { catalogue: plugins, env: process.env, now: Date.now, print: (line) => void process.stdout.write(`${line}\n`) }

/** Runs a command. Answers the exit code: 0, 1 for a failure, 2 for a command that was not understood. */
async function run(argv: readonly string[]): Promise<number> {
  let parsed
  try {
    parsed = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { config: { type: 'string', short: 'c', default: 'conf/gateway.yaml' }, version: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    })
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}\n`)
    return 2
  }
  const { values, positionals } = parsed
  if (values.version) return say(version)
  if (values.help) return say(USAGE)
  const [command, ...rest] = positionals
  if (command === 'start' && rest.length === 0) return start(values.config)
  if (command === 'check' && rest.length === 0) return (await import('./commands.ts')).check(values.config, context)
  if (command === 'plan' && rest.length === 1) return (await import('./commands.ts')).plan(rest[0]!, values.config, context)
  if (command === 'docs' && rest.length === 0) return say((await import('./config/manual.ts')).pluginManual(plugins))
  process.stderr.write(`${USAGE}\n`)
  return 2
}

function say(text: string): number {
  context.print(text)
  return 0
}

/** Now that the process serves. What was compiled until here is saved first: V8 takes it back only with the flags that it began with. */
function serveFast(): void {
  flushCompileCache()
  tuneEngine()
}

async function start(configFile: string): Promise<number> {
  const { ConfigurationError, startGateway } = await import('./gateway.ts')
  let gateway
  try {
    gateway = await startGateway({ ...context, machine, configFile, version, nodeVersion: process.version })
  } catch (error) {
    process.stderr.write(`${error instanceof ConfigurationError ? error.message : `tollgate: ${(error as Error).message}`}\n`)
    return 1
  }
  serveFast()
  const { log } = gateway
  process.on('exit', () => gateway.abort())
  // A rejection nobody waits for is a bug, but no reason to take everybody's calls down.
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'unhandled rejection'))
  process.on('SIGHUP', () => {
    gateway.reopenLog()
    void gateway.reload()
  })
  await new Promise<void>((resolve) => {
    let hasBeenAsked = false
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (hasBeenAsked) process.exit(1)
        hasBeenAsked = true
        log.info({ signal }, 'draining; a second signal ends at once')
        void gateway.stop().then(resolve)
      })
    }
  })
  return 0
}

/** Runs a worker, which the primary starts. Signals that reach the whole group are the primary's business. */
async function work(): Promise<number> {
  const { startWorker } = await import('./worker.ts')
  for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined)
  const worker = await startWorker({ ...context, machine, version, nodeVersion: process.version })
  if (worker === undefined) return 1
  serveFast()
  const { log } = worker
  process.on('exit', () => log.flush())
  process.on('unhandledRejection', (error) => log.error({ err: error }, 'unhandled rejection'))
  process.on('SIGTERM', () => void worker.drain())
  await worker.ended
  return 0
}

process.exit(cluster.isWorker ? await work() : await run(process.argv.slice(2)))
