/**
 * One route's plugins as a configuration creates them, without a listener, and calls to ask them about. For rules
 * that depend on nothing but a call; what depends on the chain or the wire is tested through a gateway.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { formatProblem } from '../../core/config/problem.ts'
import { buildSnapshot } from '../../core/config/snapshot.ts'
import { RpcRequest } from '../../core/jsonrpc/frame.ts'
import { toWire } from '../../core/jsonrpc/wire.ts'
import { createMetrics } from '../../core/observe/metrics.ts'
import { LiveCall } from '../../core/pipeline/live-call.ts'
import { LiveSession } from '../../core/pipeline/session.ts'
import { consumer } from '../../core/plugin/slots.ts'
import type { Destination } from '../../core/pipeline/session.ts'
import type { AnyPlugin, ChainView, PluginInstance, PluginLog } from '../../core/plugin/define.ts'
import type { FrameView } from '../../core/plugin/session.ts'

const SILENT: PluginLog = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined, isEnabled: () => false }

export interface Configured {
  /** The instance of a plugin. Throws when the configuration has problems. */
  plugin(name: string): PluginInstance
  /** As `tollgate check` prints them, with the file's name instead of its path. */
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
}

/** Builds a configuration of one route. `plugins` is YAML; `files` are the texts of the files that it names; `chain` is behind every network. */
export async function configure(
  catalogue: readonly AnyPlugin[],
  plugins: string,
  files: Readonly<Record<string, string>> = {},
  more = '',
  chain?: ChainView,
): Promise<Configured> {
  const directory = await mkdtemp(join(tmpdir(), 'tollgate-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const gateway = `
upstreams: [{ id: node, nodes: [{ url: "http://127.0.0.1:1" }] }]
routes: [{ id: rpc, uris: ["/{network}"], upstream_id: node, plugins: ${plugins} }]
${more}`
  for (const [name, text] of Object.entries({ ...files, 'gateway.yaml': gateway })) await writeFile(join(directory, name), text)
  const { snapshot, problems, warnings } = await buildSnapshot(join(directory, 'gateway.yaml'), {
    catalogue,
    env: {},
    generation: 1,
    now: () => 0,
    log: () => SILENT,
    metrics: createMetrics(),
    chain: () => chain,
    stop: new AbortController().signal,
  })
  const print = (found: typeof problems): string[] => found.map((problem) => formatProblem(problem).replaceAll(`${directory}/`, ''))
  return {
    plugin: (name) => {
      if (snapshot === undefined) throw new Error(print(problems).join('\n'))
      return snapshot.routes[0]!.members.find((member) => member.plugin.name === name)!.instance
    },
    problems: print(problems),
    warnings: print(warnings),
  }
}

interface Caller {
  /** Of the caller's plan; without it there is no caller. */
  readonly tier?: string
  readonly username?: string
  readonly address?: string
  readonly scheme?: 'http' | 'ws'
}

/** A session on a network. */
export function sessionOn(network: string, { tier, username = 'somebody', address = '192.0.2.1', scheme = 'http' }: Caller = {}): LiveSession {
  const origin = { scheme, httpMethod: 'POST', peer: address, host: 'localhost', path: `/${network}`, query: '', headers: {} }
  const session = new LiveSession(origin, { routeId: 'rpc', variables: { network }, network } as unknown as Destination, 'request', 0)
  if (tier !== undefined) {
    const plan = { id: tier, tier, secondsQuota: undefined, monthlyQuota: undefined, billingDay: 1 }
    session.set(consumer, { username, plan, secondsQuota: undefined, monthlyQuota: undefined })
  }
  return session
}

/** A call in a session; `params` are source text. */
export function callIn(session: LiveSession, method: string, params?: string): LiveCall {
  const frame = { session, isBatch: false } as unknown as FrameView
  return new LiveCall(session, frame, new RpcRequest('1', method, JSON.stringify(method), params === undefined ? undefined : toWire(params)))
}
